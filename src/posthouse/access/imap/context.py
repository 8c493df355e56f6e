"""What the handlers of commands work with: who the client is, what it has enabled and selected, and its responses.

`session.py` runs the dialogue and is a `Context`; handlers see this class alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from posthouse.access.imap.answers import No
from posthouse.access.imap.desk import Desk
from posthouse.access.imap.selected import Selected
from posthouse.access.imap.watching import Notifying
from posthouse.message.mailbox import AccountId
from posthouse.ports.access import ConnectionLost, Wire
from posthouse.ports.login import Login
from posthouse.protocol.imap.render import write_status
from posthouse.protocol.imap.server import ImapServer
from posthouse.trust.login import SaslConversation

T = TypeVar("T")

_FULL = 65_536  # octets that wait to be written together


class Context:
    """`condstore`, `qresync`, `rev2`, `utf8`, `uid_only`: enabled by the client (RFC 5161; RFC 7162 §3.1)."""

    __slots__ = (
        "_out",
        "_out_size",
        "_progress_at",
        "auth_tag",
        "condstore",
        "conversation",
        "core",
        "desk",
        "has_outbox",
        "hidden",
        "idle_tag",
        "is_compressed",
        "login",
        "notifying",
        "qresync",
        "rev2",
        "selected",
        "tag",
        "uid_only",
        "utf8",
        "wire",
    )

    def __init__(self, wire: Wire, desk: Desk) -> None:
        self.wire = wire
        self.desk = desk
        self.core = ImapServer(desk.settings.limits)
        self.login: Login | None = None
        self.selected: Selected | None = None
        self.tag = b"*"
        self.auth_tag = self.idle_tag = b""  # of an AUTHENTICATE or IDLE that is not over
        self.conversation: SaslConversation | None = None
        self.is_compressed = False
        self.hidden: frozenset[str] = frozenset()  # capabilities, by the account
        self.has_outbox = False  # the account's Outbox was open when it logged in
        self.notifying: Notifying | None = None
        self.forget_enabled()
        self._out: list[bytes] = []
        self._out_size = 0
        self._progress_at = 0.0

    def forget_enabled(self) -> None:
        self.condstore = self.qresync = self.rev2 = self.utf8 = self.uid_only = False
        self.core.is_utf8 = self.core.is_uid_only = False

    def enable(self, name: str) -> bool:
        """False: this is nothing to be enabled."""
        match name:
            case "CONDSTORE":
                self.condstore = True
            case "QRESYNC":
                self.condstore = self.qresync = True  # RFC 7162 §3.2.3
            case "IMAP4REV2":
                self.rev2 = self.core.is_utf8 = True
            case "UTF8=ACCEPT":
                self.utf8 = self.core.is_utf8 = True
            case "UIDONLY":
                self.uid_only = self.core.is_uid_only = True
            case _:
                return False
        return True

    # -- who and where

    @property
    def user(self) -> Login:
        """Only in states with a login."""
        assert self.login is not None
        return self.login

    @property
    def account(self) -> AccountId:
        return self.user.account

    @property
    def mailbox(self) -> Selected:
        """Only in the selected state."""
        assert self.selected is not None
        return self.selected

    def must_be_writable(self) -> Selected:
        """Raises No for EXAMINE (RFC 9051 §6.3.3)."""
        selected = self.mailbox
        if selected.is_read_only:
            raise No("The mailbox was opened read-only", b"READ-ONLY")
        return selected

    def highest_code(self) -> bytes:
        """HIGHESTMODSEQ of the selected mailbox for the answer to what expunged (RFC 7162 §3.2.9)."""
        return b"HIGHESTMODSEQ %d" % max(self.mailbox.view.highest, 1) if self.qresync else b""

    @property
    def writes_utf8(self) -> bool:
        """Names of mailboxes go out as UTF-8."""
        return self.rev2 or self.utf8

    def note_change(self) -> None:
        """A hint that something changed in the account of the selected mailbox."""
        if self.selected is not None:
            self.selected.is_dirty = True

    # -- responses

    def write(self, response: bytes) -> None:
        """One or more whole untagged responses; they go out with what comes next, in order."""
        self._out.append(response)
        self._out_size += len(response)

    def flush(self) -> None:
        if self._out:
            data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
            self._out, self._out_size = [], 0
            self.wire.write(data)

    async def breathe(self) -> None:
        """To be called between slices of long work and after each slice of output: others get their turn, a slow
        client is waited for. Raises ConnectionLost when the client is gone.
        """
        if self._out_size >= _FULL:
            self.flush()
            await self.wire.drain()
        if self.wire.is_closing:
            raise ConnectionLost
        await asyncio.sleep(0)

    async def wait_patiently(self, work: Awaitable[T]) -> T:
        """For one long piece of work: the client hears now and then that it goes on. A client that leaves does not stop
        what was handed to the store already.
        """
        every = self.desk.settings.progress_s or None
        future = asyncio.ensure_future(work)
        while not (await asyncio.wait({future}, timeout=every))[0]:
            self._tell_progress(b"NIL NIL")
        return future.result()

    def start_progress(self) -> None:
        self._progress_at = self.desk.clock.monotonic() + self.desk.settings.progress_s

    def tell_progress(self, done: int, total: int) -> None:
        """INPROGRESS (RFC 9585 §3), now and then; call as often as you like."""
        every = self.desk.settings.progress_s
        if not every or self.desk.clock.monotonic() < self._progress_at:
            return
        self.start_progress()
        self._tell_progress(b"%d %d" % (done, total))

    def _tell_progress(self, numbers: bytes) -> None:
        code = b'INPROGRESS ("%b" %b)' % (self.tag.replace(b"\\", b"\\\\").replace(b'"', b'\\"'), numbers)
        self.write(write_status(b"*", b"OK", "Still at it", code))
        self.flush()
