"""Listening sockets, opened once by the supervisor and inherited by everybody else, and unix sockets of any length.

A unix socket's path may have 107 bytes (sun_path); longer ones are reached through `/proc/self/fd/N/name`, N being
its directory. A stale socket file (nobody listens) is replaced, a live one is an error, any other file too.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from posthouse.app.privileges import Identity, acting_as
from posthouse.config.kinds import Bind

_MAX_SUN_PATH = 107
_UCRED = struct.Struct("=iII")  # pid, uid, gid


class BindError(Exception):
    """The listener cannot be opened; the message names it and says why."""


@contextlib.contextmanager
def short_path(path: str) -> Iterator[str]:
    """The path, or a short one to the same file that is good inside the `with`."""
    if len(os.fsencode(path)) <= _MAX_SUN_PATH:
        yield path
        return
    directory, name = os.path.split(path)
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)


def connect_unix(path: str) -> socket.socket:
    """A connected, blocking socket. Raises OSError. Never waits: a unix socket connects at once or not at all."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        with short_path(path) as short:
            connection.connect(short)
    except BaseException:
        connection.close()
        raise
    return connection


def peer_uid(connection: socket.socket) -> int:
    """Who is at the other end of a unix socket (SO_PEERCRED)."""
    _, uid, _ = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return int(uid)


@dataclass(frozen=True, slots=True, eq=False)
class Listening:
    """A socket that listens, and where."""

    bind: Bind
    socket: socket.socket

    def close(self, identity: Identity) -> None:
        """Close our descriptor and remove a unix socket's file; processes that inherited it go on."""
        self.socket.close()
        if not self.bind.is_unix:
            return
        with contextlib.suppress(OSError), _rights_for(self.bind.path, identity):
            os.unlink(self.bind.path)


def open_listener(bind: Bind, backlog: int, identity: Identity, mode: int = 0o666) -> Listening:
    """Listening and non-blocking. `mode` is for unix sockets, which belong to `identity`. Raises BindError."""
    try:
        opened = _open_unix(bind.path, backlog, identity, mode) if bind.is_unix else _open_tcp(bind, backlog)
    except OSError as error:
        raise BindError(f"cannot listen on {bind}: {_explain(error, bind)}") from error
    return Listening(bind, opened)


def _open_tcp(bind: Bind, backlog: int) -> socket.socket:
    [(family, _, _, _, address), *_] = socket.getaddrinfo(
        bind.host, bind.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    )
    listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(backlog)
    except BaseException:
        listener.close()
        raise
    return listener


def _open_unix(path: str, backlog: int, identity: Identity, mode: int) -> socket.socket:
    with _rights_for(path, identity), short_path(path) as short:
        _remove_stale(short, path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        mask = os.umask(0o777)  # nobody gets in before the mode is right
        try:
            listener.bind(short)
            os.chmod(short, mode)
            if os.geteuid() != identity.uid:
                os.chown(short, identity.uid, identity.gid)
            listener.listen(backlog)
        except BaseException:
            listener.close()
            raise
        finally:
            os.umask(mask)
    return listener


@contextlib.contextmanager
def _rights_for(path: str, identity: Identity) -> Iterator[None]:
    """Those of `identity` where it may make files itself; else the directory is root's, and so are the rights."""
    with acting_as(identity):
        is_its_own = os.access(os.path.dirname(path), os.W_OK | os.X_OK, effective_ids=True)
    if not is_its_own:
        yield
        return
    with acting_as(identity):
        yield


def _remove_stale(short: str, path: str) -> None:
    try:
        mode = os.lstat(short).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(errno.EEXIST, "there is a file that is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(short)
        except ConnectionRefusedError:
            os.unlink(short)
            return
        except BlockingIOError:
            pass  # its backlog is full: somebody is there
    raise OSError(errno.EADDRINUSE, f"another process listens on {path}")


def _explain(error: OSError, bind: Bind) -> str:
    if error.errno == errno.EACCES and not bind.is_unix:
        return "permission denied (ports below 1024 need root or CAP_NET_BIND_SERVICE)"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine does not have that address"
    return (error.strerror or str(error)).lower()
