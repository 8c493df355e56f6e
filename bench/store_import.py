"""How fast `posthouse import` takes an mbox, and in how much memory; then the same for its export to a Maildir.

Run: python bench/store_import.py [messages]. Messages of 4 to 8 KB, all different. Prints one JSON line.
"""

from __future__ import annotations

import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROGRAM = "from posthouse.app.cli import main; main()"
ACCOUNT = "alice@example.org"
MUST_RATE, MUST_MIB = 1500, 200


def write_mbox(path: Path, count: int) -> None:
    chance = random.Random(1)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(chance.choices(letters, k=chance.randint(2, 9))) for _ in range(3000)]
    with path.open("w", encoding="ascii") as file:
        for number in range(count):
            lines = (" ".join(chance.choices(words, k=11)) for _ in range(chance.randint(50, 108)))
            file.write(
                f"From a{number}@example.com Tue Nov 14 22:13:20 2023\nReturn-Path: <a{number}@example.com>\n"
                "Received: from a.example.org (a.example.org [192.0.2.1])\n\tby b.example.net (Postfix) with ESMTPS"
                f" id 4Xyz{number};\n\tTue, 14 Nov 2023 22:13:20 +0000\nFrom: Sender {number} <a{number}@example.com>\n"
                f"To: B <b@example.net>\nSubject: Message {number} about things\n"
                f"Message-ID: <{number}.5678@example.org>\nDate: Tue, 14 Nov 2023 22:13:20 +0000\n"
                "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nStatus: RO\n\n" + "\n".join(lines) + "\n\n"
            )


class Command:
    def __init__(self, directory: Path) -> None:
        self._file = directory / "posthouse.toml"
        self._file.write_text(f'hostname = "mail.example.org"\ndata = "{directory}/data"\n')
        self.seconds = 0.0

    def run(self, *arguments: str, typed: str = "") -> str:
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, "-c", str(self._file), *arguments],
            input=typed,
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1] / "src")},
        )
        self.seconds = time.perf_counter() - started
        return done.stdout


def measure(directory: Path, count: int) -> dict[str, float]:
    source = directory / "Work.mbox"
    write_mbox(source, count)
    command = Command(directory)
    command.run("domain", "add", "example.org")
    command.run("account", "add", ACCOUNT, "--password-stdin", typed="secret\n")
    told = json.loads(command.run("import", ACCOUNT, "mbox", str(source), "--json"))
    assert told["imported"] == count
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = {
        "messages": count,
        "octets": told["octets"],
        "imported_per_second": round(count / command.seconds),
        "processor_us_per_message": round((usage.ru_utime + usage.ru_stime) / count * 1e6),
        "mib": round(usage.ru_maxrss / 1024),
    }
    command.run("import", ACCOUNT, "mbox", str(source), "--json")
    found["again_seconds"] = round(command.seconds, 2)
    command.run("export", ACCOUNT, str(directory / "out"), "--json")
    found["exported_per_second"] = round(count / command.seconds)
    return found | {"must_per_second": MUST_RATE, "must_mib": MUST_MIB}


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    with tempfile.TemporaryDirectory(prefix="posthouse-import-") as directory:
        print(json.dumps(measure(Path(directory), count)))


if __name__ == "__main__":
    main()
