"""What an administrator may change in the directory, and may see of it that mail does not need.

Calls block until the change is durable: from a command or a thread, never from the event loop. One call is one
transaction. `DirectoryRefusal` says in words for people why nothing was changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from posthouse.message.address import Address
from posthouse.message.instant import Instant
from posthouse.message.mailbox import AccountId
from posthouse.ports.directory import Account


class DirectoryRefusal(Exception):
    """It cannot be done as asked; nothing was changed."""


@dataclass(frozen=True, slots=True)
class DomainEntry:
    """`alias_of` "": a domain of its own. `accounts` and `aliases` have an address in it."""

    name: str
    alias_of: str = ""
    accounts: int = 0
    aliases: int = 0


@dataclass(frozen=True, slots=True)
class AliasEntry:
    """`address` is "@domain" for a catch-all."""

    address: str
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NewAccount:
    address: Address
    display_name: str = ""
    quota_octets: int | None = None
    quota_emails: int | None = None
    is_admin: bool = False


@dataclass(frozen=True, slots=True)
class AccountChange:
    """What is None stays. A quota of 0 takes the limit away."""

    display_name: str | None = None
    quota_octets: int | None = None
    quota_emails: int | None = None
    is_disabled: bool | None = None
    is_admin: bool | None = None


@dataclass(frozen=True, slots=True)
class RemovedAccount:
    account: AccountId
    address: str
    shard: int
    removed_at: Instant


MAX_FORWARDS = 10  # addresses that an account forwards to


@dataclass(frozen=True, slots=True)
class Forwarding:
    """What becomes of mail to an account. Without targets it stays there."""

    targets: tuple[str, ...] = ()
    keeps_copy: bool = True


class DirectoryAdmin(Protocol):
    """An alias with an empty local part is the domain's catch-all. All may raise DirectoryRefusal, DirectoryError."""

    # -- domains

    def add_domain(self, domain: str, alias_of: str = "") -> DomainEntry: ...

    def remove_domain(self, domain: str) -> None:
        """Refused while accounts or aliases have an address in it, or another domain is an alias of it."""

    def find_domain(self, domain: str) -> DomainEntry | None: ...

    def list_domains(self) -> Sequence[DomainEntry]: ...

    # -- accounts

    def add_account(self, new: NewAccount) -> Account:
        """In the store's shard that has the fewest."""

    def change_account(self, account: AccountId, change: AccountChange) -> Account: ...

    def remove_account(self, account: AccountId) -> None:
        """Unknown from now on; the store erases it after the undelete time (`list_removed`, `forget_account`)."""

    def undelete_account(self, address: Address) -> Account:
        """The one that was removed last under that address, with those of its addresses that are still free."""

    def forget_account(self, account: AccountId) -> None:
        """The store has erased it. Its id does not come back."""

    def list_accounts(self, domain: str = "", after: Address | None = None) -> Iterator[Account]:
        """By login name (domain, then local part), those behind `after`."""

    def list_removed(self, before: Instant | None = None) -> Sequence[RemovedAccount]:
        """Removed until then."""

    def add_address(self, account: AccountId, address: Address, *, is_primary: bool = False) -> Account: ...

    def remove_address(self, account: AccountId, address: Address) -> Account:
        """Refused for the last one."""

    # -- aliases

    def add_alias(self, address: Address, targets: Sequence[Address]) -> AliasEntry:
        """Adds to the targets that it has."""

    def remove_alias(self, address: Address, targets: Sequence[Address] = ()) -> None:
        """Those targets; without any, all."""

    def list_aliases(self, domain: str = "") -> Iterator[AliasEntry]: ...

    def find_aliases_to(self, address: Address) -> Sequence[str]:
        """Aliases that name this address as a target."""

    # -- settings of an account

    def read_settings(self, account: AccountId) -> dict[str, str]: ...

    def write_setting(self, account: AccountId, key: str, value: str | None) -> None:
        """None removes it."""

    def read_forwarding(self, account: AccountId) -> Forwarding: ...

    def set_forwarding(self, account: AccountId, targets: Sequence[Address], *, keeps_copy: bool) -> Forwarding:
        """Without targets it ends. Refused: what is no address of a mailbox, the account itself, what would come back
        here without leaving a copy.
        """
