"""What a JMAP method is given: the call, who called, and the ports it works on (RFC 8620 §3.3, §3.6.2).

A method is a coroutine `(Call) -> arguments of the response`; it raises MethodError. Each module of methods lists its
own in a table, name to `Method`; methods.py joins the tables.

States are the account's modification sequence: one number for all types, which never falls.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from posthouse.access.jmap.suggestions_book import AddressBooks
from posthouse.access.jmap.thread_counts import ThreadTallies
from posthouse.message.mailbox import AccountId, ModSeq
from posthouse.message.objectids import name_account
from posthouse.message.parsed import ParsedMessage
from posthouse.ports.clock import Clock
from posthouse.ports.compute import Compute
from posthouse.ports.directory import Accounts
from posthouse.ports.login import Login, Scope
from posthouse.ports.observe import Log
from posthouse.ports.records import Records
from posthouse.ports.sending import EmailSending
from posthouse.ports.store import Store
from posthouse.ports.uploads import Uploads
from posthouse.protocol.jmap.arguments import SetArguments, check_state
from posthouse.protocol.jmap.errors import ErrorType, MethodError
from posthouse.protocol.jmap.execution import Answer
from posthouse.protocol.jmap.json import JsonObject
from posthouse.protocol.jmap.limits import CoreLimits, check_set_size

_MAX_DIGITS = 18


@dataclass(frozen=True, slots=True)
class JmapParts:
    """One per worker. `parse` is message/parse.py, beside the loop for large messages; `make_token` gives
    unguessable letters.
    """

    store: Store
    records: Records
    sending: EmailSending
    accounts: Accounts
    uploads: Uploads
    clock: Clock
    compute: Compute
    log: Log
    parse: Callable[[bytes], Awaitable[ParsedMessage]]
    make_token: Callable[[], str]
    limits: CoreLimits
    hostname: str
    max_message_size: int = 50_000_000
    max_delayed_send_s: int = 0
    undo_s: float = 0.0
    max_recipients: int = 1000
    inline_limit: int = 128 * 1024  # of the store: larger bodies are written in pieces
    tallies: ThreadTallies = field(default_factory=ThreadTallies)
    address_books: AddressBooks = field(default_factory=AddressBooks)


@dataclass(slots=True)
class Call:
    """`created`: creation ids of the whole request, which a /set adds to (RFC 8620 §5.3). `extra`: responses that
    follow the method's own (RFC 8621 §7.5), filled by the method.
    """

    parts: JmapParts
    login: Login
    source: str  # the client's address
    arguments: JsonObject
    created: dict[str, str] = field(default_factory=dict)
    extra: list[tuple[str, Answer | MethodError]] = field(default_factory=list)

    @property
    def owner(self) -> AccountId:
        return self.login.account

    def check_account(self, account_id: str) -> AccountId:
        """Of the arguments. Raises accountNotFound for all but one's own."""
        if account_id != name_account(self.login.account):
            raise MethodError(ErrorType.ACCOUNT_NOT_FOUND)
        return self.login.account

    def check_scope(self, scope: Scope) -> None:
        if scope not in self.login.scopes:
            raise MethodError(ErrorType.FORBIDDEN, f"This password is not for that: {scope}")

    async def begin_set(self, asked: SetArguments) -> ModSeq:
        """What every /set looks at first (RFC 8620 §5.3): the account, how much it is, `ifInState`. The state it begins
        from.
        """
        owner = self.check_account(asked.account_id)
        check_set_size(asked.size, self.parts.limits)
        modseq = await self.parts.store.changes.modseq(owner)
        check_state(asked.if_in_state, write_state(modseq))
        return modseq

    async def state(self) -> str:
        return write_state(await self.parts.store.changes.modseq(self.owner))


@dataclass(frozen=True, slots=True)
class Method:
    """`capability`: the URN that a request must use to call it."""

    capability: str
    run: Callable[[Call], Awaitable[Answer]]


Methods = Mapping[str, Method]


def write_state(modseq: ModSeq) -> str:
    return str(modseq)


def read_state(text: str) -> ModSeq:
    """Raises cannotCalculateChanges for what is no state of ours, exactly as we write it."""
    if not text.isascii() or not text.isdigit() or len(text) > _MAX_DIGITS or (text[0] == "0" and text != "0"):
        raise MethodError(ErrorType.CANNOT_CALCULATE_CHANGES)
    return ModSeq(int(text))
