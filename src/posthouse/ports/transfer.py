"""Mail that moves in and out of accounts as a whole: what an import reads from, what an export writes to.

A source tells for each message where to go on behind it. That position is stored in the same commit as the message
(`Imports.add`), so an import that was killed goes on without loss and without doubles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from posthouse.message.mailbox import AccountId, Role
from posthouse.ports.store import Addition, StoreRefusal


class TransferError(Exception):
    """The other side (file, directory, server) cannot be read or written; the text says why, for people."""


@dataclass(slots=True)
class Letter:
    """A message of a source. `octets` are in wire form (CRLF).

    `folder` and `position`: where the source goes on behind it. `path` is where it is to go, from the top; `role` what
    the source says that mailbox is for. `received` None: the source does not know. `says_more`: fields of the header
    tell flags and mailboxes (mbox). `weight` is its share of `Source.total`. With `problem` it cannot be taken; with
    `is_deleted` the source only waits to be rid of it. `is_mailbox`: no message, it only tells of the mailbox. `labels`
    of Gmail stand for `path`. `uidl`: what POP3 of the source calls it.
    """

    folder: str
    position: str
    path: tuple[str, ...]
    octets: bytes
    flags: frozenset[str] = frozenset()
    received: float | None = None
    zone_minutes: int = 0
    role: Role | None = None
    says_more: bool = False
    weight: int = 1
    problem: str = ""
    is_deleted: bool = False
    is_mailbox: bool = False
    labels: Sequence[str] | None = None
    uidl: str = ""


class Source(Protocol):
    """Blocks; used from one thread at a time. `close` may come from another one and ends a call that waits."""

    @property
    def key(self) -> bytes:
        """What is read and where it goes, as a hash: names the marks."""

    @property
    def batch(self) -> int:
        """How many messages are worth a commit."""

    @property
    def total(self) -> int:
        """Of the weights; known once `letters` has begun."""

    @property
    def already(self) -> int:
        """Messages that an earlier run took; known once `letters` has begun."""

    def letters(self, marks: Mapping[str, str]) -> Iterator[Letter]:
        """In an order that is the same every time. `marks`: the last position of each folder. Raises TransferError."""

    def close(self) -> None: ...


class Mark(NamedTuple):
    """How far a folder of a source has been taken, and how far before; "" for not begun."""

    folder: str
    before: str
    position: str


class ImportUnderWay(StoreRefusal):
    """Another import from the same source has gone on meanwhile."""


class Imports(Protocol):
    """The store's part."""

    async def marks(self, account: AccountId, source: bytes) -> dict[str, str]:
        """The last position by folder."""

    async def add(
        self, account: AccountId, additions: Sequence[Addition], source: bytes, marks: Sequence[Mark]
    ) -> None:
        """Emails and marks in one commit, all or none. Raises as `Messages.add`; ImportUnderWay when a mark is not
        what it should have been before.
        """

    async def forget(self, account: AccountId, source: bytes) -> None:
        """The next import from there begins at the beginning."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """A message on its way out. `name` is unique in the account and the same in every export."""

    name: str
    uid: int
    octets: bytes
    flags: tuple[str, ...]
    received: float
    zone_minutes: int


class Sink(Protocol):
    """Where an export goes. Blocks; used from one thread at a time."""

    def open_mailbox(self, path: tuple[str, ...]) -> int:
        """Messages go there from now on. The highest UID that an export cut short has left there, 0 for none."""

    def write(self, messages: Sequence[Leaving]) -> None:
        """Raises TransferError."""

    def finish(self) -> None:
        """All of it is durable."""

    @property
    def lost_keywords(self) -> int:
        """Messages that had more keywords than the form can hold."""


Report = Callable[[int, int], None]  # done and total
