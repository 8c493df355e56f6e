"""A disk that fails, records or kills at a chosen move: given to the spool from outside as its file layer."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable, Sequence

import apsw

from posthouse.adapters.files import Files, Space

Hook = Callable[[str, str], None]
_names = itertools.count()


class HookedFile(apsw.VFSFile):
    """A file of SQLite whose writes and syncs go past the hook."""

    def __init__(self, base: str, name: str | apsw.URIFilename | None, flags: list[int], hook: Hook) -> None:
        super().__init__(base, name, flags)
        shown = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._name = os.path.basename(shown or "")
        self._hook = hook

    def xWrite(self, data: bytes, offset: int) -> None:
        self._hook("db-write", self._name)
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        self._hook("db-sync", self._name)
        super().xSync(flags)

    def xTruncate(self, newsize: int) -> None:
        self._hook("db-truncate", self._name)
        super().xTruncate(newsize)


class HookedVfs(apsw.VFS):
    def __init__(self, hook: Hook) -> None:
        self.name = f"hooked-{next(_names)}"
        self._hook = hook
        super().__init__(self.name, base="")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> HookedFile:
        return HookedFile("", name, flags, self._hook)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self._hook("db-delete", os.path.basename(filename))
        super().xDelete(filename, syncdir)


class HookedFiles(Files):
    """Every move goes to `hook` first, which may raise OSError (or apsw.Error for SQLite's), record or kill."""

    def __init__(self, hook: Hook) -> None:
        self._hook = hook
        self._vfs = HookedVfs(hook)
        self.vfs = self._vfs.name
        self.room = Space(1 << 50, 1 << 50)

    def create(self, path: str) -> int:
        self._hook("create", path)
        return super().create(path)

    def write(self, descriptor: int, pieces: Sequence[bytes]) -> None:
        self._hook("write", "")
        super().write(descriptor, pieces)

    def sync(self, descriptor: int) -> None:
        self._hook("sync", "")
        super().sync(descriptor)

    def sync_file(self, path: str) -> None:
        self._hook("sync", path)
        super().sync_file(path)

    def rename(self, source: str, target: str) -> None:
        self._hook("rename", target)
        super().rename(source, target)

    def unlink(self, path: str) -> None:
        if os.path.exists(path):
            self._hook("unlink", path)
        super().unlink(path)

    def sync_directory(self, path: str) -> None:
        self._hook("sync-directory", path)
        super().sync_directory(path)

    def make_directory(self, path: str) -> bool:
        self._hook("make-directory", path)
        return super().make_directory(path)

    def space(self, path: str) -> Space:
        return self.room


class Recorder:
    """A hook that keeps what happened and fails what it is told to."""

    def __init__(self) -> None:
        self.moves: list[tuple[str, str]] = []
        self.failing: dict[str, Exception] = {}

    def __call__(self, move: str, path: str) -> None:
        self.moves.append((move, os.path.basename(path)))
        error = self.failing.get(move)
        if error is not None:
            raise error


class Killer:
    """A hook that ends the process with SIGKILL instead of the `at`-th move."""

    def __init__(self, at: int) -> None:
        self.count = 0
        self._at = at

    def __call__(self, move: str, path: str) -> None:
        if self.count == self._at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.count += 1


def lying_fsync() -> apsw.IOError:
    """What SQLite hears when fsync says EIO."""
    error = apsw.IOError("disk I/O error")
    error.extendedresult = apsw.SQLITE_IOERR_FSYNC  # type: ignore[attr-defined]
    return error
