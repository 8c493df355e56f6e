"""What the supervisor hands to a child, and how: descriptors by inheritance, everything else in one sealed memfd.

A child is started with the memfd's number as its only argument. It trusts what stands there: it comes from its
parent, and seals keep everybody else from changing it. The configuration goes as text, so that a child reads
exactly what was checked, whatever the file says by then.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence

import msgspec

from posthouse.app.worker_context import TlsFiles

NO_DESCRIPTOR = -1


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """`listeners` are descriptors in the order of the configuration's `[[listener]]` tables."""

    index: int
    worker_count: int
    generation: int
    config_file: str
    config_text: str
    runtime: str
    channel: int
    server_uid: int
    lock: int = NO_DESCRIPTOR
    listeners: list[int] = []
    certificate: int = NO_DESCRIPTOR
    key: int = NO_DESCRIPTOR
    submit: int = NO_DESCRIPTOR
    control: int = NO_DESCRIPTOR
    link: int = NO_DESCRIPTOR
    board: int = NO_DESCRIPTOR
    files: dict[str, bytes] = {}

    @property
    def descriptors(self) -> list[int]:
        single = (
            self.channel,
            self.lock,
            self.certificate,
            self.key,
            self.submit,
            self.control,
            self.link,
            self.board,
        )
        return [*self.listeners, *(number for number in single if number != NO_DESCRIPTOR)]

    @property
    def link_path(self) -> str:
        return link_path(self.runtime)

    @property
    def tls(self) -> TlsFiles:
        return tls_files(self.certificate, self.key)


def link_path(runtime: str) -> str:
    """Where the coordinator listens for workers."""
    return os.path.join(runtime, "coordinator.sock")


def control_path(runtime: str) -> str:
    return os.path.join(runtime, "control.sock")


def submit_path(runtime: str) -> str:
    return os.path.join(runtime, "submit.sock")


def tls_files(certificate: int, key: int) -> TlsFiles:
    """Paths by which OpenSSL can read the descriptors, as often as it likes."""
    return TlsFiles(f"/proc/self/fd/{certificate}", f"/proc/self/fd/{key}")


def make_memfd(name: str, content: bytes) -> int:
    """A file without a path that nobody can change any more. Raises OSError."""
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(descriptor, left) :]
        fcntl.fcntl(
            descriptor,
            fcntl.F_ADD_SEALS,
            fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL,
        )
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def make_shared_memory(name: str, size: int) -> int:
    """Zeroed octets that several processes write to; nobody can change the size."""
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, size)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL)
    return descriptor


def encode_launch(launch: Launch) -> int:
    """The memfd to start a child with; the caller closes it."""
    return make_memfd("launch", msgspec.msgpack.encode(launch))


def take_launch(arguments: Sequence[str]) -> Launch:
    """In the child: reads and closes the memfd, and keeps what was inherited from being inherited further."""
    descriptor = int(arguments[0])
    with open(descriptor, "rb") as stream:
        stream.seek(0)
        launch = msgspec.msgpack.decode(stream.read(), type=Launch)
    for number in launch.descriptors:
        os.set_inheritable(number, False)
    return launch
