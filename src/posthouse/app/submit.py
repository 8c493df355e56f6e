"""The server side of submit.sock: mail from `posthouse sendmail`, taken like any other (app/submit_protocol.py).

Who submits is the uid that the kernel names, and that is what Received and the journal show; such a peer is
trusted to relay. "done" is said when the message is on disk. A crash earlier leaves nothing of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable

import msgspec

from posthouse.app.submit_protocol import (
    EX_DATAERR,
    MAX_FRAME,
    SubmitDone,
    SubmitEnvelope,
    SubmitError,
    SubmitFrame,
    SubmitVerdict,
    decode_submit,
    encode_submit,
    exit_code_of,
)
from posthouse.message.address import AddressError, parse_address
from posthouse.message.envelope import BodyType, Notify, Recipient, Ret
from posthouse.message.peer import Peer
from posthouse.message.reply import Reply
from posthouse.mta.inbound import InboundSession
from posthouse.ports.observe import Log
from posthouse.protocol.smtp.server import MailFrom, MessageEnd, RcptTo

_STEP_S = 60.0  # for each frame
_TOO_BIG = Reply(552, "5.3.4", "Message is larger than we take")
_LATE = Reply(421, "4.4.2", "Timeout")


class _Refused(Exception):
    def __init__(self, reply: Reply, exit_code: int | None = None) -> None:
        super().__init__(str(reply))
        self.reply = reply
        self.exit_code = exit_code_of(reply.code, reply.enhanced) if exit_code is None else exit_code


class SubmitServer:
    """One per worker, on the inherited socket. `max_parallel` submissions at a time; more wait in the backlog."""

    def __init__(
        self, make_role: Callable[[Peer], InboundSession], max_size: int, log: Log, max_parallel: int = 50
    ) -> None:
        self._make_role = make_role
        self._max_size = max_size
        self._log = log
        self._places = asyncio.Semaphore(max_parallel)
        self._server: asyncio.Server | None = None
        self._busy: set[asyncio.Task[None]] = set()

    async def start(self, listening: socket.socket) -> None:
        self._server = await asyncio.start_unix_server(self._serve, sock=listening)

    async def drain(self, deadline_s: float) -> None:
        if self._server is not None:
            self._server.close()
        if self._busy:
            await asyncio.wait(self._busy, timeout=deadline_s)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._busy.add(task)
            task.add_done_callback(self._busy.discard)
        async with self._places:
            role = self._make_role(Peer("", uid=_peer_uid(writer)))
            try:
                answer = await self._answer(reader, role)
            except _Refused as refused:
                reply = refused.reply
                text = f"{reply.enhanced} {reply.text}".strip()
                answer = SubmitFrame(error=SubmitError(reply.code, text, refused.exit_code))
            except (EOFError, OSError):
                answer = None
            finally:
                role.closed()
            with contextlib.suppress(OSError):
                if answer is not None:
                    writer.write(encode_submit(answer))
                    await asyncio.wait_for(writer.drain(), _STEP_S)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, role: InboundSession) -> SubmitFrame:
        first = await _read_frame(reader)
        if first.verify is not None:
            return SubmitFrame(verdicts=await _verify(role, first.verify))
        if first.submit is None:
            raise _Refused(Reply(503, "5.5.1", "The envelope comes first"), EX_DATAERR)
        return SubmitFrame(done=SubmitDone(await self._take(reader, role, first.submit)))

    async def _take(self, reader: asyncio.StreamReader, role: InboundSession, envelope: SubmitEnvelope) -> str:
        """One message from its envelope to its id."""
        await _open_transaction(role, envelope)
        size = 0
        while not (frame := await _read_frame(reader)).end:
            size += len(frame.body)
            if size > self._max_size:
                raise _Refused(_TOO_BIG)
            busy = role.body(frame.body)
            if busy is not None:
                await busy
        answer = role.end(MessageEnd(size))
        reply = answer if isinstance(answer, Reply) else await answer
        assert isinstance(reply, Reply)
        if not reply.is_positive:
            raise _Refused(reply)
        return reply.text.rpartition(" ")[2]


async def _open_transaction(role: InboundSession, envelope: SubmitEnvelope) -> None:
    try:
        sender = parse_address(envelope.sender) if envelope.sender else None
        addresses = [parse_address(each) for each in envelope.recipients]
        notify = _parse_notify(envelope.notify)
        ret = Ret(envelope.ret.upper()) if envelope.ret else None
    except (AddressError, ValueError) as error:
        raise _Refused(Reply(501, "5.1.3", str(error)), EX_DATAERR) from None
    if not addresses:
        raise _Refused(Reply(554, "5.5.1", "There are no recipients"), EX_DATAERR)
    needs_utf8 = any(each.needs_smtputf8 for each in (*addresses, *((sender,) if sender else ())))
    mail = MailFrom(sender, BodyType.EIGHTBITMIME, needs_utf8, ret, envelope.envid or None)
    answer = role.mail(mail)
    _expect_ok(answer if isinstance(answer, Reply) else await answer)
    for address in addresses:
        _expect_ok(role.rcpt(RcptTo(Recipient(address, notify))), str(address))


async def _verify(role: InboundSession, envelope: SubmitEnvelope) -> list[SubmitVerdict]:
    """Each recipient by itself; nothing is kept."""
    verdicts = []
    for address in envelope.recipients:
        try:
            await _open_transaction(role, SubmitEnvelope(envelope.sender, [address]))
            verdicts.append(SubmitVerdict(address, 250, "2.1.5 Would be taken"))
        except _Refused as refused:
            reply = refused.reply
            text = f"{reply.enhanced} {reply.text.removeprefix(f'{address}: ')}".strip()
            verdicts.append(SubmitVerdict(address, reply.code, text))
        role.reset()
    return verdicts


def _expect_ok(reply: Reply, about: str = "") -> None:
    if not reply.is_positive:
        text = f"{about}: {reply.text}" if about else reply.text
        raise _Refused(Reply(reply.code, reply.enhanced, text))


def _parse_notify(text: str) -> Notify:
    notify = Notify.UNSET
    for word in filter(None, text.upper().split(",")):
        notify |= Notify[word.strip()] if word.strip() in Notify.__members__ else _unknown_notify(word)
    return notify


def _unknown_notify(word: str) -> Notify:
    raise ValueError(f"{word!r} is not one of NEVER, SUCCESS, FAILURE, DELAY")


async def _read_frame(reader: asyncio.StreamReader) -> SubmitFrame:
    try:
        async with asyncio.timeout(_STEP_S):
            length = int.from_bytes(await reader.readexactly(4), "big")
            if length > MAX_FRAME:
                raise _Refused(Reply(500, "5.5.2", "Frame is too long"), EX_DATAERR)
            return decode_submit(await reader.readexactly(length))
    except TimeoutError:
        raise _Refused(_LATE) from None
    except (ValueError, msgspec.MsgspecError) as error:
        raise _Refused(Reply(500, "5.5.2", f"Frame is not valid: {error}"), EX_DATAERR) from None


def _peer_uid(writer: asyncio.StreamWriter) -> int:
    connection: socket.socket = writer.get_extra_info("socket")
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    uid: int = struct.unpack("3i", raw)[1]
    return uid
