"""Reading mail put together: from settings and ports to the services of IMAP and POP3 listeners.

    readers = Readers(context, world)                   # one per worker
    readers.make_service(listener, door)                # of an "imap" or "pop3" listener
    readers.tell()                                      # every 100 ms
    readers.look_after(services)                        # every second

What only one of the protocols needs is imported when there is a listener for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from posthouse.adapters.memory import give_back_memory
from posthouse.app.maildrops import WorkerMaildrops
from posthouse.app.session_slots import SlotLimits, WorkerSlots
from posthouse.app.session_states import SessionStates
from posthouse.app.wiring import door_figures
from posthouse.app.worker_context import WorkerContext
from posthouse.config.settings import Listener, Settings
from posthouse.message.parse import parse_message
from posthouse.message.parsed import ParsedMessage
from posthouse.message.peer import Peer
from posthouse.message.reply import Reply
from posthouse.msa.submit import Submitter
from posthouse.ports.access import AccessSession, Wire
from posthouse.ports.compute import Compute
from posthouse.ports.directory import Accounts, Directory
from posthouse.ports.login import Login
from posthouse.ports.observe import Counter
from posthouse.ports.store import Store
from posthouse.serve.access import AccessService, AccessServiceSettings
from posthouse.serve.connection import Connection, DoorSettings, Service
from posthouse.trust.login import SaslConversation

if TYPE_CHECKING:
    from posthouse.access.imap.settings import ImapSettings
    from posthouse.access.pop3.settings import Pop3Settings
    from posthouse.ports.sending import EmailSending

SERVICES = ("imap", "pop3")
RELOADED = "The configuration was changed, log in again"
STOPPED = "The server stops, come back soon"
_WORTH_IT = 64  # connections, some 100 KiB each
_GIVE_BACK_S = 10.0
_CHECKED_AT_ONCE = 200  # 5 us each: the directory is asked whether it changed
_PARSED_BESIDE = 128 * 1024  # octets: larger ones are parsed beside the loop

MakeSession = Callable[[Wire], AccessSession]


@dataclass(frozen=True, slots=True)
class ReadingWorld:
    """`converse` lets people in who may read. `why_over`: why a session with that login must end, "" if it need not."""

    store: Store
    accounts: Accounts
    directory: Directory
    converse: Callable[[Peer], SaslConversation]
    why_over: Callable[[Login], str]
    submitter: Submitter
    compute: Compute


class Readers:
    def __init__(self, context: WorkerContext, world: ReadingWorld) -> None:
        settings = context.settings
        self._context, self._settings, self._world = context, settings, world
        limits = SlotLimits(settings.imap.sessions_per_account, settings.imap.sessions_per_account_and_address)
        self._states = SessionStates(context.metrics)
        self._slots = WorkerSlots(context.link, limits, context.worker_count)
        self._maildrops = WorkerMaildrops(context.link)
        self._unchecked: list[Connection] = []
        self._given_back = 0  # connections that had cooled down then
        self._give_back_at = 0.0
        self._make_pop3 = self._pop3_maker()
        self._make_imap = self._imap_maker()

    def tell(self) -> None:
        self._slots.tell()

    def look_after(self, named: Sequence[tuple[str, Service]]) -> None:
        """Every second."""
        services = [service for _, service in named]
        self._states.count(named)
        self._end_what_is_over(services)
        self._give_back(services)

    def _end_what_is_over(self, services: Sequence[Service]) -> None:
        """Sessions of accounts that were disabled, and of passwords that were changed. Some of them at each call."""
        if not self._unchecked:
            self._unchecked = [each for service in services for each in service.sessions if each.login is not None]
        some, self._unchecked = self._unchecked[:_CHECKED_AT_ONCE], self._unchecked[_CHECKED_AT_ONCE:]
        for connection in some:
            reason = self._world.why_over(connection.login) if connection.login is not None else ""
            if reason:
                connection.kick(reason)

    def _give_back(self, services: Sequence[Service]) -> None:
        """What many compressed connections held while they were busy."""
        cooled = sum(service.cooled for service in services if isinstance(service, AccessService))
        now = self._context.clock.monotonic()
        if cooled - self._given_back >= _WORTH_IT and now >= self._give_back_at:
            self._given_back, self._give_back_at = cooled, now + _GIVE_BACK_S
            give_back_memory()

    def make_service(self, listener: Listener, door: DoorSettings) -> AccessService:
        """Without TLS."""
        context, is_imap = self._context, listener.service == "imap"
        return AccessService(
            settings=AccessServiceSettings(
                implicit_tls=door.implicit_tls,
                proxy_networks=door.proxy_networks,
                proxy_timeout_s=door.proxy_timeout_s,
                tls_timeout_s=door.tls_timeout_s,
            ),
            make_session=(self._make_imap if is_imap else self._make_pop3)(listener),
            render_refusal=render_imap_refusal if is_imap else render_pop3_refusal,
            admission=context.admission,
            clock=context.clock,
            log=context.log,
            figures=door_figures(context.metrics, listener.service),
        )

    # -- IMAP

    def _imap_maker(self) -> Callable[[Listener], MakeSession]:
        if not any(listener.service == "imap" for listener in self._settings.listener):
            return _make_nothing
        from posthouse.access.imap.desk import Desk, ImapFigures
        from posthouse.access.imap.session import ImapSession
        from posthouse.access.imap.uploads import Uploads

        context, world = self._context, self._world
        uploads, decoding = Uploads(self._settings.imap.uploads), Uploads(self._settings.imap.uploads)
        sending = self.make_sending()
        figures = ImapFigures(*self._figures("imap"))

        def make(listener: Listener) -> MakeSession:
            desk = Desk(
                settings=imap_settings(self._settings, listener),
                store=world.store,
                accounts=world.accounts,
                directory=world.directory,
                converse=world.converse,
                slots=self._slots,
                sending=sending,
                parse=self._parse,
                compute=world.compute,
                uploads=uploads,
                decoding=decoding,
                clock=context.clock,
                log=context.log,
                figures=figures,
            )
            return lambda wire: ImapSession(wire, desk)

        return make

    def make_sending(self) -> EmailSending:
        from posthouse.msa.doors import DoorParts
        from posthouse.msa.email_doors import EmailDoors
        from posthouse.msa.sent import SentParts

        store, context = self._world.store, self._context
        return EmailDoors(
            DoorParts(
                submitter=self._world.submitter,
                sent=SentParts(store.submissions, store.messages, store.blobs, context.clock, context.log),
                mailboxes=store.mailboxes,
                blobs=store.blobs,
                annotations=store.annotations,
                changes=store.changes,
                clock=context.clock,
                hostname=self._settings.hostname,
                outbox=self._settings.imap.outbox,
                undo_s=self._settings.submission.undo.total_seconds(),
            )
        )

    async def _parse(self, octets: bytes) -> ParsedMessage:
        if len(octets) <= _PARSED_BESIDE:
            return parse_message(octets)
        return await self._world.compute.run(partial(parse_message, octets))

    # -- POP3

    def _pop3_maker(self) -> Callable[[Listener], MakeSession]:
        if not any(listener.service == "pop3" for listener in self._settings.listener):
            return _make_nothing
        from posthouse.access.pop3.delays import LoginDelays
        from posthouse.access.pop3.desk import Desk, Pop3Figures
        from posthouse.access.pop3.session import Pop3Session

        context, world = self._context, self._world
        delays, figures = LoginDelays(context.clock), Pop3Figures(*self._figures("pop3"))

        def make(listener: Listener) -> MakeSession:
            desk = Desk(
                settings=pop3_settings(self._settings, listener),
                store=world.store,
                converse=world.converse,
                slots=self._slots,
                maildrops=self._maildrops,
                delays=delays,
                clock=context.clock,
                log=context.log,
                figures=figures,
            )
            return lambda wire: Pop3Session(wire, desk)

        return make

    def _figures(self, service: str) -> tuple[Counter, Counter, Counter]:
        """Logins, commands, refused commands."""
        counter = self._context.metrics.counter
        name, words = "posthouse_commands_total", "Commands of sessions that read mail, by what was answered."
        return (
            counter("posthouse_reading_logins_total", "Logins of sessions that read mail.", service=service),
            counter(name, words, service=service, answer="any"),
            counter(name, words, service=service, answer="refused"),
        )


def _make_nothing(listener: Listener) -> MakeSession:
    raise AssertionError(f"no sessions were made ready for {listener.service}")


def imap_settings(settings: Settings, listener: Listener) -> ImapSettings:
    from posthouse.access.imap.settings import ImapSettings
    from posthouse.protocol.imap.server_events import ImapLimits

    imap, largest = settings.imap, settings.smtp.max_message_size
    return ImapSettings(
        hostname=settings.hostname,
        limits=ImapLimits(
            command=imap.max_command_line,
            literal_before_login=imap.max_literal_before_login,
            literal=imap.max_literal,
            message=largest,
            messages_per_append=imap.max_multiappend,
            depth=imap.max_depth,
            search_keys=imap.max_search_keys,
            errors=imap.max_errors,
        ),
        login_timeout_s=imap.login_timeout.total_seconds(),
        timeout_s=imap.timeout.total_seconds(),
        still_here_s=imap.still_here.total_seconds(),
        message_limit=imap.message_limit,
        append_limit=largest,
        hidden=frozenset(name.upper() for name in (*imap.hide, *listener.hide_capabilities)),
        outbox=imap.outbox,
        inline_limit=settings.store.body_file_size,
    )


def pop3_settings(settings: Settings, listener: Listener) -> Pop3Settings:
    from posthouse.access.pop3.settings import Pop3Settings
    from posthouse.protocol.pop3.server import Pop3Limits

    pop3 = settings.pop3
    return Pop3Settings(
        hostname=settings.hostname,
        limits=Pop3Limits(errors=pop3.max_errors),
        timeout_s=pop3.timeout.total_seconds(),
        login_delay_s=pop3.login_delay.total_seconds(),
        hidden=frozenset(name.upper() for name in listener.hide_capabilities),
        marks_seen=pop3.marks_seen,
    )


def render_imap_refusal(reply: Reply) -> bytes:
    """RFC 9051 §7.1.5: a greeting of BYE. The codes are of RFC 5530."""
    code = "LIMIT" if reply.enhanced == "4.7.0" else "UNAVAILABLE"
    return f"* BYE [{code}] {reply.text}\r\n".encode("ascii", "replace")


def render_pop3_refusal(reply: Reply) -> bytes:
    """The code is of RFC 3206."""
    return f"-ERR [SYS/TEMP] {reply.text}\r\n".encode("ascii", "replace")
