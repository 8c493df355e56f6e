"""Memory as the C library (glibc) keeps it. Elsewhere nothing happens.

`give_back_memory`: what was freed in the middle of the heap stays ours; only asked are its pages returned (malloc_trim:
3 ms when there is little, 50 for 240 MB).

`keep_large_blocks_apart`: blocks from 128 KiB on are mapped one by one, always. By itself glibc raises that limit with
each such block that is freed, and the next ones come from the heap, where pages once used stay. A TLS connection of
uvloop has a block of 256 KiB, of which a few pages are ever used: 26 KiB each instead of 47 when idle.
"""

from __future__ import annotations

import ctypes

_MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD
_LARGE = 128 * 1024


def give_back_memory() -> None:
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        return  # no glibc


def keep_large_blocks_apart() -> None:
    """Once, at the start of a process."""
    try:
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _LARGE)
    except (OSError, AttributeError):
        return  # no glibc
