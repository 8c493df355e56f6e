"""directory.db as mail and logins ask it: `ports.directory.Directory` and `Accounts` on one reading connection.

Every question first looks at the bell (directory_bell.py). When it has rung, SQLite is asked whether the file changed
(`PRAGMA data_version`, 4 us); if so, and if the generation in it is another, all that is remembered goes. Addresses are
read one by one, never the whole directory, and remembered up to a number. Used by one thread, that of the event loop:
each read is a few rows and ends before it returns.

What an address means, first match: the name with its whole local part, then ever shorter ones as tags are cut off
(an alias of that name, else an account); the same in the domain that its domain is an alias of; a role address, which
goes to the postmaster setting (RFC 5321 §4.5.1, RFC 2142 §4), else to an administrator; the catch-all. An alias that
names itself means the account of that name. Disabled accounts get their mail: they only cannot log in.

An account that forwards is like an alias of its name with these targets, and itself where it keeps a copy. Where that
comes back to an account on the way, leads to nobody or too far, the mail stays in that account: nothing is lost in a
circle.

Trusts the rows to be as directory_admin.py writes them; after a crash they are those of the last commit.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar, cast

import apsw

from posthouse.adapters.sqlite.directory_bell import Bell
from posthouse.adapters.sqlite.directory_forwarding import list_targets
from posthouse.adapters.sqlite.directory_names import Name, add_tag, key_of, list_cuts, name_domain, name_of
from posthouse.message.address import Address, AddressError, LocalPart, fold_local, parse_address
from posthouse.message.mailbox import AccountId
from posthouse.ports.directory import Account, DirectoryError, LocalMailbox, Standing

K = TypeVar("K")
V = TypeVar("V")
P = ParamSpec("P")

_AccountRow = tuple[str, int | None, int | None, int, int, int]

ROLES = frozenset({"postmaster", "abuse"})

_READ_GENERATION = "SELECT value FROM meta WHERE key = 'generation'"
_FIND_DOMAIN = "SELECT coalesce(alias_of, '') FROM domain WHERE domain = ?"
# Sorted here: an ORDER BY costs more than all the rest of such a query.
_FIND_NAME = """SELECT -1, coalesce((SELECT value FROM setting AS s WHERE s.account = a.account AND key = 'forwarding'),
    ''), account FROM address AS a WHERE domain = ?1 AND local = ?2 AND is_removed = 0
UNION ALL SELECT position, target, 0 FROM alias WHERE domain = ?1 AND local = ?2"""
_FIND_TARGETS = "SELECT position, target FROM alias WHERE domain = ? AND local = ?"
_FIND_ADDRESS = "SELECT account FROM address WHERE domain = ? AND local = ? AND is_removed = 0"
_FIND_ADMIN = (
    "SELECT spelled FROM account JOIN address USING (account)"
    " WHERE is_admin AND removed_at IS NULL ORDER BY is_disabled, account, position LIMIT 1"
)
_READ_ACCOUNT = (
    "SELECT display_name, quota_octets, quota_emails, is_disabled, is_admin, shard"
    " FROM account WHERE account = ? AND removed_at IS NULL"
)
_READ_ADDRESSES = "SELECT spelled FROM address WHERE account = ? ORDER BY position"


@dataclass(frozen=True, slots=True)
class DirectoryOptions:
    """`separators`: characters that may begin a tag. Beyond the limits an alias is DirectoryError, not cut short."""

    separators: str = "+"
    postmaster: Address | None = None
    max_targets: int = 1000
    max_depth: int = 10
    cache_entries: int = 20_000


@dataclass(slots=True)
class _Place:
    """What an address means. `listed`: the targets of the alias `name`, or what the account of that name forwards to
    (`is_forwarding`). `standing` is None until they are followed.
    """

    name: Name
    mailbox: LocalMailbox | None = None
    listed: Sequence[Address] | None = None
    tag: str = ""
    is_role: bool = False
    is_forwarding: bool = False
    standing: Standing | None = None
    targets: Sequence[Address] = ()


@dataclass(slots=True)
class _Walk:
    """Following an alias to its ends. `path`: aliases we came through; `seen`: those followed before. `forwards`: also
    to where accounts forward.
    """

    forwards: bool = True
    path: list[Name] = field(default_factory=list)
    seen: set[Name] = field(default_factory=set)
    found: dict[object, Address] = field(default_factory=dict)


_ELSEWHERE = _Place(Name("", ""), standing=Standing.ELSEWHERE)


class SqliteDirectory:
    """Without a `bell` every question asks SQLite."""

    def __init__(
        self, connection: apsw.Connection, options: DirectoryOptions | None = None, bell: Bell | None = None
    ) -> None:
        self._connection = connection
        self._bell = bell
        self._count: int | None = None
        self._options = options or DirectoryOptions()
        self._version: object = None
        self._generation: object = None
        self._places: dict[tuple[str, str], _Place] = {}
        self._domains: dict[str, tuple[str, str] | None] = {}
        self._logins: dict[str, AccountId | None] = {}
        self._accounts: dict[AccountId, Account | None] = {}

    def close(self) -> None:
        self._connection.close()
        if self._bell is not None:
            self._bell.close()

    # -- Directory

    def look_up(self, address: Address) -> Standing:
        place = self._find(address)
        return place.standing or self._settle(address, place)

    def expand(self, address: Address) -> Sequence[Address]:
        place = self._find(address)
        if place.standing is None:
            self._settle(address, place)
        return place.targets or (address,)

    def mailbox_of(self, address: Address) -> LocalMailbox | None:
        return self._find(address).mailbox

    # -- Accounts

    def get(self, account: AccountId) -> Account | None:
        self.refresh()
        if account in self._accounts:
            return self._accounts[account]
        found = self._guard(self._read_account, account)
        self._keep(self._accounts, account, found)
        return found

    def find(self, login: str) -> Account | None:
        self.refresh()
        if login not in self._logins:
            self._keep(self._logins, login, self._guard(self._read_login, login))
        account = self._logins[login]
        return None if account is None else self.get(account)

    def spell_login(self, login: str) -> str:
        """One spelling of a login name for all that `find` takes for the same, whether it exists or not."""
        try:
            address = parse_address(login)
        except AddressError:
            return login.casefold()
        self.refresh()
        domain, main = self._guard(self._find_hosted, address.domain) or (address.domain, "")
        return f"{fold_local(address.local)}@{main or domain}"

    def may_send_as(self, account: AccountId, address: Address) -> bool:
        mailbox = self.mailbox_of(address)
        if mailbox is not None and mailbox.account == account:
            return True
        if self.look_up(address) is not Standing.KNOWN:
            return False
        walk = _Walk(forwards=False)
        self._guard(self._follow, walk, address, "")
        targets = list(walk.found.values())
        end = self.mailbox_of(targets[0]) if len(targets) == 1 else None
        return end is not None and end.account == account

    # -- what is remembered

    def refresh(self) -> None:
        """Forget what may have changed. Called by every question."""
        count = None if self._bell is None else self._bell.count
        if count is not None and count == self._count:
            return
        self._count = count  # looked at before the database: what comes later rings again
        try:
            version = self._connection.pragma("data_version")
        except apsw.Error as error:
            raise DirectoryError(f"directory cannot be read: {error}") from error
        if version != self._version:
            self._note_version(version)

    def forget(self) -> None:
        """Our own connection wrote: data_version does not tell that."""
        for kept in (self._places, self._domains, self._logins, self._accounts):
            kept.clear()

    @property
    def generation(self) -> object:
        """Changes with every change of domains, accounts, aliases and credentials: for others that remember."""
        self.refresh()
        return self._generation

    @property
    def version(self) -> object:
        """Changes with whatever anybody else writes to the file, last uses too."""
        self.refresh()
        return self._version

    def query(self, sql: str, bindings: tuple[int | str | bytes, ...] = ()) -> list[tuple[object, ...]]:
        """A few rows more, for the other parts of the directory. Raises DirectoryError."""
        try:
            return cast(list[tuple[object, ...]], self._connection.execute(sql, bindings).fetchall())
        except apsw.Error as error:
            raise DirectoryError(f"directory cannot be read: {error}") from error

    def _note_version(self, version: object) -> None:
        # The version first, then the generation: a commit in between is seen by the next call.
        generation = self._guard(self._read_generation)
        if generation != self._generation:
            self.forget()
        self._version, self._generation = version, generation

    def _keep(self, kept: dict[K, V], key: K, value: V) -> None:
        if len(kept) >= self._options.cache_entries:
            kept.clear()
        kept[key] = value

    def _guard(self, read: Callable[P, V], /, *args: P.args, **kwargs: P.kwargs) -> V:
        try:
            return read(*args, **kwargs)
        except apsw.Error as error:
            raise DirectoryError(f"directory cannot be read: {error}") from error

    # -- what an address means

    def _find(self, address: Address) -> _Place:
        self.refresh()
        key = (address.local, address.domain)
        place = self._places.get(key)
        if place is None:
            place = self._guard(self._read_place, address)
            if place is not _ELSEWHERE:  # there is no end of those, and their domain is remembered
                self._keep(self._places, key, place)
        return place

    def _read_place(self, address: Address) -> _Place:
        hosted = self._find_hosted(address.domain)
        if hosted is None:
            return _ELSEWHERE
        domain, main = hosted
        for each in hosted:
            place = self._read_name(address, each) if each else None
            if place is not None:
                return place
        local = fold_local(address.local)
        if local in ROLES:
            return _Place(Name(domain, local), listed=self._find_role_targets(domain, local, main), is_role=True)
        for each in hosted:
            targets = self._read_targets(each, "") if each else ()
            if targets:
                return _Place(Name(each, ""), listed=targets)
        return _Place(Name(domain, local), standing=Standing.UNKNOWN)

    def _find_hosted(self, domain: str) -> tuple[str, str] | None:
        """Our name of a domain and what it is an alias of ("" for none); None when it is not ours."""
        if domain not in self._domains:
            self._keep(self._domains, domain, self._read_hosted(domain))
        return self._domains[domain]

    def _read_hosted(self, domain: str) -> tuple[str, str] | None:
        try:
            name = name_domain(domain)
        except AddressError:
            return None
        rows = self._connection.execute(_FIND_DOMAIN, (name,)).fetchall()
        return (name, str(rows[0][0])) if rows else None

    def _read_name(self, address: Address, domain: str) -> _Place | None:
        for local, tag in list_cuts(address.local, self._options.separators):
            rows = self._connection.execute(_FIND_NAME, (domain, local)).fetchall()
            if rows:
                return _make_place(address, Name(domain, local), tag, sorted(rows))
        return None

    def _find_role_targets(self, domain: str, local: str, main: str) -> Sequence[Address]:
        postmaster = self._options.postmaster
        if postmaster is None or name_of(postmaster) in (Name(domain, local), Name(main or domain, local)):
            return self._list_admins()
        return (postmaster,)

    def _list_admins(self) -> Sequence[Address]:
        """The first of them, or nobody."""
        return _parse_all(str(spelled) for (spelled,) in self._connection.execute(_FIND_ADMIN).fetchall())

    # -- following aliases

    def _settle(self, address: Address, place: _Place) -> Standing:
        """Follow an alias once; what is found is kept with its place."""
        walk = _Walk()
        leads = self._guard(self._follow, walk, address, "")
        place.targets = tuple(walk.found.values())
        place.standing = Standing.KNOWN if leads else Standing.UNKNOWN
        return place.standing

    def _follow(self, walk: _Walk, address: Address, tag: str) -> bool:
        """False when nobody is there in the end."""
        place = self._find_place(address)
        if tag and not place.tag and place is not _ELSEWHERE and self._options.separators:
            address = add_tag(address, self._options.separators[0], tag)
            place = self._find_place(address)
        if place.listed is None or place.name in walk.path or self._stays(walk, place):
            if place is _ELSEWHERE or place.mailbox is not None:
                self._add(walk, address, place)
                return True
            return False
        if place.name in walk.seen:
            return True
        walk.seen.add(place.name)
        return self._follow_targets(walk, address, place, place.listed)

    def _stays(self, walk: _Walk, place: _Place) -> bool:
        """It is an account that forwards, and that is not followed."""
        return place.is_forwarding and (not walk.forwards or len(walk.path) >= self._options.max_depth)

    def _follow_targets(self, walk: _Walk, address: Address, place: _Place, targets: Iterable[Address]) -> bool:
        if len(walk.path) >= self._options.max_depth:
            raise DirectoryError(f"{address}: aliases of aliases beyond directory.max_alias_depth")
        walk.path.append(place.name)
        leads = False
        for target in targets:
            leads |= self._follow(walk, target, place.tag)
        walk.path.pop()
        if place.is_forwarding and not leads and place.mailbox is not None:
            self._add(walk, address, place)
            return True
        if place.is_role and not leads:  # it always reaches somebody; without administrators the caller must hold it
            walk.found[key_of(address)] = next(iter(self._list_admins()), address)
            return True
        return leads

    def _find_place(self, address: Address) -> _Place:
        """As `_find`, within a question that has looked for changes."""
        key = (address.local, address.domain)
        place = self._places.get(key)
        if place is None:
            place = self._read_place(address)
            if place is not _ELSEWHERE:
                self._keep(self._places, key, place)
        return place

    def _add(self, walk: _Walk, address: Address, place: _Place) -> None:
        mailbox = place.mailbox
        key: object = key_of(address) if mailbox is None else (mailbox.account, mailbox.detail)
        if key not in walk.found and len(walk.found) >= self._options.max_targets:
            raise DirectoryError("an alias stands for more addresses than directory.max_targets")
        walk.found.setdefault(key, address)

    # -- rows

    def _read_targets(self, domain: str, local: str) -> Sequence[Address]:
        rows = self._connection.execute(_FIND_TARGETS, (domain, local)).fetchall()
        return _parse_all(str(target) for _, target in sorted(rows))

    def _read_owner(self, domain: str, local: str) -> AccountId | None:
        rows = self._connection.execute(_FIND_ADDRESS, (domain, local)).fetchall()
        return AccountId(cast(int, rows[0][0])) if rows else None

    def _read_login(self, login: str) -> AccountId | None:
        try:
            address = parse_address(login)
        except AddressError:
            return None
        local = fold_local(address.local)
        for domain in self._find_hosted(address.domain) or ():
            found = self._read_owner(domain, local) if domain else None
            if found is not None:
                return found
        return None

    def _read_generation(self) -> object:
        return self._connection.execute(_READ_GENERATION).get

    def _read_account(self, account: AccountId) -> Account | None:
        return read_account(self._connection, account)


def _make_place(address: Address, name: Name, tag: str, rows: Sequence[tuple[object, ...]]) -> _Place:
    """Of the sorted rows of _FIND_NAME: an account comes before targets."""
    mailbox = LocalMailbox(AccountId(cast(int, rows[0][2])), address, tag) if rows[0][0] == -1 else None
    targets = _parse_all(str(row[1]) for row in rows[mailbox is not None :])
    if targets:
        return _Place(name, mailbox, listed=targets, tag=tag)
    if mailbox is not None and rows[0][1]:
        own = Address(LocalPart(name.local), address.domain) if tag else address
        targets = list_targets(str(rows[0][1]), own)
        if targets:
            return _Place(name, mailbox, listed=targets, tag=tag, is_forwarding=True)
    return _Place(name, mailbox, standing=Standing.KNOWN, targets=(address,), tag=tag)


def read_account(connection: apsw.Connection, account: AccountId) -> Account | None:
    """None when it was removed, or never was."""
    rows = connection.execute(_READ_ACCOUNT, (account,)).fetchall()
    if not rows:
        return None
    name, octets, emails, disabled, admin, shard = cast(_AccountRow, rows[0])
    addresses = tuple(str(spelled) for (spelled,) in connection.execute(_READ_ADDRESSES, (account,)))
    login = addresses[0] if addresses else ""
    return Account(account, login, name, addresses, octets, emails, bool(disabled), bool(admin), shard)


def _parse_all(texts: Iterable[str]) -> Sequence[Address]:
    """What is no address is left to fsck."""
    found = []
    for text in texts:
        with contextlib.suppress(AddressError):
            found.append(parse_address(text))
    return tuple(found)
