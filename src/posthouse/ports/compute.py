"""Work for the processor that would hold up the event loop (re-encoding, signatures, password hashes)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Compute(Protocol):
    async def run(self, function: Callable[[], T], /) -> T:
        """The result of `function`, worked out beside the loop; what it raises is raised here."""


class FakeCompute:
    """Works at once; `count` tells how often it was asked."""

    def __init__(self) -> None:
        self.count = 0

    async def run(self, function: Callable[[], T], /) -> T:
        self.count += 1
        return function()
