"""Domains, accounts, aliases and passwords by what people write: for the command line, the control socket, admin pages.

Texts come in, plain values go out (as JSON would have them). What makes no sense, or cannot be done, is
`DirectoryRefusal` with words for people, and nothing is changed. Methods that are not coroutines block until the
change is durable. A password that was made here is shown once, in the answer; it cannot be read again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from posthouse.message.address import Address, AddressError, LocalPart, parse_address, parse_domain
from posthouse.message.instant import format_rfc3339
from posthouse.message.mailbox import AccountId
from posthouse.ports.clock import Clock
from posthouse.ports.compute import Compute
from posthouse.ports.credentials import Credential, CredentialKind, Credentials, PasswordHash
from posthouse.ports.directory import Account, Accounts
from posthouse.ports.directory_admin import (
    AccountChange,
    AliasEntry,
    DirectoryAdmin,
    DirectoryRefusal,
    DomainEntry,
    NewAccount,
    RemovedAccount,
)
from posthouse.ports.login import SaveSent, Scope
from posthouse.trust.secrets import NewPassword, make_app_password, make_credential

Plain = dict[str, object]
MAX_NAME = 100


@dataclass(frozen=True, slots=True)
class AppPasswordOptions:
    scopes: Sequence[str] = ()  # none given: all
    save_sent: str = "auto"
    deduplicates: bool = True


class DomainOperations:
    def __init__(self, admin: DirectoryAdmin) -> None:
        self._admin = admin

    def add(self, domain: str, alias_of: str = "") -> Plain:
        return show_domain(self._admin.add_domain(read_domain(domain), read_domain(alias_of) if alias_of else ""))

    def remove(self, domain: str) -> None:
        self._admin.remove_domain(read_domain(domain))

    def list_all(self) -> list[Plain]:
        return [show_domain(entry) for entry in self._admin.list_domains()]


class AliasOperations:
    """`@domain` is the catch-all of a domain."""

    def __init__(self, admin: DirectoryAdmin) -> None:
        self._admin = admin

    def add(self, address: str, targets: Sequence[str]) -> Plain:
        return show_alias(self._admin.add_alias(read_alias(address), [read_address(target) for target in targets]))

    def remove(self, address: str, targets: Sequence[str] = ()) -> None:
        self._admin.remove_alias(read_alias(address), [read_address(target) for target in targets])

    def list_all(self, domain: str = "") -> Iterator[Plain]:
        return map(show_alias, self._admin.list_aliases(read_domain(domain) if domain else ""))


class AccountOperations:
    def __init__(self, admin: DirectoryAdmin, accounts: Accounts) -> None:
        self._admin, self._accounts = admin, accounts

    def find(self, login: str) -> Account:
        read_address(login)
        found = self._accounts.find(login)
        if found is None:
            raise DirectoryRefusal(f"there is no account {login}")
        return found

    def knows(self, login: str) -> bool:
        return self._accounts.find(login) is not None

    def add(self, address: str, new: AccountChange) -> Account:
        return self._admin.add_account(
            NewAccount(
                read_address(address),
                read_text(new.display_name or ""),
                new.quota_octets or None,
                new.quota_emails or None,
                bool(new.is_admin),
            )
        )

    def change(self, login: str, change: AccountChange) -> Plain:
        if change.display_name is not None:
            change = replace(change, display_name=read_text(change.display_name))
        return show_account(self._admin.change_account(self.find(login).id, change))

    def remove(self, login: str) -> list[str]:
        """The aliases that name one of its addresses, and now lead there in vain."""
        account = self.find(login)
        self._admin.remove_account(account.id)
        found = (self._admin.find_aliases_to(read_address(address)) for address in account.addresses)
        return sorted({alias for aliases in found for alias in aliases})

    def undelete(self, address: str) -> Plain:
        return show_account(self._admin.undelete_account(read_address(address)))

    def add_address(self, login: str, address: str, *, is_primary: bool = False) -> Plain:
        account = self.find(login)
        return show_account(self._admin.add_address(account.id, read_address(address), is_primary=is_primary))

    def remove_address(self, login: str, address: str) -> Plain:
        return show_account(self._admin.remove_address(self.find(login).id, read_address(address)))

    def list_all(self, domain: str = "") -> Iterator[Plain]:
        return map(show_account, self._admin.list_accounts(read_domain(domain) if domain else ""))

    def list_removed(self) -> list[Plain]:
        return [show_removed(entry) for entry in self._admin.list_removed()]


@dataclass(frozen=True, slots=True)
class PasswordOperations:
    """`secret_octets(n)` gives n random octets fit for secrets."""

    credentials: Credentials
    hasher: PasswordHash
    compute: Compute
    clock: Clock
    secret_octets: Callable[[int], bytes]

    async def set_main(self, account: AccountId, password: str = "") -> str:
        """Takes the place of the one before it. Without a password one is made; it is returned."""
        chosen = password or make_app_password(self.secret_octets)
        await self._store(NewPassword(account, CredentialKind.MAIN, chosen))
        return chosen

    async def add_app(self, account: AccountId, name: str, options: AppPasswordOptions) -> str:
        """The new password."""
        if not read_text(name):
            raise DirectoryRefusal("an app password needs a name")
        password = make_app_password(self.secret_octets)
        scopes = read_scopes(options.scopes)
        await self._store(NewPassword(account, CredentialKind.APP, password, name, scopes), options)
        return password

    async def _store(self, new: NewPassword, options: AppPasswordOptions | None = None) -> None:
        secret, now = self.credentials.server_secret(), self.clock.now()
        try:
            row = await self.compute.run(lambda: make_credential(new, self.hasher, secret, now))
            if options is not None:
                save_sent = read_save_sent(options.save_sent)
                row = replace(row, save_sent=save_sent, deduplicates=options.deduplicates)
            await self.credentials.add(self._inherit(row))
        except ValueError as error:
            raise DirectoryRefusal(str(error)) from None

    def _inherit(self, row: Credential) -> Credential:
        """A new main password is good for what the old one was: with a second factor not for mail programs."""
        known = self.credentials.list_for(row.account) if row.kind is CredentialKind.MAIN else ()
        old = next((each for each in known if each.kind is CredentialKind.MAIN), None)
        if old is None:
            return row
        return replace(row, scopes=old.scopes, save_sent=old.save_sent, deduplicates=old.deduplicates)

    def list_all(self, account: AccountId) -> list[Plain]:
        return [show_credential(row) for row in self.credentials.list_for(account)]

    async def remove_app(self, account: AccountId, name: str) -> None:
        rows = [row for row in self.credentials.list_for(account) if row.kind is CredentialKind.APP]
        found = [row.id for row in rows if row.name == name]
        if not found or not await self.credentials.remove(account, found[0]):
            raise DirectoryRefusal(f"there is no app password {name!r}")


# -- what people write


def read_address(text: str) -> Address:
    try:
        return parse_address(text)
    except AddressError as error:
        raise DirectoryRefusal(f"{text}: {error}") from None


def read_domain(text: str) -> str:
    try:
        domain = parse_domain(text)
    except AddressError as error:
        raise DirectoryRefusal(f"{text}: {error}") from None
    if domain.startswith("["):
        raise DirectoryRefusal(f"{text} is an address, not a domain")
    return domain


def read_alias(text: str) -> Address:
    if not text.startswith("@"):
        return read_address(text)
    return Address(LocalPart(""), parse_domain(read_domain(text[1:])))


def read_text(text: str) -> str:
    if len(text) > MAX_NAME or not text.isprintable():
        raise DirectoryRefusal(f"a name has at most {MAX_NAME} characters, and no control characters")
    return text


def read_scopes(words: Sequence[str]) -> frozenset[Scope]:
    try:
        return frozenset(map(Scope, words)) or frozenset(Scope)
    except ValueError:
        raise DirectoryRefusal(f"scopes are: {', '.join(Scope)}") from None


def read_save_sent(word: str) -> SaveSent:
    try:
        return SaveSent(word)
    except ValueError:
        raise DirectoryRefusal(f"save-sent is one of: {', '.join(SaveSent)}") from None


# -- what is shown


def show_domain(entry: DomainEntry) -> Plain:
    return {
        "domain": entry.name,
        "alias_of": entry.alias_of or None,
        "accounts": entry.accounts,
        "aliases": entry.aliases,
    }


def show_alias(entry: AliasEntry) -> Plain:
    return {"address": entry.address, "targets": list(entry.targets)}


def show_account(account: Account) -> Plain:
    return {
        "id": account.id,
        "address": account.address,
        "name": account.display_name,
        "addresses": list(account.addresses),
        "quota": account.quota_octets,
        "quota_emails": account.quota_emails,
        "disabled": account.is_disabled,
        "admin": account.is_admin,
        "shard": account.shard,
    }


def show_removed(entry: RemovedAccount) -> Plain:
    return {
        "id": entry.account,
        "address": entry.address,
        "shard": entry.shard,
        "removed": format_rfc3339(entry.removed_at),
    }


def show_credential(row: Credential) -> Plain:
    return {
        "name": row.name,
        "kind": row.kind.value,
        "scopes": sorted(row.scopes),
        "created": format_rfc3339(row.created),
        "last_used": None if row.last_used is None else format_rfc3339(row.last_used),
        "save_sent": row.save_sent.value,
        "deduplicates": row.deduplicates,
    }
