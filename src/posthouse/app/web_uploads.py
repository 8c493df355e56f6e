"""Where uploads of clients lie: `uploads/` of the data directory, swept hourly."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from posthouse.adapters.files import Files, Space
from posthouse.adapters.sqlite.disk import Disk
from posthouse.adapters.uploads import FileUploads
from posthouse.app.web import WebContext
from posthouse.config.settings import Settings
from posthouse.ports.clock import Clock

_THREADS = 2
_SWEEP_S = 3600.0


class UploadsFolder:
    """Close it. `files` is the port's adapter."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        directory = Path(settings.data) / "uploads"
        directory.mkdir(mode=0o700, exist_ok=True)
        self._executor = ThreadPoolExecutor(_THREADS, "uploads")
        room = Space(settings.queue.min_free, settings.queue.min_free_inodes)
        make_token = partial(secrets.token_hex, 16)
        disk = Disk(Files(), self._executor)
        self.files = FileUploads(str(directory), disk, clock, make_token, min_free=room)

    def tend(self, web: WebContext) -> None:
        web.periodic.append((_SWEEP_S, self.files.sweep))
        web.closing.append(self.close)

    async def close(self) -> None:
        self._executor.shutdown()
