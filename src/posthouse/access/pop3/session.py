"""A POP3 session (RFC 1939): takes commands from the core, has them done, answers in order.

There is no task while nothing is to be done: what the client sends starts one, which ends when all is answered. What
came in one read is answered in one write (PIPELINING, RFC 2449 §6.6), but for long answers, which go out in pieces.
The task is never stopped from outside: a client that has gone is noticed at the next breath, and a QUIT that came in
before is done to its end if it has had all answers: many clients close right behind it. Maildrop and slot are given
back when the connection is gone and the task over, whatever happened. Nothing is deleted without QUIT. Never raises
into the driver.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from posthouse.access.pop3 import entering, reading
from posthouse.access.pop3.answers import EXPECTED, Broken, Err, refusal_of
from posthouse.access.pop3.context import Context
from posthouse.access.pop3.desk import Desk
from posthouse.ports.access import ConnectionLost, Wire
from posthouse.protocol.pop3 import commands
from posthouse.protocol.pop3.replies import SYS_TEMP, write_err, write_ok
from posthouse.protocol.pop3.server import Closing, Event, Refused
from posthouse.protocol.pop3.states import State
from posthouse.protocol.wire.need_data import NEED_DATA

_MAX_UNREAD = 65_536
_TURN = 100  # commands until others get theirs
_STOP_S = 5.0

Handler = Callable[[Context, Any], Awaitable[bytes | None]]

_HANDLERS: Final[Mapping[type, Handler]] = {
    commands.Capa: reading.tell_capabilities,
    commands.Stls: entering.start_tls,
    commands.User: entering.take_name,
    commands.Pass: entering.take_password,
    commands.Auth: entering.authenticate,
    commands.AuthResponse: entering.take_response,
    commands.Utf8: reading.enable_utf8,
    commands.Lang: reading.choose_language,
    commands.Stat: reading.count,
    commands.List: reading.list_sizes,
    commands.Uidl: reading.list_uidls,
    commands.Retr: reading.retrieve,
    commands.Top: reading.send_top,
    commands.Dele: reading.delete,
    commands.Noop: reading.do_nothing,
    commands.Rset: reading.reset,
    commands.Quit: entering.leave,
}


class Pop3Session(Context):
    """`posthouse.ports.access.AccessSession`."""

    __slots__ = ("_has_ended", "_is_gone", "_reason", "_task", "_until")

    def __init__(self, wire: Wire, desk: Desk) -> None:
        super().__init__(wire, desk)
        self._task: asyncio.Task[None] | None = None
        self._has_ended = False  # no more will come from the client
        self._is_gone = False
        self._reason = ""  # why we shall end it
        self._until = desk.clock.monotonic() + desk.settings.timeout_s

    # -- the driver's side

    @property
    def doing(self) -> str:
        return "has the maildrop" if self.maildrop is not None else ""

    def begin(self) -> None:
        self.write(write_ok(f"{self.desk.settings.hostname} POP3 is ready"))
        self.flush()
        self.wire.expect(self.desk.settings.timeout_s)

    def receive(self, data: bytes) -> None:
        self.core.receive(data)
        if self._task is None:
            self._wake()
        elif self.core.unread > _MAX_UNREAD:
            self.wire.pause()

    def end_of_input(self) -> None:
        self._has_ended = True
        if self._task is None:
            self._wake()

    def ended(self) -> None:
        self.is_over = self._is_gone = True
        if self._task is None:
            self.release()

    def time_out(self) -> None:
        """RFC 1939 §3: the connection is closed without a word, and no message is removed."""
        self.is_over = True
        self.wire.close()

    def shut_down(self, reason: str) -> None:
        if self._task is None:
            self._say_end(reason)
            return
        self._reason = reason
        self.wire.expect(_STOP_S)

    def _say_end(self, text: str, code: str = SYS_TEMP) -> None:
        self.is_over = True
        self.write(write_err(text, code))
        self.flush()
        self.wire.close()

    # -- the dialogue

    def _wake(self) -> None:
        if not self.is_over:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            await self._work()
        except ConnectionLost:
            self.wire.close()
        except Broken as error:
            self.desk.log.error("message cannot be read", protocol="pop3", error=str(error))
            self.flush()
            self.wire.close()
        except Exception as error:  # noqa: BLE001 - a defect of ours ends this session only
            self.desk.log.error("POP3 session failed", peer=self.wire.peer.address, error=repr(error))
            self._say_end("Internal error")
        finally:
            self._task = None
            if self._is_gone:
                self.release()

    async def _work(self) -> None:
        count = 0
        while not self.is_over or self._is_gone:
            count += 1
            if count % _TURN == 0:
                await self.breathe()
            event = self.core.next_event()
            if event is NEED_DATA or self._reason or (self._is_gone and not isinstance(event, commands.Quit)):
                break
            await self._take(event)
        self.flush()
        if self._reason and not self.is_over:
            self._say_end(self._reason)
        elif self._has_ended or self.is_over:
            self.wire.close()
        else:
            self._await_more(has_taken=count > 1)

    def _await_more(self, *, has_taken: bool) -> None:
        """Octets alone win no time, commands do; who has not logged in has so long for all of it."""
        now = self.desk.clock.monotonic()
        if has_taken and self.login is not None:
            self._until = now + self.desk.settings.timeout_s
        self.wire.expect(self._until - now)
        self.wire.resume()

    async def _take(self, event: Event) -> None:
        if isinstance(event, Closing):
            self._say_end(event.text, "")
        elif isinstance(event, Refused):
            self._refuse(Err(event.text))
        else:
            await self._perform(event)

    async def _perform(self, command: commands.Command | commands.AuthResponse) -> None:
        self.desk.figures.commands.inc()
        try:
            reply = await _HANDLERS[type(command)](self, command)
        except Err as refusal:
            self._refuse(refusal)
        except EXPECTED as error:
            self._refuse(refusal_of(error))
        else:
            self.core.count_success()
            if reply is not None:
                self.write(reply)
        if self.core.state is State.CLOSED:
            self.is_over = True

    def _refuse(self, refusal: Err) -> None:
        self.desk.figures.refused.inc()
        if refusal.is_mistake:
            self.core.count_error()
            if self.login is None:  # who has logged in is known: others at that address are not slowed for it
                self.wire.note_error()
        self.write(write_err(refusal.text, refusal.code))
