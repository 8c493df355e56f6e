"""`posthouse demo --check`, as somebody who has just cloned it runs it: through every door, into mailboxes."""

from __future__ import annotations

import os
import subprocess
import sys

DOORS = ("SMTP", "LMTP", "submission", "submissions", "IMAP Outbox", "sendmail")
READ_BY = 7  # the store, export, IMAP, IMAPS, POP3, POP3S, trace


def test_the_demo_finds_every_message_where_it_must_be() -> None:
    environment = {**os.environ, "COLUMNS": "140", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", "from posthouse.app.cli import main; main()", "demo", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith("demo: all as it must be")
    rows = [line.split() for line in done.stdout.splitlines()]
    for door in DOORS:
        found = [row for row in rows if row[: len(door.split())] == door.split() and row[-1] == "yes"]
        assert [row[-READ_BY:] for row in found] == [["yes"] * READ_BY]
