"""An import that is killed again and again ends with every message, once, in order (docs/internals.md "An import")."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from posthouse.adapters.files import Files
from posthouse.adapters.maildir_reader import MaildirSource
from posthouse.adapters.sqlite.store_fsck import check_store_shard
from tests.manage.transfer_kit import make_letter, wire

ACCOUNT = "alice@example.org"
PROGRAM = "from posthouse.app.cli import main; main()"
SOURCE = Path(__file__).resolve().parents[2] / "src"
FROM = b"From ann@example.com Tue Nov 14 22:13:20 2023\n"


class Command:
    def __init__(self, directory: Path) -> None:
        self._file = directory / "p.toml"
        self._file.write_text(
            f'hostname = "mail.example.org"\ndata = "{directory}/data"\n[store]\nshards = 1\nbody_file_size = "20K"\n'
        )

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM, "-c", str(self._file), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": str(SOURCE)},
        )

    def run(self, *arguments: str, typed: bytes = b"") -> bytes:
        process = self.start(*arguments)
        output, _ = process.communicate(typed, timeout=60)
        assert process.returncode == 0, output
        return output


def make_messages(count: int) -> list[bytes]:
    """Every 97th is a file of the store."""
    return [
        make_letter(number, "text\n" * (6000 if number % 97 == 0 else 100 + number % 50)) for number in range(count)
    ]


def kill_imports(command: Command, source: str, wal: Path, kills: int) -> int:
    """Moments of its work: when the log has grown by a little more than before."""
    chance, killed = random.Random(7), 0
    for _ in range(kills):
        process = command.start("import", ACCOUNT, "mbox", source)
        begin = wal.stat().st_size if wal.exists() else 0
        wanted = begin + chance.randint(1, 400_000)
        while process.poll() is None and (wal.stat().st_size if wal.exists() else 0) < wanted:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL if chance.random() < 0.8 else signal.SIGINT)
        process.communicate(timeout=60)
        killed += process.returncode != 0
    return killed


@pytest.mark.parametrize(("count", "kills"), [(6000, 4), pytest.param(60_000, 60, marks=pytest.mark.soak)])
def test_a_killed_import_goes_on_without_loss_or_doubles(tmp_path: Path, count: int, kills: int) -> None:
    command = Command(tmp_path)
    command.run("domain", "add", "example.org")
    command.run("account", "add", ACCOUNT, "--password-stdin", typed=b"secret\n")
    messages = make_messages(count)
    source = tmp_path / "Work"
    source.write_bytes(b"".join(FROM + message + b"\n" for message in messages))
    store = tmp_path / "data" / "store"
    assert kill_imports(command, str(source), store / "0.db-wal", kills)
    told = json.loads(command.run("import", ACCOUNT, "mbox", str(source), "--json"))
    assert told["imported"] + told["already"] == count
    assert told["already"] > 0
    command.run("export", ACCOUNT, str(tmp_path / "out"))
    letters = MaildirSource(str(tmp_path / "out" / ".Work"), limit=1 << 20).letters({})
    assert [letter.octets for letter in letters if not letter.is_mailbox] == [wire(message) for message in messages]
    found = check_store_shard(str(store), 0, Files(), deep=True)
    assert {finding.what for finding in found} <= {"orphan", "leftover"}
