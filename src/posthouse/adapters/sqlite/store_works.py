"""What waits for the writer of a shard, and how a batch of it is written.

Additions of a batch are planned together and written in a handful of statements (store_add.py). Everything else is a
job: a function that runs in a savepoint of its own, so that its refusal undoes only itself; jobs that refuse before
they have changed anything need none, and share the writing of counters. A unit gives its account one modification
sequence number.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

import apsw

from posthouse.adapters.sqlite.store_book import AccountState, Book
from posthouse.adapters.sqlite.store_patches import FlagsPatch
from posthouse.adapters.sqlite.writer import Work
from posthouse.message.mailbox import AccountId
from posthouse.ports.clock import Clock
from posthouse.ports.store import Added, Addition, StoreRefusal

T = TypeVar("T")
Committed = tuple[int, int, int, int]  # account, modseq, emails, octets
Tell = Callable[[list[Committed], list[FlagsPatch]], None]


class AddWork(Work[list[Added]]):
    __slots__ = ("account", "additions", "limits")

    def __init__(
        self,
        future: asyncio.Future[list[Added]],
        account: AccountId,
        additions: Sequence[Addition],
        limits: tuple[int | None, int | None],
        octets: int,
    ) -> None:
        super().__init__(future, [], octets)
        self.account = account
        self.additions = additions
        self.limits = limits  # octets, emails


class Unit:
    """What a job works with: inside a transaction, with the account's row at hand."""

    __slots__ = ("_modseq", "_state", "book", "connection")

    def __init__(self, connection: apsw.Connection, book: Book, state: AccountState | None) -> None:
        self.connection = connection
        self.book = book
        self._state = state
        self._modseq = 0

    @property
    def state(self) -> AccountState:
        assert self._state is not None
        return self._state

    @property
    def account(self) -> int:
        return self.state.account

    @property
    def now_us(self) -> int:
        return self.book.now_us

    @property
    def modseq(self) -> int:
        """Of this unit, given at first need."""
        if not self._modseq:
            self._modseq = self.book.next_modseq(self.state)
        return self._modseq


class StoreJob(Work[T], Generic[T]):
    """`account` None: of no account in particular (clean-up). `undoes`: see `Shard.write`."""

    __slots__ = ("_call", "_undoes", "account")

    def __init__(
        self, future: asyncio.Future[T], account: AccountId | None, call: Callable[[Unit], T], *, undoes: bool
    ) -> None:
        self.future = future
        self.octets = 0
        self.error = None
        self.files = ()
        self.account = account
        self._call = call
        self._undoes = undoes

    def run(self, connection: apsw.Connection, book: Book) -> None:
        if self._undoes:
            self._run_alone(connection, book)
            return
        try:
            self._run(connection, book)
        except StoreRefusal as refusal:
            self.error = refusal

    def _run(self, connection: apsw.Connection, book: Book) -> None:
        state = None if self.account is None else book.account(connection, self.account)
        self.result = self._call(Unit(connection, book, state))

    def _run_alone(self, connection: apsw.Connection, book: Book) -> None:
        book.flush(connection)  # what came before is not undone
        connection.execute("SAVEPOINT unit")
        try:
            self._run(connection, book)
            book.flush(connection)
        except StoreRefusal as refusal:
            connection.execute("ROLLBACK TO unit")
            book.clear()
            self.error = refusal
        connection.execute("RELEASE unit")


StoreWork = AddWork | StoreJob[Any]
AddAll = Callable[[apsw.Connection, Book, Sequence[AddWork]], None]


class StoreScribe:
    """A `writer.Scribe`. `tell` is called on the event loop with what a commit changed."""

    def __init__(self, clock: Clock, add_all: AddAll, tell: Tell) -> None:
        self._clock = clock
        self._add_all = add_all
        self._tell = tell
        self._book = Book()
        self._is_open = False

    def prepare(self, works: Sequence[StoreWork]) -> list[StoreWork]:
        return list(works)

    def write(self, connection: apsw.Connection, works: Sequence[StoreWork]) -> None:
        book = self._book
        if self._is_open:  # the last transaction was not committed
            book.clear()
        self._is_open = True
        book.begin(connection, int(self._clock.now() * 1e6))
        for work in works:
            work.error = None
        adds = [work for work in works if isinstance(work, AddWork)]
        if adds:
            self._add_all(connection, book, adds)
        for work in works:
            if isinstance(work, StoreJob):
                work.run(connection, book)
        book.flush(connection)

    def note_end(self, works: Sequence[StoreWork]) -> Callable[[], None] | None:
        self._is_open = any(work.error is not None and not isinstance(work.error, StoreRefusal) for work in works)
        touched = self._book.touched  # some of it may have failed: what is told is a hint
        if not touched:
            return None
        told = [(s.account, s.modseq, s.emails, s.octets) for s in touched.values()]
        touched.clear()
        patches, self._book.patches = ([] if self._is_open else self._book.patches), []  # what failed is no patch
        return partial(self._tell, told, patches)

    def finish(self, works: Sequence[StoreWork]) -> None:
        pass
