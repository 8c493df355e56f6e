"""The child's side of a helper: a process that decodes what nobody trusts, and can do nothing else.

It is a program of its own that gets no secrets, no open files but three pipes and no environment to speak of. Before
the first job it gives up all it can: new files and sockets (RLIMIT_NOFILE), new processes, writing files, most of its
memory and time, its network (a namespace of its own, where that is allowed), and on Linux on x86-64 and ARM all system
calls but those that compute and answer (seccomp). So everything it needs is imported and tried once before
(`warm_up`). What takes too long is killed by the parent (preview_pool.py).

Wire: four octets of length, then msgpack. To the child `Job`, from it `Done`; its first one says that it is ready.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import resource
import signal
import struct
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

MAX_FRAME: Final = 80_000_000
_MEMORY = 1_000_000_000  # address space, with what libraries reserve
_CPU_S = 600  # of all jobs of a process
_JOB_CPU_S = 6


class Job(msgspec.Struct, array_like=True):
    kind: str
    octets: bytes
    arguments: dict[str, int | str | bool]


class Done(msgspec.Struct, array_like=True):
    """`refusal`: why there is nothing, for a log; "" when there is."""

    octets: bytes = b""
    refusal: str = ""
    figures: dict[str, int] = msgspec.field(default_factory=dict)


Handler = Callable[[Job], Done]


def serve(handlers: Mapping[str, Handler], warm_up: Callable[[], None]) -> None:
    """Until the parent goes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warm_up()
    decoder, encoder = msgspec.msgpack.Decoder(Job), msgspec.msgpack.Encoder()
    confine()
    _write_frame(encoder.encode(Done()))
    while (frame := _read_frame()) is not None:
        _write_frame(encoder.encode(_run(handlers, decoder.decode(frame))))


def _run(handlers: Mapping[str, Handler], job: Job) -> Done:
    _limit_time()
    try:
        return handlers[job.kind](job)
    except Exception as error:  # noqa: BLE001 - whatever a decoder may raise means that it cannot be shown
        return Done(refusal=f"{type(error).__name__}: {str(error)[:200]}")


def _read_frame() -> bytes | None:
    head = _read_exactly(4)
    return None if head is None else _read_exactly(struct.unpack(">I", head)[0])


def _read_exactly(size: int) -> bytes | None:
    pieces: list[bytes] = []
    while size > 0:
        piece = os.read(0, min(size, 1 << 20))
        if not piece:
            return None
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def _write_frame(octets: bytes) -> None:
    left = memoryview(struct.pack(">I", len(octets)) + octets)
    while left:
        left = left[os.write(1, left) :]


# -- giving up


def confine() -> None:
    """What a system does not know or allow is left out; the rest holds by itself."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    if libc.unshare(_CLONE_NEWNET) != 0:
        libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
    limits = {
        resource.RLIMIT_AS: _MEMORY,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: _CPU_S,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NPROC: 0,
        resource.RLIMIT_NOFILE: 3,
    }
    for kind, limit in limits.items():
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (limit, limit))
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _filter_calls(libc)


def _limit_time() -> None:
    """A job that does nothing but count ends by itself even if the parent is asleep."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + _JOB_CPU_S
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (min(soft, _CPU_S), _CPU_S))


_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
_CLONE_NEWUSER, _CLONE_NEWNET = 0x1000_0000, 0x4000_0000
_SECCOMP_MODE_FILTER = 2
_LOAD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _KILL, _EPERM = 0x7FFF_0000, 0x8000_0000, 0x0005_0001

# By number: read, write, close, fstat, (p)poll, lseek, mmap, mprotect, munmap, brk, rt_sigaction, rt_sigprocmask,
# rt_sigreturn, sched_yield, mremap, madvise, getpid, exit, gettimeofday, getrusage, sigaltstack, gettid, futex,
# sched_getaffinity, restart_syscall, clock_gettime, clock_nanosleep, exit_group, tgkill, getrandom, sysinfo, prlimit64.
_CALLS: Mapping[str, tuple[int, tuple[int, ...]]] = {
    "x86_64": (
        0xC000_003E,
        (
            0,
            1,
            3,
            5,
            7,
            8,
            9,
            10,
            11,
            12,
            13,
            14,
            15,
            24,
            25,
            28,
            39,
            60,
            96,
            98,
            131,
            186,
            202,
            204,
            219,
            228,
            230,
            231,
            234,
            318,
            99,
            302,
        ),
    ),
    "aarch64": (
        0xC000_00B7,
        (
            63,
            64,
            57,
            80,
            73,
            62,
            222,
            226,
            215,
            214,
            134,
            135,
            139,
            124,
            216,
            233,
            172,
            93,
            169,
            165,
            132,
            178,
            98,
            123,
            128,
            113,
            115,
            94,
            131,
            278,
            179,
            261,
        ),
    ),
}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_char_p))


def _filter_calls(libc: ctypes.CDLL) -> None:
    known = _CALLS.get(platform.machine())
    if known is None:
        return
    architecture, calls = known
    steps = [
        (_LOAD, 0, 0, 4),  # seccomp_data.arch
        (_JUMP_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, 0),  # seccomp_data.nr
    ]
    steps += [(_JUMP_EQUAL, len(calls) - place, 0, call) for place, call in enumerate(calls)]
    steps += [(_RETURN, 0, 0, _EPERM), (_RETURN, 0, 0, _ALLOW)]
    program = _Program(len(steps), b"".join(struct.pack("HBBI", *step) for step in steps))
    libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0)
