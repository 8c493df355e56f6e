"""Every row of the table of claims, in its order."""

from __future__ import annotations

from bench.bench import Case
from bench.cases import latency, mailbox, maildir, relay, sessions

ALL: tuple[Case, ...] = (
    relay.KEPT,
    relay.EACH,
    relay.LARGER,
    maildir.MAILDIR,
    relay.RECIPIENTS,
    relay.STARTTLS,
    latency.LATENCY,
    sessions.IDLE_PLAIN,
    sessions.IDLE_TLS,
    sessions.RESPONSIVE,
    sessions.MEMORY,
    mailbox.SMTP_IN,
    mailbox.LMTP_ONE,
    mailbox.LMTP_MANY,
    mailbox.SUBMISSION,
)
