"""Into mailboxes of a message store: by SMTP, by LMTP; and submission by users who log in, with the copy in Sent."""

from __future__ import annotations

import re
import time
from contextlib import ExitStack
from pathlib import Path

import apsw

from bench.accounts import PASSWORD
from bench.bench import Bench, Case, Row
from bench.dovecot import Dovecot, PostfixDovecot
from bench.lab import LabError
from bench.sides import LMTP_PORT, USERS, Posthouse, Setup, Side

_POLL_S = 0.05


def count_stored(base: Path) -> int:
    """Messages that readers of our store see: each of its databases is asked, from this process of its own."""
    total = 0
    for path in sorted((base / "data" / "store").glob("*.db")):
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            total += int(str(connection.execute("SELECT coalesce(sum(total), 0) FROM mailbox").fetchall()[0][0]))
        finally:
            connection.close()
    return total


class SentLines:
    """Postfix says `status=sent` when Dovecot has answered 250."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._count = 0

    def count(self) -> int:
        with self._path.open("rb") as stream:
            stream.seek(self._offset)
            new = stream.read()
        self._offset += len(new)
        self._count += len(re.findall(rb"status=sent", new))
        return self._count


def wait_stored(bench: Bench, side: Side, lines: SentLines | None, wanted: int) -> float:
    deadline = time.perf_counter() + bench.seconds * 20 + 60
    while True:
        looked = time.perf_counter()
        count = count_stored(bench.base) if lines is None else lines.count()
        if count >= wanted:
            return looked
        if looked > deadline:
            raise LabError(f"{side.name}: {count} messages in mailboxes, not {wanted}")
        time.sleep(_POLL_S)


def deliver(bench: Bench, side: Side) -> dict[str, float]:
    lines = None if isinstance(side, Posthouse) else SentLines(bench.base / "maillog")

    def send(messages: int) -> object:
        return bench.run_load("send", "--messages", str(messages), "--users", str(USERS))

    return bench.measure_flow(side, send, lambda n: wait_stored(bench, side, lines, n), 500)


def hand_over(users: int) -> Case:
    """LMTP answers after the commit: the time of the last reply is the end."""

    def measure(bench: Bench, side: Side) -> dict[str, float]:
        def send(messages: int) -> object:
            words = ("--lmtp", "--sessions", "10", "--messages", str(messages), "--users", str(users))
            return bench.run_load("send", *words, port=LMTP_PORT)

        return bench.measure_flow(side, send, lambda _: time.perf_counter(), 300)

    who = "one user" if users == 1 else f"{users:,} users"
    return Case(
        f"lmtp-{users}",
        (Row(f"LMTP into a mailbox, 4 KiB, 10 sessions, {who}", "rate", "messages/s", "at least", 5.0),),
        measure,
        lambda _: Setup(routes={}, users=max(users, 1)),
        peer=Dovecot,
    )


def submit(bench: Bench, side: Side) -> dict[str, float]:
    with ExitStack() as stack:
        sinks = bench.start_sinks(stack, Setup(certificate=None))

        def send(messages: int) -> object:
            words = ("--tls", "--auth", f"u0@src.test:{PASSWORD}", "--messages", str(messages))
            return bench.run_load("send", *words)

        return bench.measure_flow(side, send, bench.wait_sinks(sinks), 300)


SMTP_IN = Case(
    "mailbox",
    (Row("SMTP in to mailboxes of 100 users, 4 KiB, 20 sessions", "rate", "messages/s", "at least", 6.0),),
    deliver,
    lambda _: Setup(routes={}, users=USERS),
    peer=PostfixDovecot,
)
LMTP_ONE = hand_over(1)
LMTP_MANY = hand_over(1000)
SUBMISSION = Case(
    "submission",
    (
        Row(
            "submission with TLS and AUTH, kept connections (ours files the copy in Sent)",
            "rate",
            "messages/s",
            "at least",
            2.0,
        ),
    ),
    submit,
    lambda bench: Setup(certificate=bench.make_certificate(), submission=True),
    peer=PostfixDovecot,
)
