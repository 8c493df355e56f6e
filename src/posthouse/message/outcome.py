"""What came of one attempt for one recipient: a closed set of values.

`reply` is what the next hop said (or what we say in its place), `remote` names who said it, e.g.
"mx1.example.net[192.0.2.1]:25", or "" when nobody was reached.
"""

from __future__ import annotations

from dataclasses import dataclass

from posthouse.message.reply import Reply


@dataclass(frozen=True, slots=True)
class Delivered:
    """The next hop has it. `is_final` when that was a mailbox or a DSN-capable hop took over NOTIFY; see `relayed`."""

    reply: Reply
    remote: str = ""
    relayed: bool = False  # True: went on by SMTP. A mailbox, LMTP or discard: False
    dsn_passed: bool = False  # the next hop announced DSN, so SUCCESS is its duty (RFC 3461 §5.2.2)
    mailbox: str = ""  # where it lies in an account of ours, "ann@example.org/INBOX"; for the trace


@dataclass(frozen=True, slots=True)
class Deferred:
    """Try again. `site_failed`: the connection itself failed, so every recipient of the site is in the same boat.

    `retry_after_s` takes the place of the schedule's wait, where a rule knows better.
    """

    reply: Reply
    remote: str = ""
    site_failed: bool = False
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """Permanent. Ends in a failure report to the sender."""

    reply: Reply
    remote: str = ""


Outcome = Delivered | Deferred | Refused
