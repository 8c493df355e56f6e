"""Final delivery into accounts: a message is parsed once, and added to the mailbox of each recipient.

What an account gets is durable when its outcome says Delivered. All additions of a message are handed to the store
before the first is waited for, so that they share its commits; the store keeps a body once for all its accounts.
Octets stay as they came, binary ones too. An account that was removed meanwhile is 5.1.1, a full one 5.2.2 or 4.2.2
as the configuration says, and what the store cannot do now is put off for that recipient alone.

Bodies that are large are read, parsed and copied one at a time beside the loop, so that many of them at once neither
fill the memory nor hold up other mail.

Which mailbox it is, is decided by stages (mda/filing.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from posthouse.mda.filing import INBOX, Filing, Parcel, Stage
from posthouse.mda.prefix import make_prefix
from posthouse.message.ids import QueueId
from posthouse.message.mailbox import AccountId
from posthouse.message.outcome import Deferred, Delivered, Outcome, Refused
from posthouse.message.parsed import ParsedMessage
from posthouse.message.reply import Reply
from posthouse.ports.bodies import keep_body, read_whole
from posthouse.ports.compute import Compute
from posthouse.ports.directory import Directory, DirectoryError
from posthouse.ports.observe import Log
from posthouse.ports.spool import Body, QueuedMessage, QueuedRecipient
from posthouse.ports.store import (
    Added,
    Addition,
    Messages,
    NoSuchMailbox,
    OverQuota,
    StoreError,
    StoreFull,
    StoreRefusal,
)

Parse = Callable[[bytes], ParsedMessage]

_LARGE = 131_072  # octets that are parsed beside the loop: a few milliseconds
_PIECE = 1 << 20
_KEPT = 16
_OK = Reply(250, "2.0.0", "Delivered to the mailbox")
_DROPPED = Delivered(Reply(250, "2.0.0", "Discarded, as the recipient wishes"))
_GONE = Refused(Reply(550, "5.1.1", "There is no such mailbox here any more"))
_FULL = Refused(Reply(552, "5.2.2", "The mailbox is full"))
_FULL_NOW = Deferred(Reply(452, "4.2.2", "The mailbox is full"))
_NO_ROOM = Deferred(Reply(452, "4.3.1", "Not enough room for mail now"))
_UNAVAILABLE = Deferred(Reply(451, "4.3.0", "The mailbox cannot be written at the moment"))


@dataclass(frozen=True, slots=True)
class PostmanSettings:
    """`inline_limit`: the store wants larger bodies by `open_body`. `retries_full`: a full mailbox is tried again."""

    inline_limit: int = 64 * 1024
    retries_full: bool = False


@dataclass(frozen=True, slots=True)
class PostmanParts:
    """`shard_of`: accounts of one shard of the store may be given one file. `after` hears of what was delivered."""

    messages: Messages
    directory: Directory
    parse: Parse
    compute: Compute
    log: Log
    shard_of: Callable[[AccountId], int]
    after: Callable[[Parcel], None] | None = None


Files = dict[int, Body]  # a large body's file in each shard


class AccountPostman:
    """One per worker."""

    def __init__(self, parts: PostmanParts, stages: Sequence[Stage], settings: PostmanSettings) -> None:
        self._parts, self._stages, self._settings = parts, stages, settings
        self._large = asyncio.Lock()
        self._parsed: dict[QueueId, ParsedMessage] = {}  # of messages that are delivered in several parts

    async def deliver(self, message: QueuedMessage, recipients: Sequence[QueuedRecipient]) -> list[Outcome]:
        """One outcome each, in order. Raises SpoolError when the message cannot be read.

        Whether an account exists, the directory says: one that the store does not know (yet, or again) is put off.
        """
        parsed, files = await self._parse(message), Files()
        if len(recipients) == 1:
            return [await self._deliver_one(message, parsed, recipients[0], files)]
        return await asyncio.gather(*(self._deliver_one(message, parsed, one, files) for one in recipients))

    async def _deliver_one(
        self, message: QueuedMessage, parsed: ParsedMessage, one: QueuedRecipient, files: Files
    ) -> Outcome:
        try:
            box = self._parts.directory.mailbox_of(one.recipient.address)
            if box is None:
                return _GONE
            parcel = Parcel(message, parsed, box)
            filing = await self._file(parcel)
            if isinstance(filing, Refused):
                return filing
            if not filing.mailboxes:
                return _DROPPED
            return await self._add(parcel, one, filing, files)
        except (StoreError, StoreRefusal, DirectoryError) as error:
            return self._judge(message, one, error)

    async def _file(self, parcel: Parcel) -> Filing | Refused:
        for stage in self._stages:
            filing = await stage.file(parcel)
            if filing is not None:
                return filing
        return INBOX

    async def _add(self, parcel: Parcel, one: QueuedRecipient, filing: Filing, files: Files) -> Outcome:
        body = await self._hand_over(parcel.message.body, parcel.box.account, files)
        prefix = make_prefix(parcel.message, one.recipient)
        try:
            await self._send(parcel, filing, body, prefix)
        except NoSuchMailbox:  # it went between the stage that chose it and now
            filing = INBOX
            await self._send(parcel, filing, body, prefix)
        if self._parts.after is not None:
            self._parts.after(parcel)
        return Delivered(_OK, mailbox=f"{parcel.box.address}/{filing.name}")

    def _send(self, parcel: Parcel, filing: Filing, body: Body, prefix: bytes) -> asyncio.Future[list[Added]]:
        addition = Addition(
            mailboxes=filing.mailboxes,
            body=body,
            message=parcel.parsed,
            prefix=prefix,
            received=parcel.message.arrived,
            flags=filing.flags,
        )
        return self._parts.messages.add(parcel.box.account, (addition,))

    def _judge(self, message: QueuedMessage, one: QueuedRecipient, error: Exception) -> Outcome:
        if isinstance(error, OverQuota):
            return _FULL_NOW if self._settings.retries_full else _FULL
        recipient = str(one.recipient.address)
        self._parts.log.warning("delivery failed", id=message.id, recipient=recipient, error=repr(error))
        return _NO_ROOM if isinstance(error, StoreFull) else _UNAVAILABLE

    # -- the message

    async def _parse(self, message: QueuedMessage) -> ParsedMessage:
        body = message.body
        if len(message.recipients) == 1 and body.inline is not None and body.size <= _LARGE:
            return self._parts.parse(body.inline)
        known = self._parsed.get(message.id)
        if known is not None:
            return known
        if body.inline is not None and body.size <= _LARGE:
            return self._remember(message, self._parts.parse(body.inline))
        async with self._large:
            known = self._parsed.get(message.id)
            if known is not None:
                return known
            data = await read_whole(body)
            return self._remember(message, await self._parts.compute.run(partial(self._parts.parse, data)))

    def _remember(self, message: QueuedMessage, parsed: ParsedMessage) -> ParsedMessage:
        if len(message.recipients) > 1:
            while len(self._parsed) >= _KEPT:
                del self._parsed[next(iter(self._parsed))]
            self._parsed[message.id] = parsed
        return parsed

    async def _hand_over(self, body: Body, account: AccountId, files: Files) -> Body:
        """A small body goes as it is; a large one is copied into a file of the account's shard, piece by piece."""
        keep = partial(keep_body, body, self._settings.inline_limit, partial(self._parts.messages.open_body, account))
        if body.size <= self._settings.inline_limit:
            return await keep()
        shard = self._parts.shard_of(account)
        async with self._large:
            if shard not in files:
                files[shard] = await keep()
            return files[shard]
