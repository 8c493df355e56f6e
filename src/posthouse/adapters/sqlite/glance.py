"""A look at directory.db and at the shards of the store from outside, for `posthouse check`.

Changes and makes nothing, beside a running server or without one. What is not there yet has nothing to be said about.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

import apsw

from posthouse.adapters.sqlite.database import DatabaseRefused, open_existing, read_version
from posthouse.adapters.sqlite.directory import ROLES, DirectoryOptions, SqliteDirectory
from posthouse.adapters.sqlite.store_gate import is_marked_suspect
from posthouse.message.address import Address, parse_address
from posthouse.ports.directory import DirectoryError, Standing

_SHARD = re.compile(r"(\d+)\.db")
_SNAPSHOT = re.compile(r"\d+\.db\.before-\d+")
_OWN_DOMAINS = "SELECT spelled FROM domain WHERE alias_of IS NULL ORDER BY spelled"
_LACKING = """SELECT spelled FROM account a JOIN address d USING (account)
    WHERE removed_at IS NULL AND NOT is_disabled
    AND position = (SELECT min(position) FROM address WHERE account = a.account)
    AND NOT EXISTS (SELECT 1 FROM credential c WHERE c.account = a.account) ORDER BY spelled"""
_QUOTAS = "SELECT ifnull(sum(quota_octets), 0), ifnull(max(shard), 0) FROM account WHERE removed_at IS NULL"


@dataclass(frozen=True, slots=True)
class DirectoryGlance:
    """`without_password`: login names. `lost_roles`: role addresses that lead to nobody. `quota_octets`: of all."""

    without_password: tuple[str, ...] = ()
    lost_roles: tuple[str, ...] = ()
    quota_octets: int = 0
    highest_shard: int = 0


def look_at_directory(path: str, options: DirectoryOptions) -> DirectoryGlance:
    """Raises DirectoryError."""
    if not os.path.exists(path):
        return DirectoryGlance()
    try:
        with contextlib.closing(open_existing(path)) as connection:
            read_version(connection, path, "directory")
            names = tuple(str(name) for (name,) in connection.execute(_LACKING))
            octets, shard = next(iter(connection.execute(_QUOTAS)))
            return DirectoryGlance(names, tuple(_find_lost_roles(connection, options)), int(octets), int(shard))
    except (apsw.Error, DatabaseRefused) as error:
        raise DirectoryError(f"{path}: {error}") from error


def _find_lost_roles(connection: apsw.Connection, options: DirectoryOptions) -> Iterator[str]:
    directory = SqliteDirectory(connection, options)
    for (domain,) in connection.execute(_OWN_DOMAINS).fetchall():
        for role in sorted(ROLES):
            address = parse_address(f"{role}@{domain}")
            if not any(_leads_somewhere(directory, target) for target in directory.expand(address)):
                yield str(address)


def _leads_somewhere(directory: SqliteDirectory, target: Address) -> bool:
    return directory.mailbox_of(target) is not None or directory.look_up(target) is Standing.ELSEWHERE


@dataclass(frozen=True, slots=True)
class StoreGlance:
    """`problems`: shards that cannot be used. `suspect`: whose disk has failed. `snapshots`: of upgrades."""

    shards: tuple[int, ...] = ()
    problems: tuple[str, ...] = ()
    suspect: tuple[int, ...] = ()
    snapshots: tuple[str, ...] = ()


def look_at_store(directory: str) -> StoreGlance:
    """Raises OSError."""
    try:
        names = sorted(os.listdir(directory))
    except FileNotFoundError:
        return StoreGlance()
    shards = sorted(int(match[1]) for name in names if (match := _SHARD.fullmatch(name)))
    return StoreGlance(
        tuple(shards),
        tuple(problem for number in shards if (problem := _find_problem(f"{directory}/{number}.db"))),
        tuple(number for number in shards if is_marked_suspect(f"{directory}/{number}")),
        tuple(name for name in names if _SNAPSHOT.fullmatch(name)),
    )


def _find_problem(path: str) -> str:
    try:
        with contextlib.closing(open_existing(path)) as connection:
            read_version(connection, path, "store")
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    except DatabaseRefused as error:
        return str(error)
    except apsw.Error as error:
        return f"{path} cannot be read: {error}"
    return ""
