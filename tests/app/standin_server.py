"""`posthouse serve` with stand-in workers: CONFIG [name=seconds ...], the names being those of `Timings`."""

from __future__ import annotations

import os
import sys

from posthouse.adapters.clock import SystemClock
from posthouse.adapters.log import open_log
from posthouse.app import supervisor
from posthouse.app.children import Timings
from posthouse.app.lockfile import LockHeldError
from posthouse.app.sockets import BindError
from posthouse.config.reader import ConfigError


def main(config: str, *timings: str) -> int:
    log = open_log(SystemClock(), "debug", "json")
    worker = os.path.join(os.path.dirname(os.path.abspath(__file__)), "standin_worker.py")
    commands = supervisor.Commands(worker=(sys.executable, worker))
    given = {name: float(value) for name, _, value in (timing.partition("=") for timing in timings)}
    try:
        return supervisor.serve(config, log, commands, Timings(**given))
    except (LockHeldError, BindError, ConfigError, OSError) as error:
        log.error("server not started", reason=str(error))
        return 1
    finally:
        log.flush()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
