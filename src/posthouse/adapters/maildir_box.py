"""One open Maildir: its `tmp` and `new` by descriptor, found below a trusted root without following links."""

from __future__ import annotations

import os

from posthouse.adapters.durable import FileCalls

_ROOT = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_BELOW = _ROOT | os.O_NOFOLLOW


class Box:
    """`identity` is (device, inode) of the Maildir itself; compared with the path's to see that it is still there."""

    __slots__ = ("identity", "new_fd", "tmp_fd")

    def __init__(self, tmp_fd: int, new_fd: int, identity: tuple[int, int]) -> None:
        self.tmp_fd, self.new_fd, self.identity = tmp_fd, new_fd, identity

    @property
    def device(self) -> int:
        return self.identity[0]

    def is_at(self, path: str) -> bool:
        """False when the Maildir was moved or removed since it was opened."""
        try:
            found = os.stat(path, follow_symlinks=False)
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self.identity

    def close(self) -> None:
        os.close(self.tmp_fd)
        os.close(self.new_fd)


def open_box(root: str, path: str, files: FileCalls) -> Box:
    """Open the Maildir at `path`, making what is missing below `root`, durably. Raises OSError."""
    fd = os.open(root, _ROOT)
    try:
        for name in _names_below(root, path):
            below = _enter(fd, name, files)
            os.close(fd)
            fd = below
        return _open_parts(fd, files)
    finally:
        os.close(fd)


def _names_below(root: str, path: str) -> list[str]:
    prefix = root.rstrip("/") + "/"
    names = path[len(prefix) :].split("/")
    if not path.startswith(prefix) or any(name in ("", ".", "..") for name in names):
        raise OSError(f"not a path below {root}")
    return names


def _enter(parent_fd: int, name: str, files: FileCalls) -> int:
    try:
        return os.open(name, _BELOW, dir_fd=parent_fd)
    except FileNotFoundError:
        _make(parent_fd, name)
        files.fsync(parent_fd)
        return os.open(name, _BELOW, dir_fd=parent_fd)


def _make(parent_fd: int, name: str) -> None:
    try:
        os.mkdir(name, 0o700, dir_fd=parent_fd)
    except FileExistsError:
        return  # another worker was faster


def _open_parts(fd: int, files: FileCalls) -> Box:
    try:
        os.stat("new", dir_fd=fd, follow_symlinks=False)
    except FileNotFoundError:
        for name in ("cur", "tmp", "new"):  # all three with one sync
            _make(fd, name)
        files.fsync(fd)
    opened: list[int] = []
    try:
        opened.extend(_enter(fd, name, files) for name in ("cur", "tmp", "new"))
        found = os.fstat(fd)
    except OSError:
        for one in opened:
            os.close(one)
        raise
    os.close(opened[0])
    return Box(opened[1], opened[2], (found.st_dev, found.st_ino))
