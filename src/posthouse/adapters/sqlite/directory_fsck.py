"""Looking at directory.db, and mending what can be mended. For `posthouse fsck`.

Trusts nothing. Without `repair` nothing is changed or made. No repair removes an account, a domain or an address that
somebody uses: only rows that belong to nobody go. Aliases that lead to nobody are told, and left to the administrator.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import apsw

from posthouse.adapters.sqlite.database import DatabaseRefused, open_existing
from posthouse.adapters.sqlite.directory import DirectoryOptions, SqliteDirectory
from posthouse.adapters.sqlite.directory_admin import RAISE_GENERATION, open_for_writing, transaction
from posthouse.adapters.sqlite.fsck import Finding
from posthouse.message.address import AddressError, parse_address
from posthouse.ports.directory import DirectoryError, Standing

DIRECTORY = -1  # instead of a shard's number
TOLD = "dead alias"  # an administrator's business, no damage

_OF_NOBODY = "account NOT IN (SELECT account FROM account)"
_CHECKS = (
    ("rows", "addresses of no account", "address", _OF_NOBODY),
    ("rows", "credentials of no account", "credential", _OF_NOBODY),
    ("rows", "places of no account", "place", _OF_NOBODY),
    ("rows", "settings of no account", "setting", _OF_NOBODY),
    ("rows", "web sessions of no account", "web_session", _OF_NOBODY),
    ("rows", "codes of no account", "totp", _OF_NOBODY),
    ("rows", "recovery codes of no account", "recovery_code", _OF_NOBODY),
    ("rows", "passkeys of no account", "passkey", _OF_NOBODY),
    ("rows", "aliases in a domain that is not hosted", "alias", "domain NOT IN (SELECT domain FROM domain)"),
)
_UNMENDABLE = (
    (
        "addresses in a domain that is not hosted",
        "SELECT spelled FROM address WHERE is_removed = 0 AND domain NOT IN (SELECT domain FROM domain)",
    ),
    (
        "accounts without an address",
        """SELECT account FROM account WHERE removed_at IS NULL AND account NOT IN
            (SELECT account FROM address WHERE is_removed = 0)""",
    ),
    (
        "domains that are aliases of none of ours",
        """SELECT spelled FROM domain WHERE alias_of IS NOT NULL AND alias_of NOT IN
            (SELECT domain FROM domain WHERE alias_of IS NULL)""",
    ),
)
_ALIASES = "SELECT spelled, target FROM alias ORDER BY domain, local, position"
_TEXTS = "SELECT spelled FROM address UNION ALL SELECT target FROM alias"


def check_directory(path: str, options: DirectoryOptions | None = None, *, repair: bool = False) -> list[Finding]:
    """Nothing to say about a file that is not there: it is made when it is needed."""
    if not os.path.exists(path):
        return []
    try:
        connection = open_for_writing(path) if repair else open_existing(path)
        with contextlib.closing(connection):
            found = list(_check_all(connection, path, repair=repair))
            return found + list(_find_dead_aliases(connection, options))
    except (apsw.Error, DatabaseRefused, DirectoryError) as error:
        return [Finding(DIRECTORY, "unreadable", str(error))]


def _check_all(connection: apsw.Connection, path: str, *, repair: bool) -> Iterator[Finding]:
    damage = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(20)")]
    if damage != ["ok"]:
        yield Finding(DIRECTORY, "damaged", "; ".join(damage), repair and _reindex(connection, path))
    tables = {str(name) for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    for word, what, table, where in _CHECKS:
        if table not in tables:  # of an older version; the upgrade makes it
            continue
        count = connection.execute(f"SELECT count(*) FROM {table} WHERE {where}").get
        if count:
            if repair:
                _delete(connection, path, table, where)
            yield Finding(DIRECTORY, word, f"{what}: {count}", repair)
    for what, search in _UNMENDABLE:
        found = [str(row[0]) for row in connection.execute(search)]
        if found:
            yield Finding(DIRECTORY, "dangling", f"{what}: {', '.join(found[:20])}")
    for (text,) in connection.execute(_TEXTS):
        if not _is_address(str(text)):
            yield Finding(DIRECTORY, "dangling", f"not an address: {str(text)!r}")


def _find_dead_aliases(connection: apsw.Connection, options: DirectoryOptions | None) -> Iterator[Finding]:
    directory = SqliteDirectory(connection, options)
    for alias, target in connection.execute(_ALIASES).fetchall():
        with contextlib.suppress(AddressError, DirectoryError):
            if directory.look_up(parse_address(str(target))) is Standing.UNKNOWN:
                yield Finding(DIRECTORY, TOLD, f"{alias}: nobody is {target}")


def _is_address(text: str) -> bool:
    try:
        parse_address(text)
    except AddressError:
        return False
    return True


def _reindex(connection: apsw.Connection, path: str) -> bool:
    with contextlib.suppress(DirectoryError):
        with transaction(connection, path):
            connection.execute("REINDEX")
        return str(connection.execute("PRAGMA integrity_check(1)").get) == "ok"
    return False


def _delete(connection: apsw.Connection, path: str, table: str, where: str) -> None:
    with transaction(connection, path):
        connection.execute(f"DELETE FROM {table} WHERE {where}")
        connection.execute(RAISE_GENERATION)
