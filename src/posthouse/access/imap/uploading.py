"""Messages that a client brings: APPEND (RFC 9051 §6.3.12), MULTIAPPEND (RFC 3502), CATENATE (RFC 4469), literal8
(RFC 3516 §4.4), UTF8 (RFC 9755 §4), as additions to the store.

All messages of a command are checked and parsed before the first is stored; they are stored together or not at all. The
octets are kept as they came. What goes to the Outbox is sent instead (sending.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from posthouse.access.imap import sending
from posthouse.access.imap.answers import Bad, Done, No
from posthouse.access.imap.catenating import fetch_url
from posthouse.access.imap.context import Context
from posthouse.access.imap.mailboxes import may_create
from posthouse.access.imap.place import Place, split_name
from posthouse.access.imap.places import find_place
from posthouse.message.capabilities import HopCapabilities
from posthouse.message.mailbox import Role
from posthouse.message.outcome import Refused
from posthouse.message.reencode import reencode
from posthouse.ms.uidsets import from_list
from posthouse.ports.bodies import keep_body
from posthouse.ports.spool import InlineBody
from posthouse.ports.store import Added, Addition
from posthouse.protocol.imap.commands import Append
from posthouse.protocol.imap.render import write_uids
from posthouse.protocol.imap.values import AppendMessage, Url

_MOST_REUSED = 64
_WAYS_IN = "li"  # RFC 4314 §4: a drop box need not be seen
_RIGHTS_OF_FLAGS = {"\\Seen": "s", "\\Deleted": "t"}  # RFC 4314 §4; all others: w
# Text with bare CR or LF or 8 bits is fine where mail is kept; NUL is not.
_STORE = HopCapabilities(eightbitmime=True, binarymime=False, smtputf8=True)


class Turn:
    """Of one APPEND among several that run at once: what is stored or sent is so in the order of the commands."""

    __slots__ = ("_before", "_own", "_reused", "_target")

    def __init__(self, before: Turn | None) -> None:
        self._before = before
        self._target: tuple[str, Place] | None = before._target if before is not None else None
        self._reused: int = before._reused + 1 if before is not None else 0
        self._own: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def find_target(self, context: Context, name: str) -> Place:
        """What is on its way at once goes into the same mailbox: it is not looked for again each time. Raises No."""
        if self._target is None or self._target[0] != name or self._reused > _MOST_REUSED:
            self._target, self._reused = (name, await find_target(context, name)), 0
        return self._target[1]

    async def wait(self) -> None:
        before, self._before = self._before, None
        if before is not None and not before._own.done():
            await asyncio.shield(before._own)

    def end(self) -> None:
        """The next one may go on. May be called twice."""
        self._before = None
        if not self._own.done():
            self._own.set_result(None)


async def append(context: Context, request: Append) -> Done:
    return await append_in_turn(context, request, Turn(None))


async def append_in_turn(context: Context, request: Append, turn: Turn) -> Done:
    try:
        return await _append(context, request, turn)
    finally:
        turn.end()


async def _append(context: Context, request: Append, turn: Turn) -> Done:
    if sending.is_outbox(context, request.mailbox):
        octets = [await assemble(context, message) for message in request.messages]
        await turn.wait()
        return await sending.send_all(context, octets)
    place = await turn.find_target(context, request.mailbox)
    additions = [await make_addition(context, place, message) for message in request.messages]
    await turn.wait()
    added = await store_additions(context, place, additions, turn)
    return Done("Message stored" if len(added) == 1 else "Messages stored", append_code(added))


async def find_target(context: Context, name: str) -> Place:
    """A mailbox that messages may be put into. Raises No; [TRYCREATE] where creating it would help."""
    sending.refuse_other_outbox(context, split_name(name))
    try:
        place = await find_place(context, name, _WAYS_IN)
    except No as refusal:
        helps = refusal.code == b"NONEXISTENT" and await may_create(context, name)
        raise No(refusal.text, b"TRYCREATE" if helps else refusal.code) from None
    place.need("i")
    if sending.is_scheduled(place):
        raise No("Mail comes into Scheduled by being sent with a time; it would not go out from there", b"CANNOT")
    return place


def append_code(added: Sequence[Added]) -> bytes:
    """APPENDUID (RFC 4315 §3)."""
    return b"APPENDUID %d %b" % (added[0].uidvalidities[0], write_uids(from_list(one.uids[0] for one in added)))


# -- one message


async def make_addition(context: Context, place: Place, message: AppendMessage) -> tuple[bytes, Addition]:
    """With its octets."""
    octets = await assemble(context, message)
    date, desk = message.date, context.desk
    open_writer = partial(desk.store.messages.open_body, place.owner)
    return octets, Addition(
        (place.mailbox.id,),
        await keep_body(InlineBody(octets), desk.settings.inline_limit, open_writer),
        await desk.parse(octets),
        received=desk.clock.now() if date is None else date.instant,
        zone_minutes=0 if date is None else date.zone_minutes,
        flags=frozenset(flag for flag in message.flags if place.may(_RIGHTS_OF_FLAGS.get(flag, "w"))),
    )


async def assemble(context: Context, message: AppendMessage) -> bytes:
    """The octets of a message, its parts put together. Raises No, Bad."""
    if message.is_utf8 and not context.utf8:
        raise Bad("UTF8 is for those who enabled UTF8=ACCEPT")
    limit = context.desk.settings.append_limit
    pieces: list[bytes] = []
    size = 0
    for part in message.parts:
        piece = await fetch_url(context, part.text) if isinstance(part, Url) else part
        size += len(piece)
        if size > limit:
            raise No(f"The message is larger than {limit} octets", b"TOOBIG")
        pieces.append(piece)
    octets = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    if not octets:
        raise No("There is no message", b"CANNOT")
    return _without_nul(octets, message) if b"\0" in octets else octets


def _without_nul(octets: bytes, message: AppendMessage) -> bytes:
    """A part in the encoding "binary" is kept as base64 (RFC 3516 §4.4): no response could hold its NULs."""
    if not message.is_binary:
        raise No("The message has NUL octets in it; send it as literal8", b"CANNOT")
    encoded = reencode(octets, _STORE)
    if isinstance(encoded, Refused) or b"\0" in encoded:
        raise No("The message has NUL octets outside of parts that could be encoded", b"UNKNOWN-CTE")
    return encoded


async def store_additions(
    context: Context, place: Place, made: Sequence[tuple[bytes, Addition]], turn: Turn | None = None
) -> list[Added]:
    if place.mailbox.role is Role.SENT and place.viewer is None and len(made) == 1:
        octets, addition = made[0]
        return [await context.desk.sending.file_upload(context.user, place.mailbox.id, octets, addition)]
    storing = context.desk.store.messages.add(place.owner, [addition for _, addition in made])
    if turn is not None:
        turn.end()  # it stands in the line of the store
    return await storing
