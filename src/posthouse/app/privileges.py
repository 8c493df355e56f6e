"""Who we run as. Started as root, everything but the supervisor becomes `user` before it opens anything.

The supervisor acts as `user` wherever it touches directories that `user` owns: as root it could be led anywhere
by a symbolic link there. Not thread-safe (effective ids are the process's): the supervisor has one thread.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


class PrivilegeError(Exception):
    """The configured user cannot be had; the message says why."""


@dataclass(frozen=True, slots=True)
class Identity:
    """`is_other` says that becoming it means giving up root."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    is_other: bool


def find_identity(user: str | None) -> Identity:
    """Whom workers and commands run as; without `user` whoever we are. Raises PrivilegeError."""
    here = os.geteuid()
    if user is None:
        return Identity(_name_of(here), here, os.getegid(), tuple(os.getgroups()), is_other=False)
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise PrivilegeError(f"user {user!r} does not exist") from None
    if here not in (entry.pw_uid, 0):
        raise PrivilegeError(f"cannot become user {user!r}: not started as root")
    groups = tuple(os.getgrouplist(user, entry.pw_gid))
    return Identity(user, entry.pw_uid, entry.pw_gid, groups, is_other=entry.pw_uid != here)


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def become(identity: Identity) -> None:
    """Give root up for good."""
    if not identity.is_other:
        return
    os.setgroups(identity.groups)
    os.setresgid(identity.gid, identity.gid, identity.gid)
    os.setresuid(identity.uid, identity.uid, identity.uid)


def find_unreadable(paths: Iterable[str]) -> str | None:
    """The first of these files that we may not read."""
    return next((path for path in paths if not os.access(path, os.R_OK, effective_ids=True)), None)


@contextlib.contextmanager
def acting_as(identity: Identity) -> Iterator[None]:
    """File access with the rights of `identity`; afterwards those we had."""
    if not identity.is_other:
        yield
        return
    groups, gid, uid = os.getgroups(), os.getegid(), os.geteuid()
    os.setgroups(identity.groups)
    os.setegid(identity.gid)
    os.seteuid(identity.uid)
    try:
        yield
    finally:
        os.seteuid(uid)
        os.setegid(gid)
        os.setgroups(groups)


def make_directory(path: str, mode: int, identity: Identity) -> None:
    """A directory that belongs to `identity`; one that is there keeps its owner, and its mode unless it is ours.

    Made as `identity` where that is possible, else as root (as in /run) and given away. Raises OSError.
    """
    try:
        with acting_as(identity):
            os.makedirs(path, mode, exist_ok=True)
    except PermissionError:
        if not identity.is_other:
            raise
        os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
        os.mkdir(path, mode)
        os.chown(path, identity.uid, identity.gid, follow_symlinks=False)
    with acting_as(identity):
        found = os.stat(path)
        if found.st_uid == identity.uid and stat.S_IMODE(found.st_mode) != mode:
            os.chmod(path, mode)
