"""What an IMAP listener is told by the configuration. Limits of framing are protocol/imap's `ImapLimits`."""

from __future__ import annotations

from dataclasses import dataclass, field

from posthouse.protocol.imap.server_events import ImapLimits


@dataclass(frozen=True, slots=True)
class ImapSettings:
    """Times in seconds. 0 turns a limit or a repetition off.

    `hidden`: capabilities that are not announced, in upper case; they cannot be enabled, but commands work.
    `still_here_s`: how often an idling client hears of us, so that nothing on the way forgets the connection.
    `message_limit`: MESSAGELIMIT (RFC 9738), most messages one command works on. `progress_s`: INPROGRESS (RFC 9585)
    of long commands.
    """

    hostname: str
    limits: ImapLimits = field(default_factory=ImapLimits)
    login_timeout_s: float = 180.0
    timeout_s: float = 1800.0  # RFC 9051 §5.4: at least 30 minutes
    still_here_s: float = 120.0
    progress_s: float = 5.0
    message_limit: int = 0
    append_limit: int = 50 << 20
    hidden: frozenset[str] = frozenset()
    outbox: str = "Outbox"
    large_mailbox: int = 50_000  # messages; larger ones are selected by their counters (sparse.py)
    inline_limit: int = 128 * 1024  # of the store: larger bodies are written in pieces
    largest_metadata: int = 65_536
    watched_mailboxes: int = 5_000  # by NOTIFY
