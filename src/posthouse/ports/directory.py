"""Who we deliver for and who may log in. Answers are immediate: the directory is cached in each worker.

Domains are compared by their A-labels in lower case, local parts without regard to case and composed alike (NFC);
what is sent onward keeps the spelling it came with. A change by `posthouse account` is seen by the next call.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from posthouse.message.address import Address
from posthouse.message.mailbox import AccountId


class DirectoryError(Exception):
    """It cannot be asked now, or an alias stands for more than is allowed: temporary (4xx)."""


class Standing(enum.Enum):
    """What an address is to us."""

    KNOWN = "known"  # hosted here and exists
    UNKNOWN = "unknown"  # its domain is hosted here, it does not exist: 550 5.1.1
    ELSEWHERE = "elsewhere"  # not our domain


@dataclass(frozen=True, slots=True)
class Account:
    """`address` is the login name and first of `addresses`. Quotas None: without limit."""

    id: AccountId
    address: str
    display_name: str = ""
    addresses: tuple[str, ...] = ()
    quota_octets: int | None = None
    quota_emails: int | None = None
    is_disabled: bool = False
    is_admin: bool = False
    shard: int = 0  # of the store


@dataclass(frozen=True, slots=True)
class LocalMailbox:
    """Where a local address ends. `detail` is the subaddress (RFC 5233 §1), "" without one: it may name a mailbox."""

    account: AccountId
    address: Address
    detail: str = ""


class Directory(Protocol):
    """For receiving and delivering. Any call may raise DirectoryError."""

    def look_up(self, address: Address) -> Standing: ...

    def expand(self, address: Address) -> Sequence[Address]:
        """What the address stands for: itself, or the targets of an alias or catch-all, local ones followed to their
        end. Loops end, each target comes once, at most as many as the configuration allows. Never empty for KNOWN.
        """

    def mailbox_of(self, address: Address) -> LocalMailbox | None:
        """The account that an expanded address belongs to; None: it is no account's (any more)."""


class Accounts(Protocol):
    """For logging in, sending and administering."""

    def get(self, account: AccountId) -> Account | None: ...

    def find(self, login: str) -> Account | None:
        """By login name or any of its addresses; disabled ones too."""

    def may_send_as(self, account: AccountId, address: Address) -> bool:
        """One of its addresses (any subaddress, any alias of the domain), or an alias that leads to it alone."""


class FakeDirectory:
    """`people` maps a hosted domain to its local parts; None means that every local part exists. `aliases` maps an
    address to its targets, `accounts` an address (lower case) to its account.
    """

    def __init__(
        self,
        people: Mapping[str, frozenset[str] | None] | None = None,
        aliases: Mapping[str, Sequence[Address]] | None = None,
        accounts: Mapping[str, AccountId] | None = None,
    ) -> None:
        self.people = dict(people or {})
        self.aliases = dict(aliases or {})
        self.accounts = dict(accounts or {})

    def look_up(self, address: Address) -> Standing:
        if str(address).lower() in self.accounts or str(address).lower() in self.aliases:
            return Standing.KNOWN
        if address.domain not in self.people:
            return Standing.ELSEWHERE
        known = self.people[address.domain]
        return Standing.KNOWN if known is None or address.local.lower() in known else Standing.UNKNOWN

    def expand(self, address: Address) -> Sequence[Address]:
        return self.aliases.get(str(address).lower(), (address,))

    def mailbox_of(self, address: Address) -> LocalMailbox | None:
        account = self.accounts.get(str(address).lower())
        return LocalMailbox(account, address) if account is not None else None
