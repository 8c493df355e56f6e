"""What a POP3 listener is told by the configuration. Limits of framing are protocol/pop3's `Pop3Limits`."""

from __future__ import annotations

from dataclasses import dataclass, field

from posthouse.protocol.pop3.server import Pop3Limits


@dataclass(frozen=True, slots=True)
class Pop3Settings:
    """Times in seconds. `hidden`: capabilities that are not announced and do not work, in upper case and by their first
    word. `login_delay_s`: LOGIN-DELAY (RFC 2449 §6.5), 0: an account may come back at once. `marks_seen`: what was
    retrieved counts as read after QUIT.
    """

    hostname: str
    limits: Pop3Limits = field(default_factory=Pop3Limits)
    timeout_s: float = 600.0  # RFC 1939 §3: at least 10 minutes, before the login too
    login_delay_s: float = 0.0
    hidden: frozenset[str] = frozenset()
    marks_seen: bool = True
