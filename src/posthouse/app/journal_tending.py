"""Compresses closed hours of the journal, removes old ones, and indexes them: once an hour, beside the server.

Done in a short process of its own with low priority, because decoding a busy hour takes seconds of the interpreter
that a worker needs for mail. Any worker may start it; a lock lets one at a time do the work. A crash in between is
made good by the next turn (adapters/journal.py).
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from posthouse.adapters.journal import SETTLE_S, is_over, list_files, tend_journal
from posthouse.adapters.sqlite.journal_index import JournalIndex
from posthouse.config.settings import Settings
from posthouse.ports.clock import Clock
from posthouse.ports.observe import Log

HOUR_S = 3600.0
NICENESS = 15


def seconds_to_next(now: float, offset_s: float) -> float:
    """Until an hour has been over for long enough; `offset_s` spreads the workers."""
    return HOUR_S - (now - SETTLE_S - offset_s) % HOUR_S


async def tend_forever(settings: Settings, clock: Clock, log: Log, worker: int) -> None:
    """Until cancelled. At the start too: a server may have been away for days."""
    root = Path(settings.data) / "journal"
    offset_s = 5.0 + worker % 60
    wait_s = offset_s
    while True:
        await asyncio.sleep(wait_s)
        if any(is_over(path, clock.now()) for path in list_files(root)):
            await tend_once(root, settings, log)
        wait_s = seconds_to_next(clock.now(), offset_s)


async def tend_once(root: Path, settings: Settings, log: Log) -> None:
    journal = settings.journal
    arguments = (str(root), str(journal.keep.total_seconds()), str(journal.max_size))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", __name__, *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},  # the very same program
    )
    _, errors = await process.communicate()
    if process.returncode:
        log.error("journal not tended", reason=errors.decode("utf-8", "replace")[-500:])


def main(arguments: Sequence[str]) -> int:
    """ROOT KEEP_SECONDS MAX_OCTETS."""
    root, keep, size = arguments
    os.umask(0o077)
    os.nice(NICENESS)
    index = JournalIndex(Path(root))
    tend_journal(Path(root), time.time(), float(keep), int(size), lambda: index.catch_up(only_closed=True))
    index.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
