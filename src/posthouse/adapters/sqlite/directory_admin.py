"""Writing directory.db: `ports.directory_admin.DirectoryAdmin`. For commands and threads, beside running workers.

Writers queue at a lock file, then `BEGIN IMMEDIATE`; a change is one transaction and durable (`synchronous=FULL`) when
the call returns. Each raises the generation and rings the bell, which is how readers learn of it. Names are checked
within the transaction, so two commands at once cannot give one address to two accounts. After a crash the last commit
counts.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import cast

import apsw

from posthouse.adapters.sqlite.database import DatabaseRefused, open_database, open_existing, open_reader, roll_back
from posthouse.adapters.sqlite.directory import DirectoryOptions, SqliteDirectory, read_account
from posthouse.adapters.sqlite.directory_bell import Bell, writing_lock
from posthouse.adapters.sqlite.directory_forwarding import KEY, make_forwarding, read_forwarding, write_forwarding
from posthouse.adapters.sqlite.directory_names import Name, key_of, name_domain, name_of, show_alias
from posthouse.message.address import Address, AddressError, LocalPart, parse_address
from posthouse.message.instant import Instant
from posthouse.message.mailbox import AccountId
from posthouse.ports.clock import Clock
from posthouse.ports.directory import Account, DirectoryError, Standing
from posthouse.ports.directory_admin import (
    AccountChange,
    AliasEntry,
    DirectoryRefusal,
    DomainEntry,
    Forwarding,
    NewAccount,
    RemovedAccount,
)

FILE = "directory.db"
_CHECKPOINT_PAGES = 1000
PAGE = 500  # rows of a list read at one time
_NOBODY = LocalPart("a" * 64)  # whom only a catch-all takes

RAISE_GENERATION = "UPDATE meta SET value = value + 1 WHERE key = 'generation'"
_ADD_DOMAIN = "INSERT INTO domain (domain, spelled, alias_of, created) VALUES (?, ?, ?, ?)"
_REMOVE_DOMAIN = "DELETE FROM domain WHERE domain = ?"
_READ_DOMAIN = "SELECT domain, coalesce(alias_of, '') FROM domain WHERE domain = ?"
_FIND_DOMAIN_ALIAS = "SELECT spelled FROM domain WHERE alias_of = ? LIMIT 1"
_COUNT_IN_DOMAIN = """
SELECT (SELECT count(DISTINCT account) FROM address WHERE domain = ?1 AND is_removed = 0),
       (SELECT count(DISTINCT local) FROM alias WHERE domain = ?1)
"""
_SELECT_DOMAIN = """
SELECT d.domain, d.spelled, coalesce(m.spelled, '') FROM domain d LEFT JOIN domain m ON m.domain = d.alias_of
"""
_FIND_DOMAIN = f"{_SELECT_DOMAIN} WHERE d.domain = ?"
_LIST_DOMAINS = f"{_SELECT_DOMAIN} ORDER BY d.domain"
_COUNT_SHARD = "SELECT count(*) FROM account WHERE shard = ?"
_ADD_ACCOUNT = """
INSERT INTO account (display_name, quota_octets, quota_emails, is_disabled, is_admin, shard, created)
VALUES (?, ?, ?, 0, ?, ?, ?) RETURNING account
"""
_CHANGE_ACCOUNT = """
UPDATE account SET display_name = coalesce(?2, display_name),
    quota_octets = iif(?3 IS NULL, quota_octets, nullif(?3, 0)),
    quota_emails = iif(?4 IS NULL, quota_emails, nullif(?4, 0)),
    is_disabled = coalesce(?5, is_disabled), is_admin = coalesce(?6, is_admin)
WHERE account = ?1 AND removed_at IS NULL
"""
_MARK_REMOVED = "UPDATE account SET removed_at = ? WHERE account = ?"
_MARK_ADDRESSES = "UPDATE address SET is_removed = ? WHERE account = ?"
_FIND_REMOVED = """
SELECT account FROM address JOIN account USING (account)
WHERE domain = ? AND local = ? AND is_removed = 1 AND removed_at IS NOT NULL ORDER BY removed_at DESC LIMIT 1
"""
_DROP_TAKEN = """
DELETE FROM address WHERE account = ?1 AND EXISTS (
    SELECT 1 FROM address AS other WHERE other.domain = address.domain AND other.local = address.local
    AND other.is_removed = 0 AND other.account <> ?1)
"""
_DROP_UNHOSTED = "DELETE FROM address WHERE account = ? AND domain NOT IN (SELECT domain FROM domain)"
_LIST_REMOVED = """
SELECT account, shard, removed_at, coalesce((SELECT spelled FROM address AS a WHERE a.account = account.account
    ORDER BY position LIMIT 1), '') FROM account WHERE removed_at <= ? ORDER BY removed_at, account
"""
_FIND_OWNER = "SELECT account FROM address WHERE domain = ? AND local = ? AND is_removed = 0"
_ADD_ADDRESS = "INSERT INTO address (account, position, domain, local, spelled, is_removed) VALUES (?, ?, ?, ?, ?, 0)"
_REMOVE_ADDRESS = "DELETE FROM address WHERE account = ? AND domain = ? AND local = ? AND is_removed = 0"
_READ_POSITIONS = "SELECT min(position), max(position) FROM address WHERE account = ?"
_LIST_ACCOUNTS = """
SELECT domain, local, account FROM address AS a WHERE is_removed = 0 AND (domain, local) > (?1, ?2)
AND (?3 = '' OR domain = ?3) AND position = (SELECT min(position) FROM address AS b WHERE b.account = a.account)
ORDER BY domain, local LIMIT ?4
"""
_LIST_ALIASES = """
SELECT domain, local, spelled, target FROM alias WHERE (domain, local) IN (
    SELECT DISTINCT domain, local FROM alias WHERE (domain, local) > (?1, ?2) AND (?3 = '' OR domain = ?3)
    ORDER BY domain, local LIMIT ?4)
ORDER BY domain, local, position
"""
_READ_ALIAS = "SELECT spelled, target FROM alias WHERE domain = ? AND local = ? ORDER BY position"
_NEXT_TARGET = "SELECT coalesce(max(position) + 1, 0) FROM alias WHERE domain = ? AND local = ?"
_ADD_TARGET = "INSERT OR IGNORE INTO alias VALUES (?, ?, ?, ?, ?, ?)"
_REMOVE_ALIAS = "DELETE FROM alias WHERE domain = ? AND local = ?"
_REMOVE_TARGET = "DELETE FROM alias WHERE domain = ? AND local = ? AND target_key = ?"
_FIND_ALIASES_TO = "SELECT spelled FROM alias WHERE target_key = ? ORDER BY domain, local"
_READ_SETTINGS = "SELECT key, value FROM setting WHERE account = ? ORDER BY key"
_WRITE_SETTING = "INSERT OR REPLACE INTO setting VALUES (?, ?, ?)"
_REMOVE_SETTING = "DELETE FROM setting WHERE account = ? AND key = ?"
_OWN_TABLES = (  # rows of an account, itself last
    "web_session",
    "totp",
    "recovery_code",
    "passkey",
    "setting",
    "place",
    "credential",
    "address",
    "account",
)


def _name(domain: str) -> str:
    try:
        return name_domain(domain)
    except AddressError as error:
        raise DirectoryRefusal(f"{domain}: {error}") from None


def _check_name(address: Address) -> Name:
    try:
        return name_of(address)
    except AddressError as error:
        raise DirectoryRefusal(f"{address}: {error}") from None


def _key(address: Address) -> str:
    try:
        return key_of(address)
    except AddressError as error:
        raise DirectoryRefusal(f"{address}: {error}") from None


def _parse(spelled: str) -> Address:
    """What we stored ourselves."""
    try:
        return parse_address(spelled)
    except AddressError as error:
        raise DirectoryError(f"{spelled}: {error}; see posthouse fsck") from None


def open_for_writing(path: str) -> apsw.Connection:
    """Makes or upgrades the file. Raises DirectoryError."""
    try:
        with writing_lock(path):
            connection = open_database(path, "directory", cache_kib=4096)
            connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    except (DatabaseRefused, OSError, apsw.Error) as error:
        raise DirectoryError(str(error)) from error
    return connection


def open_directory(path: str, options: DirectoryOptions | None = None) -> SqliteDirectory:
    """For a worker. Makes the file when it is not there. Raises DirectoryError."""
    open_for_writing(path).close()
    try:
        return SqliteDirectory(open_reader(path), options, Bell(path))
    except (apsw.Error, OSError) as error:
        raise DirectoryError(f"{path}: {error}") from error


def list_hosted(path: str) -> list[str]:
    """The domains in the file, as A-labels; changes and makes nothing. Raises DirectoryError."""
    if not os.path.exists(path):
        return []
    try:
        with contextlib.closing(open_existing(path)) as connection:
            return [str(domain) for (domain,) in connection.execute("SELECT domain FROM domain ORDER BY domain")]
    except apsw.Error as error:
        raise DirectoryError(f"{path}: {error}") from error


@contextlib.contextmanager
def transaction(connection: apsw.Connection, path: str) -> Iterator[None]:
    """A change, alone and durable at its end. Raises DirectoryError when the disk or somebody else is in the way."""
    try:
        with writing_lock(path) as rope:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                rope.announce()
                connection.execute("COMMIT")
            except BaseException:
                roll_back(connection)
                raise
            finally:
                rope.ring()
    except (apsw.Error, OSError) as error:
        raise DirectoryError(f"{path}: {error}") from error


class SqliteDirectoryAdmin:
    """`directory` answers on the same connection: what is written is seen at once. `shards`: how many the store has."""

    def __init__(
        self, path: str, clock: Clock, options: DirectoryOptions | None = None, shards: int = 1, *, page: int = PAGE
    ) -> None:
        self._path, self._clock, self._shards, self._page = path, clock, shards, page
        self.connection = open_for_writing(path)
        self.directory = SqliteDirectory(self.connection, options)

    def close(self) -> None:
        self.connection.close()

    @contextlib.contextmanager
    def _change(self) -> Iterator[None]:
        with transaction(self.connection, self._path):
            self.directory.forget()  # what is looked up within comes from the transaction
            try:
                yield
            finally:
                self.directory.forget()
            self._run(RAISE_GENERATION)

    def _run(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        return self.connection.execute(sql, cast(tuple[str, ...], values)).fetchall()

    # -- domains

    def add_domain(self, domain: str, alias_of: str = "") -> DomainEntry:
        name, main = _name(domain), _name(alias_of) if alias_of else None
        with self._change():
            if self._run(_READ_DOMAIN, name):
                raise DirectoryRefusal(f"{domain} is already here")
            if main is not None:
                self._check_main(alias_of, main)
            self._run(_ADD_DOMAIN, name, domain, main, self._clock.now())
        return DomainEntry(domain, alias_of)

    def _check_main(self, alias_of: str, main: str) -> None:
        found = self._run(_READ_DOMAIN, main)
        if not found:
            raise DirectoryRefusal(f"{alias_of} is not hosted here")
        if found[0][1]:
            raise DirectoryRefusal(f"{alias_of} is itself an alias of {found[0][1]}")

    def remove_domain(self, domain: str) -> None:
        name = _name(domain)
        with self._change():
            self._check_hosted(domain, name)
            accounts, aliases = self._run(_COUNT_IN_DOMAIN, name)[0]
            if accounts or aliases:
                raise DirectoryRefusal(f"{domain} has {accounts} accounts and {aliases} aliases: remove them first")
            others = self._run(_FIND_DOMAIN_ALIAS, name)
            if others:
                raise DirectoryRefusal(f"{others[0][0]} is an alias of {domain}: remove it first")
            self._run(_REMOVE_DOMAIN, name)

    def find_domain(self, domain: str) -> DomainEntry | None:
        entries = [self._count_domain(row) for row in self._run(_FIND_DOMAIN, _name(domain))]
        return entries[0] if entries else None

    def list_domains(self) -> Sequence[DomainEntry]:
        return [self._count_domain(row) for row in self._run(_LIST_DOMAINS)]

    def _count_domain(self, row: tuple[object, ...]) -> DomainEntry:
        accounts, aliases = cast(tuple[int, int], self._run(_COUNT_IN_DOMAIN, row[0])[0])
        return DomainEntry(str(row[1]), str(row[2]), accounts, aliases)

    def _check_hosted(self, shown: str, name: str) -> None:
        if not self._run(_READ_DOMAIN, name):
            raise DirectoryRefusal(f"{shown} is not hosted here: posthouse domain add {shown}")

    # -- accounts

    def add_account(self, new: NewAccount) -> Account:
        name = _check_name(new.address)
        with self._change():
            self._check_free(new.address, name)
            values = (new.display_name, new.quota_octets, new.quota_emails, int(new.is_admin))
            row = self._run(_ADD_ACCOUNT, *values, self._choose_shard(), self._clock.now())[0]
            account = AccountId(cast(int, row[0]))
            self._run(_ADD_ADDRESS, account, 0, *name, str(new.address))
        return self._get(account)

    def _choose_shard(self) -> int:
        counts = [cast(int, self._run(_COUNT_SHARD, shard)[0][0]) for shard in range(self._shards)]
        return counts.index(min(counts))

    def _get(self, account: AccountId) -> Account:
        found = read_account(self.connection, account)
        if found is None:
            raise DirectoryRefusal("there is no such account")
        return found

    def _check_free(self, address: Address, name: Name) -> None:
        self._check_hosted(address.domain, name.domain)
        owner = self._run(_FIND_OWNER, *name)
        if owner:
            taken = self._get(AccountId(cast(int, owner[0][0])))
            raise DirectoryRefusal(f"{address} belongs to the account {taken.address}")

    def change_account(self, account: AccountId, change: AccountChange) -> Account:
        flags = [None if flag is None else int(flag) for flag in (change.is_disabled, change.is_admin)]
        with self._change():
            self._get(account)
            self._run(_CHANGE_ACCOUNT, account, change.display_name, change.quota_octets, change.quota_emails, *flags)
        return self._get(account)

    def remove_account(self, account: AccountId) -> None:
        with self._change():
            self._get(account)
            self._run(_MARK_REMOVED, self._clock.now(), account)
            self._run(_MARK_ADDRESSES, 1, account)

    def undelete_account(self, address: Address) -> Account:
        name = _check_name(address)
        with self._change():
            found = self._run(_FIND_REMOVED, *name)
            if not found:
                raise DirectoryRefusal(f"no removed account had the address {address}")
            self._check_free(address, name)
            account = AccountId(cast(int, found[0][0]))
            self._run(_DROP_TAKEN, account)
            self._run(_DROP_UNHOSTED, account)
            self._run(_MARK_ADDRESSES, 0, account)
            self._run(_MARK_REMOVED, None, account)
        return self._get(account)

    def forget_account(self, account: AccountId) -> None:
        with self._change():
            if not self._run("SELECT 1 FROM account WHERE account = ? AND removed_at IS NOT NULL", account):
                raise DirectoryRefusal("there is no such removed account")
            for table in _OWN_TABLES:
                self._run(f"DELETE FROM {table} WHERE account = ?", account)

    def list_accounts(self, domain: str = "", after: Address | None = None) -> Iterator[Account]:
        only, last = _name(domain) if domain else "", _check_name(after) if after is not None else Name("", "")
        while rows := self._run(_LIST_ACCOUNTS, *last, only, self._page):
            for _, _, account in rows:
                found = read_account(self.connection, AccountId(cast(int, account)))
                if found is not None:
                    yield found
            last = Name(str(rows[-1][0]), str(rows[-1][1]))

    def list_removed(self, before: Instant | None = None) -> Sequence[RemovedAccount]:
        rows = self._run(_LIST_REMOVED, self._clock.now() if before is None else before)
        return [
            RemovedAccount(AccountId(account), address, shard, Instant(removed_at))
            for account, shard, removed_at, address in cast(list[tuple[int, int, float, str]], rows)
        ]

    def add_address(self, account: AccountId, address: Address, *, is_primary: bool = False) -> Account:
        """One that it has already only moves to the front, or gets its new spelling."""
        name = _check_name(address)
        with self._change():
            self._get(account)
            if self._run(_FIND_OWNER, *name) == [(account,)] and is_primary:
                self._run(_REMOVE_ADDRESS, account, *name)
            self._check_free(address, name)
            lowest, highest = self._run(_READ_POSITIONS, account)[0]
            position = cast(int, lowest or 0) - 1 if is_primary else cast(int, highest or 0) + 1
            self._run(_ADD_ADDRESS, account, position, *name, str(address))
        return self._get(account)

    def remove_address(self, account: AccountId, address: Address) -> Account:
        name = _check_name(address)
        with self._change():
            found = self._get(account)
            if name not in [name_of(each) for each in map(_parse, found.addresses)]:
                raise DirectoryRefusal(f"{found.address} does not have the address {address}")
            if len(found.addresses) == 1:
                raise DirectoryRefusal(f"{address} is the only address of the account: remove the account instead")
            self._run(_REMOVE_ADDRESS, account, *name)
        return self._get(account)

    # -- aliases

    def add_alias(self, address: Address, targets: Sequence[Address]) -> AliasEntry:
        name = _check_name(address)
        with self._change():
            self._check_hosted(address.domain, name.domain)
            position = cast(int, self._run(_NEXT_TARGET, *name)[0][0])
            for number, target in enumerate(targets, position):
                self._run(_ADD_TARGET, *name, number, show_alias(address), str(target), _key(target))
            self._check_end(address)
        return AliasEntry(show_alias(address), self._read_targets(name))

    def _check_end(self, address: Address) -> None:
        """Too many targets, or nobody at the end, is better said to whoever makes the alias than to senders."""
        sample = address if address.local else Address(_NOBODY, address.domain)
        try:
            standing = self.directory.look_up(sample)
        except DirectoryError as error:
            raise DirectoryRefusal(str(error)) from None
        if standing is not Standing.KNOWN:
            raise DirectoryRefusal(f"{show_alias(address)} would lead to nobody: its targets do not exist, or loop")

    def _read_targets(self, name: Name) -> tuple[str, ...]:
        return tuple(str(target) for _, target in self._run(_READ_ALIAS, *name))

    def remove_alias(self, address: Address, targets: Sequence[Address] = ()) -> None:
        name = _check_name(address)
        with self._change():
            known = self._run(_READ_ALIAS, *name)
            if not known:
                raise DirectoryRefusal(f"there is no alias {show_alias(address)}")
            if not targets:
                self._run(_REMOVE_ALIAS, *name)
            keys = {_key(_parse(str(target))) for _, target in known}
            for target in targets:
                if _key(target) not in keys:
                    raise DirectoryRefusal(f"{target} is no target of {show_alias(address)}")
                self._run(_REMOVE_TARGET, *name, _key(target))

    def list_aliases(self, domain: str = "") -> Iterator[AliasEntry]:
        only, after = _name(domain) if domain else "", ("", "")
        while rows := self._run(_LIST_ALIASES, *after, only, self._page):
            entries: dict[tuple[str, str], tuple[str, list[str]]] = {}
            for each_domain, local, spelled, target in cast(list[tuple[str, str, str, str]], rows):
                entries.setdefault((each_domain, local), (spelled, []))[1].append(target)
            for spelled, targets in entries.values():
                yield AliasEntry(spelled, tuple(targets))
            after = next(reversed(entries))

    def find_aliases_to(self, address: Address) -> Sequence[str]:
        return [str(spelled) for (spelled,) in self._run(_FIND_ALIASES_TO, _key(address))]

    # -- settings of an account

    def read_settings(self, account: AccountId) -> dict[str, str]:
        return {str(key): str(value) for key, value in self._run(_READ_SETTINGS, account)}

    def write_setting(self, account: AccountId, key: str, value: str | None) -> None:
        with self._change():
            self._get(account)
            if value is None:
                self._run(_REMOVE_SETTING, account, key)
            else:
                self._run(_WRITE_SETTING, account, key, value)

    def read_forwarding(self, account: AccountId) -> Forwarding:
        return read_forwarding(self.read_settings(account).get(KEY, ""))

    def set_forwarding(self, account: AccountId, targets: Sequence[Address], *, keeps_copy: bool) -> Forwarding:
        wanted = make_forwarding(targets, keeps_copy=keeps_copy)
        with self._change():
            self._get(account)
            for target in map(_parse, wanted.targets):
                self._check_target(account, target)
            if not wanted.targets:
                self._run(_REMOVE_SETTING, account, KEY)
                return wanted
            self._run(_WRITE_SETTING, account, KEY, write_forwarding(wanted))
            self._check_circle(account, wanted)
        return wanted

    def _check_target(self, account: AccountId, target: Address) -> None:
        try:
            if self.directory.may_send_as(account, target):
                raise DirectoryRefusal(f"{target} is the account itself")
            if self.directory.look_up(target) is Standing.UNKNOWN:
                raise DirectoryRefusal(f"{target} does not exist")
        except DirectoryError as error:
            raise DirectoryRefusal(str(error)) from None

    def _check_circle(self, account: AccountId, wanted: Forwarding) -> None:
        """Asked of the directory as it would be."""
        self.directory.forget()
        own = _parse(self._get(account).address)
        try:
            ends = self.directory.expand(own)
            comes_back = any((box := self.directory.mailbox_of(end)) and box.account == account for end in ends)
        except DirectoryError as error:
            raise DirectoryRefusal(str(error)) from None
        if comes_back and not wanted.keeps_copy:
            raise DirectoryRefusal("what is forwarded there would come back: the account is one of its ends")
