"""An IMAP session (RFC 9051, RFC 3501): takes commands from the core, has them done, answers in order.

There is no task while nothing is to be done: what the client sends, or what others change while it idles, starts one,
which ends when all is answered. What came in one read is answered in one write. Commands run one after the other, but
for APPENDs that come together: they are stored together, and answered in order. After each command news are told,
as far as that command allows. Never raises into the driver.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import assert_never

from posthouse.access.imap.answers import EXPECTED, Bad, Done, MailboxGone, No, refusal_of
from posthouse.access.imap.capabilities import write_capabilities
from posthouse.access.imap.context import Context
from posthouse.access.imap.desk import Desk
from posthouse.access.imap.dispatch import HANDLERS, KEEPS_NUMBERS, NEEDS_ARRAYS
from posthouse.access.imap.entering import forget_login, take_response
from posthouse.access.imap.fetching_tail import fetch_tail
from posthouse.access.imap.notifying import may_tell_selected, stop_notifying, tell_events, tell_selected, want_of_new
from posthouse.access.imap.selecting import leave
from posthouse.access.imap.sparse import fill_view
from posthouse.access.imap.updates import tell_news
from posthouse.access.imap.uploading import Turn, append_in_turn
from posthouse.access.imap.uploads import Upload
from posthouse.ports.access import ConnectionLost, Wire
from posthouse.protocol.imap.commands import Append, Fetch, Request
from posthouse.protocol.imap.render import write_status
from posthouse.protocol.imap.server_events import (
    AuthResponse,
    BigLiteral,
    Closing,
    Command,
    Event,
    Refused,
    State,
)
from posthouse.protocol.imap.server_events import Done as IdleDone
from posthouse.protocol.wire.need_data import NEED_DATA

_MAX_UNREAD = 1 << 20
_MAX_APPENDS = 64
_SHARE = 3  # APPENDs that go to the store together while more are read
_STOP_S = 5.0
_SLICE_S = 0.005  # of the loop, for commands that wait for nothing

Appending = asyncio.Task[Done | No | Bad | None]


class ImapSession(Context):
    """`posthouse.ports.access.AccessSession`."""

    __slots__ = ("_appends", "_fresh", "_has_ended", "_is_last", "_reason", "_task", "_turn", "_until", "_upload")

    def __init__(self, wire: Wire, desk: Desk) -> None:
        super().__init__(wire, desk)
        self._upload: Upload | None = None
        self._task: asyncio.Task[None] | None = None
        self._appends: list[tuple[bytes, Appending]] = []  # a few; no deque, which is large
        self._fresh = 0  # APPENDs that the store has not seen
        self._has_ended = False  # no more will come from the client
        self._is_last = False  # nothing is taken any more
        self._reason = ""  # why we shall end it
        self._turn: Turn | None = None  # of the last APPEND
        self._until = desk.clock.monotonic() + desk.settings.login_timeout_s

    # -- the driver's side

    @property
    def doing(self) -> str:
        if self.selected is None:
            return ""
        return f"{'idle in' if self.idle_tag else 'in'} {self.selected.place.name}"

    def begin(self) -> None:
        self.write(write_status(b"*", b"OK", "Posthouse is ready", write_capabilities(self)))
        self.flush()
        self.wire.expect(self.desk.settings.login_timeout_s)

    def receive(self, data: bytes) -> None:
        if self._upload is not None:
            self._upload.come += len(data)
        self._wait_anew()
        self.core.receive(data)
        if self._task is None:
            self._wake()
        elif self.core.unread > _MAX_UNREAD:
            self.wire.pause()

    def _wait_anew(self) -> None:
        """Who has not logged in has so long for all of it. Who holds memory for an upload must go on with it."""
        if self.login is None:
            return
        self._until = self.desk.clock.monotonic() + self.desk.settings.timeout_s
        if self._upload is not None:
            self._until = min(self._until, self._upload.deadline)

    def end_of_input(self) -> None:
        self._has_ended = True
        if self._task is None:
            self._wake()

    def ended(self) -> None:
        self._is_last = True
        if self._task is not None:
            self._task.cancel()
        for _, append in self._appends:
            append.add_done_callback(_ignore)
        self._appends.clear()
        self._give_back()
        leave(self)
        stop_notifying(self)
        forget_login(self)

    def time_out(self) -> None:
        """Who idles is reminded of us now and then, so that nothing on the way forgets the connection."""
        if self.idle_tag and self._task is None and self._until > self.desk.clock.monotonic():
            self.write(write_status(b"*", b"OK", "Still here"))
            self.flush()
            self.wire.expect(self._patience())
            return
        self._say_bye("You were silent for too long" if self.login is not None else "You did not log in in time")

    def shut_down(self, reason: str) -> None:
        if self._task is None:
            self._say_bye(reason, b"UNAVAILABLE")
            return
        self._reason = reason
        self.wire.expect(_STOP_S)

    def note_change(self) -> None:
        super().note_change()
        if self._task is None and (self.idle_tag or self.notifying is not None):
            self._wake()

    def _say_bye(self, text: str, code: bytes = b"") -> None:
        self._is_last = True
        self.write(write_status(b"*", b"BYE", text, code))
        self.flush()
        self.wire.close()

    # -- the dialogue

    def _wake(self) -> None:
        if not self._is_last:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            await self._work()
        except ConnectionLost:
            self.wire.close()
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - a defect of ours ends this session only
            self.desk.log.error("IMAP session failed", peer=self.wire.peer.address, error=repr(error))
            self._say_bye("Internal error")
        finally:
            self._task = None

    async def _work(self) -> None:
        now = self.desk.clock.monotonic
        until = now() + _SLICE_S
        while not self._is_last and await self._step():
            if self._fresh >= _SHARE or now() > until:
                await asyncio.sleep(0)  # others get their turn, however much one has pipelined
                await self._answer_stored()
                until = now() + _SLICE_S
        self.flush()
        if self._has_ended and not self._is_last:
            self.wire.close()
        elif not self._is_last:
            self.wire.expect(self._patience())
            self.wire.resume()

    async def _answer_stored(self) -> None:
        """APPENDs that are done, while more are read: the client sends on what it keeps back until then."""
        self._fresh = 0
        if self._appends and self._appends[0][1].done():
            while self._appends and self._appends[0][1].done():
                await self._answer_append()
            self.flush()

    async def _step(self) -> bool:
        """False: there is nothing to be done now."""
        event = self.core.next_event()
        output = self.core.take_output()
        if output:
            self.write(output)
        if event is not NEED_DATA:
            await self._take(event)
            self._is_last = self._is_last or self.core.state is State.LOGOUT
        elif self._appends:
            if not self._appends[0][1].done():
                self.flush()
            await self._answer_append()
        elif self._reason:
            self._say_bye(self._reason, b"UNAVAILABLE")
        else:
            return await self._tell_unasked()
        return True

    async def _tell_unasked(self) -> bool:
        """What a client that idles or wants to be notified is told while it asks nothing. False: nothing."""
        told = False
        if self.selected is not None and self.selected.is_dirty and may_tell_selected(self):
            await self._tell(tell_selected(self))
            await self._fetch_new()
            told = True
        if self.notifying is not None and self.notifying.is_dirty:
            await self._tell(tell_events(self))
            told = True
        return told

    async def _tell(self, news: Awaitable[None]) -> None:
        """What the store cannot say now is told with what comes next."""
        try:
            await news
        except MailboxGone:
            return  # that was told
        except EXPECTED as error:
            self.desk.log.warning("IMAP news not told", peer=self.wire.peer.address, error=repr(error))
            if self.selected is not None:
                self.selected.holds_back = True

    async def _fetch_new(self) -> None:
        """What NOTIFY wants of new messages, however they were told."""
        if self.selected is not None and self.notifying is not None:
            await self._answer_of(self._answer_want())

    async def _answer_want(self) -> Done | None:
        wanted = await want_of_new(self)
        return None if wanted is None else await HANDLERS[Fetch](self, wanted)

    def _patience(self) -> float:
        left, every = self._until - self.desk.clock.monotonic(), self.desk.settings.still_here_s
        return min(left, every) if self.idle_tag and every else left

    async def _take(self, event: Event) -> None:
        if isinstance(event, Command) and isinstance(event.request, Append) and len(self._appends) < _MAX_APPENDS:
            self._begin_append(event.tag, event.request)
            return
        while self._appends:
            await self._answer_append()
        match event:
            case Command(tag, request):
                await self._perform(tag, request)
            case AuthResponse():
                await self._finish(self.auth_tag, take_response(self, event))
            case IdleDone():
                await self._perform(self.idle_tag, event)
            case BigLiteral():
                await self._admit_literal(event)
            case Refused(tag, status, code, text):
                self.idle_tag = b""
                self._refuse(tag, status, code, text)
            case Closing(text):
                self._say_bye(text)
            case _:
                assert_never(event)

    async def _perform(self, tag: bytes, request: Request | IdleDone) -> None:
        self.tag = tag
        self.desk.figures.commands.inc()
        self.start_progress()
        keeps_numbers = type(request) in KEEPS_NUMBERS and not getattr(request, "is_uid", False)
        await self._finish(tag, self._do(request), may_expunge=not keeps_numbers)
        self._give_back()

    async def _do(self, request: Request | IdleDone) -> Done | None:
        if self.selected is not None and self.selected.unread is not None and type(request) in NEEDS_ARRAYS:
            done = await fetch_tail(self, request) if isinstance(request, Fetch) else None
            if done is not None:
                return done
            await fill_view(self)
        return await HANDLERS[type(request)](self, request)

    async def _finish(self, tag: bytes, work: Awaitable[Done | None], *, may_expunge: bool = True) -> None:
        """Have it done, tell what is new, and answer."""
        answer = await self._answer_of(work)
        selected = self.selected
        if answer is not None and selected is not None and (selected.is_dirty or selected.holds_back):
            await self._tell(tell_news(self, may_expunge=may_expunge))
        if answer is not None:
            await self._fetch_new()
            self._answer(tag, answer)
            self._wait_anew()

    async def _answer_of(self, work: Awaitable[Done | None]) -> Done | No | Bad | None:
        """None: the answer comes later, or was given."""
        try:
            return await work
        except (No, Bad) as refusal:
            return refusal
        except EXPECTED as error:
            return refusal_of(error)
        except (ConnectionLost, asyncio.CancelledError):
            raise
        except Exception as error:  # noqa: BLE001 - a defect of ours must not cost the client its session
            self.desk.log.error("IMAP command failed", peer=self.wire.peer.address, error=repr(error))
            return No("Internal error, the command was not done", b"SERVERBUG")

    def _answer(self, tag: bytes, answer: Done | No | Bad) -> None:
        if isinstance(answer, Done):
            self.write(write_status(tag, b"OK", answer.text, answer.code))
        else:
            self._refuse(tag, b"NO" if isinstance(answer, No) else b"BAD", answer.code, answer.text)

    def _refuse(self, tag: bytes, status: bytes, code: bytes, text: str) -> None:
        self.desk.figures.refused.inc()
        if self.login is None:  # who has logged in is known: others at that address are not slowed for it
            self.wire.note_error()
        self.write(write_status(tag, status, text, code))

    # -- uploads

    def _begin_append(self, tag: bytes, request: Append) -> None:
        """Those that come together are committed together; none waits for the one before."""
        self.tag = tag
        self.desk.figures.commands.inc()
        turn = Turn(self._turn)
        task = asyncio.get_running_loop().create_task(self._answer_of(append_in_turn(self, request, turn)))
        self._turn = turn
        self._appends.append((tag, task))
        self._fresh += 1

    async def _answer_append(self) -> None:
        """The first of them. They are answered in order."""
        tag, task = self._appends[0]
        answer = await asyncio.shield(task)
        del self._appends[0]
        if self.selected is not None and self.selected.is_dirty:
            await self._tell(tell_news(self))
            await self._fetch_new()
        if answer is not None:
            self._answer(tag, answer)
        if not self._appends:
            self._turn = None
            self._give_back()

    async def _admit_literal(self, event: BigLiteral) -> None:
        """Memory is found before the octets are asked for; what would be refused anyway is refused now."""
        if event.name in ("APPEND", "REPLACE") and not self.desk.store.quotas.has_room(self.account, event.size):
            self.core.refuse_literal()
            self._refuse(event.tag, b"NO", b"OVERQUOTA", "The quota is used up")
            return
        self.flush()
        uploads = self.desk.uploads
        if uploads.waiting:
            self.desk.log.info("uploads wait for each other", account=self.user.name, octets=event.size)
        await uploads.take(event.size, self.account)
        if self._upload is None:
            self._upload = Upload(self.account, self.desk.clock.monotonic())
        self._upload.octets += event.size
        self._wait_anew()
        self.core.accept_literal()

    def _give_back(self) -> None:
        upload, self._upload = self._upload, None
        if upload is not None:
            self.desk.uploads.give_back(upload.octets, upload.account)


def _ignore(task: Appending) -> None:
    if not task.cancelled():
        task.exception()
