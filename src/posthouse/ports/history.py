"""The journal read back, for `posthouse trace`. Records are as `ports.observe.Journal` was given them.

A record has `at` (Instant), `step`, `id` (queue id) and the fields of its step.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

Record = Mapping[str, object]


class History(Protocol):
    def find(self, terms: Collection[str]) -> Sequence[Record]:
        """Records that have one of the terms as their id, message id, sender, recipient or report; oldest first.

        Terms are compared without regard to case.
        """


TERM_FIELDS = ("id", "message_id", "sender", "recipient", "report", "about")
LIST_FIELDS = ("recipients", "targets", "reports")


def list_terms(record: Record) -> set[str]:
    """What a record can be found by, in lower case."""
    terms = {str(record[name]).lower() for name in TERM_FIELDS if record.get(name)}
    for name in LIST_FIELDS:
        values = record.get(name)
        if isinstance(values, list | tuple):
            terms.update(str(value).lower() for value in values)
    return terms


class FakeHistory:
    def __init__(self, records: Sequence[Record]) -> None:
        self.records = records

    def find(self, terms: Collection[str]) -> Sequence[Record]:
        wanted = {term.lower() for term in terms}
        return [record for record in self.records if wanted & list_terms(record)]
