"""Who we deliver for. Answers are immediate: the directory is cached in each worker (docs/internals.md)."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Protocol

from posthouse.message.address import Address


class Standing(enum.Enum):
    """What an address is to us."""

    KNOWN = "known"  # hosted here and exists
    UNKNOWN = "unknown"  # its domain is hosted here, it does not exist: 550 5.1.1
    ELSEWHERE = "elsewhere"  # not our domain


class Directory(Protocol):
    def look_up(self, address: Address) -> Standing: ...


class FakeDirectory:
    """`people` maps a hosted domain to its local parts; None means that every local part exists."""

    def __init__(self, people: Mapping[str, frozenset[str] | None] | None = None) -> None:
        self.people = dict(people or {})

    def look_up(self, address: Address) -> Standing:
        if address.domain not in self.people:
            return Standing.ELSEWHERE
        known = self.people[address.domain]
        return Standing.KNOWN if known is None or address.local.lower() in known else Standing.UNKNOWN
