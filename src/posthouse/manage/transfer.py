"""Importing: messages of a source into an account, in batches, each committed together with how far it has come.

While a batch is committed the next one is read and parsed beside it; never more than one is on its way to the disk, so
that marks only say what is true. Memory: two batches. A message that cannot be taken is told and passed over; a batch
that is refused is cut in halves until the one that is to blame stands alone. A kill, or cancelling, leaves whole
batches (docs/internals.md "An import").
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

from posthouse.manage.transfer_hints import Hints, choose_role, guess_received, read_hints, take_labels
from posthouse.manage.transfer_places import Places
from posthouse.message.mailbox import AccountId, MailboxId
from posthouse.message.parsed import ParsedMessage
from posthouse.ports.bodies import keep_body
from posthouse.ports.clock import Clock
from posthouse.ports.compute import Compute
from posthouse.ports.spool import Body, InlineBody
from posthouse.ports.store import Addition, Mailboxes, Messages, NoSuchMailbox, OverQuota, TooMany
from posthouse.ports.transfer import Imports, Letter, Mark, Report, Source

_BATCH_OCTETS = 8 << 20
_MAX_TROUBLES = 1000

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ImportParts:
    mailboxes: Mailboxes
    messages: Messages
    imports: Imports
    parse: Callable[[bytes], ParsedMessage]
    compute: Compute
    clock: Clock


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """`inline_limit`: longer messages are files of the store. `uses_labels`: Gmail's, for where a message goes."""

    inline_limit: int = 128 << 10
    ignores_quota: bool = False
    uses_labels: bool = True
    is_again: bool = False


@dataclass(slots=True)
class ImportResult:
    """`already`: taken by an earlier run. `deleted`: what the source was about to remove. `troubles` names the first
    messages that could not be taken; `stopped`: why not all of it was tried.
    """

    imported: int = 0
    octets: int = 0
    already: int = 0
    deleted: int = 0
    bad: int = 0
    troubles: list[str] = field(default_factory=list)
    stopped: str = ""

    def note(self, trouble: str) -> None:
        self.bad += 1
        if len(self.troubles) < _MAX_TROUBLES:
            self.troubles.append(trouble)


@dataclass(slots=True)
class _Ready:
    """A letter read, parsed and understood; its body is made durable and its mailboxes are opened later."""

    letter: Letter
    message: ParsedMessage | None = None
    paths: Sequence[Path] = ()
    body: Body | None = None


class Importer:
    """For one source."""

    def __init__(self, account: AccountId, parts: ImportParts, options: ImportOptions, report: Report) -> None:
        self._account, self._parts, self._options, self._report = account, parts, options, report
        self._places = Places(account, parts.mailboxes)
        self.result = ImportResult()
        self._weight = 0
        self._marks: dict[str, str] = {}

    async def run(self, source: Source) -> ImportResult:
        """Raises TransferError, StoreError, NoSuchAccount; what was committed until then stays, with its marks."""
        imports = self._parts.imports
        if self._options.is_again:
            await imports.forget(self._account, source.key)
        self._marks = await imports.marks(self._account, source.key)
        letters = source.letters(dict(self._marks))
        committing: asyncio.Task[None] | None = None
        try:
            while batch := await self._parts.compute.run(lambda: self._prepare(letters, source.batch)):
                if committing is not None:
                    await asyncio.shield(committing)
                self._report(self._weight, source.total)
                committing = asyncio.create_task(self._take(source, batch))
            if committing is not None:
                await asyncio.shield(committing)
        except OverQuota as error:
            self.result.stopped = f"{error}; raise the quota and import again, or use --ignore-quota"
        finally:
            if committing is not None and not committing.done():
                await asyncio.wait([committing])
        self.result.already = source.already
        self._report(self._weight, source.total)
        return self.result

    # Beside the event loop.

    def _prepare(self, letters: Iterator[Letter], count: int) -> list[_Ready]:
        batch: list[_Ready] = []
        octets = 0
        for letter in islice(letters, count):
            batch.append(self._understand(letter))
            octets += len(letter.octets)
            if octets > _BATCH_OCTETS:
                break
        return batch

    def _understand(self, letter: Letter) -> _Ready:
        if letter.problem or letter.is_deleted or letter.is_mailbox:
            return _Ready(letter)
        message = self._parts.parse(letter.octets)
        paths: Sequence[Path] = (letter.path,)
        hints = read_hints(letter.octets[: message.header_size]) if letter.says_more else Hints()
        if letter.labels is not None:
            take_labels(letter.labels, hints)
        letter.flags |= hints.flags
        if hints.is_deleted:
            letter.is_deleted = True
            return _Ready(letter)
        if hints.labels is not None and self._options.uses_labels:
            paths = hints.labels
        if letter.received is None:
            guess = guess_received(letter.octets, message)
            letter.received, letter.zone_minutes = guess or (self._parts.clock.now(), 0)
        return _Ready(letter, message, paths, InlineBody(letter.octets))

    # In the event loop.

    async def _take(self, source: Source, batch: Sequence[_Ready]) -> None:
        for ready in batch:
            if len(ready.letter.octets) > self._options.inline_limit:
                await self._write_body(ready)
        await self._commit(source, batch)
        self._weight += sum(ready.letter.weight for ready in batch)

    async def _write_body(self, ready: _Ready) -> None:
        open_writer = partial(self._parts.messages.open_body, self._account)
        ready.body = await keep_body(InlineBody(ready.letter.octets), self._options.inline_limit, open_writer)
        ready.letter.octets = b""

    async def _commit(self, source: Source, batch: Sequence[_Ready]) -> None:
        last = {ready.letter.folder: ready.letter.position for ready in batch if ready.letter.position}
        marks = [Mark(folder, self._marks.get(folder, ""), position) for folder, position in last.items()]
        try:
            try:
                additions = await self._make_additions(batch)
                await self._parts.imports.add(self._account, additions, source.key, marks)
            except NoSuchMailbox:  # somebody has removed it meanwhile: it is made again
                self._places.forget()
                additions = await self._make_additions(batch)
                await self._parts.imports.add(self._account, additions, source.key, marks)
        except (OverQuota, TooMany) as refusal:
            await self._commit_less(source, batch, refusal)
        else:
            self._marks |= last
            self._count(batch, additions)

    async def _commit_less(self, source: Source, batch: Sequence[_Ready], refusal: OverQuota | TooMany) -> None:
        if len(batch) > 1:
            middle = len(batch) // 2
            await self._commit(source, batch[:middle])
            await self._commit(source, batch[middle:])
            return
        if isinstance(refusal, OverQuota):
            raise refusal
        letter = batch[0].letter
        if any(not flag.startswith("\\") for flag in letter.flags):
            letter.flags = frozenset(flag for flag in letter.flags if flag.startswith("\\"))
        else:
            letter.problem = str(refusal)
            batch[0].message = None
        await self._commit(source, batch)

    async def _make_additions(self, batch: Sequence[_Ready]) -> list[Addition]:
        for ready in batch:
            if ready.letter.is_mailbox:
                await self._places.find(ready.letter.path, ready.letter.role or choose_role(ready.letter.path))
        return [await self._make_addition(ready) for ready in batch if ready.message is not None]

    async def _make_addition(self, ready: _Ready) -> Addition:
        letter, message, body = ready.letter, ready.message, ready.body
        assert message is not None and body is not None
        mailboxes: list[MailboxId] = []
        for path in ready.paths:
            role = letter.role or choose_role(path)
            mailbox = await self._places.find(path, role)
            if mailbox not in mailboxes:
                mailboxes.append(mailbox)
        return Addition(
            tuple(mailboxes),
            body,
            message,
            received=letter.received or 0.0,
            zone_minutes=letter.zone_minutes,
            flags=letter.flags,
            ignores_quota=self._options.ignores_quota,
            uidl=letter.uidl,
        )

    def _count(self, batch: Sequence[_Ready], additions: Sequence[Addition]) -> None:
        result = self.result
        result.imported += len(additions)
        result.octets += sum(addition.body.size for addition in additions)
        for ready in batch:
            if ready.letter.problem:
                result.note(f"{ready.letter.folder}: {ready.letter.problem}".removeprefix(": "))
            elif ready.letter.is_deleted:
                result.deleted += 1
