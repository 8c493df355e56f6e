"""Small things an account keeps beside its mail: identities, the vacation answer, saved searches, what is snoozed.

A record is a JSON object of a kind, written by whoever knows the kind. It has an id of its account and kind that never
comes back, takes part in the account's modification sequence as mail does, and may have a time at which somebody must
look at it. A change is durable when the call returns. The same errors as the store (ports/store_errors.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NewType, Protocol, cast

from posthouse.message.mailbox import AccountId, ModSeq
from posthouse.ports.store_errors import TooMany

RecordId = NewType("RecordId", int)
NEW = RecordId(0)
MAX_RECORDS = 5_000  # of one kind in an account
MAX_RECORD_OCTETS = 64 * 1024
VACATION_KIND = "vacation"  # a VacationResponse (RFC 8621 §8): JMAP writes it, delivery reads it

Value = Mapping[str, object]  # of JSON


@dataclass(frozen=True, slots=True)
class Record:
    """`due`: seconds since 1970 from which on `Records.due` lists it; 0: never."""

    id: RecordId
    value: Value
    created: ModSeq
    changed: ModSeq
    due: float = 0.0


@dataclass(frozen=True, slots=True)
class DueRecord:
    account: AccountId
    kind: str
    record: Record


@dataclass(slots=True)
class RecordChanges:
    """Each id is in one of three at most. `is_complete` False: too long ago."""

    modseq: ModSeq
    created: list[RecordId] = field(default_factory=list)
    updated: list[RecordId] = field(default_factory=list)
    destroyed: list[RecordId] = field(default_factory=list)
    is_complete: bool = True


@dataclass(frozen=True, slots=True)
class RecordEdit:
    """`id` NEW makes one; another id replaces that one, or is passed over when it is gone. `value` None removes it."""

    value: Value | None
    id: RecordId = NEW
    due: float = 0.0


class Records(Protocol):
    async def list_all(self, account: AccountId, kind: str) -> list[Record]:
        """By id."""

    async def get(self, account: AccountId, kind: str, ids: Sequence[RecordId]) -> list[Record]:
        """In the order of ids; those that are not there are left out."""

    async def edit(self, account: AccountId, kind: str, edits: Sequence[RecordEdit]) -> list[Record | None]:
        """All or none, in one transaction; what each is now, None for what is gone or was not there.

        Raises TooMany beyond MAX_RECORDS or MAX_RECORD_OCTETS.
        """

    async def changes(self, account: AccountId, kind: str, since: ModSeq) -> RecordChanges: ...

    async def kinds_changed(self, account: AccountId, since: ModSeq) -> set[str]:
        """Kinds of which anything was made, changed or removed after that; too long ago: all kinds there are."""

    async def accounts_with(self, kind: str) -> set[AccountId]:
        """Those that have a record of the kind."""

    async def due(self, now: float, limit: int) -> list[DueRecord]:
        """Of all accounts, `due` above 0 and up to now, the earliest first."""


def write_value(value: Value) -> bytes:
    """As stores keep it. Raises TooMany."""
    octets = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    if len(octets) > MAX_RECORD_OCTETS:
        raise TooMany(f"a record has at most {MAX_RECORD_OCTETS} octets")
    return octets


def read_value(octets: bytes) -> Value:
    return cast("dict[str, object]", json.loads(octets))
