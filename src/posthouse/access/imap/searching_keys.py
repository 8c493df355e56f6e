"""A search as a client wrote it, in the words of the store: numbers become UIDs, "so long ago" becomes a moment.

A chain of ORs or ANDs becomes one of many parts, so that what is left is as deep as kinds alternate, and that is
bounded: the store walks the tree. RFC 9051 §6.4.4, RFC 5032 §3, RFC 7162 §3.1.5, RFC 6203 §3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from posthouse.access.imap.answers import Bad
from posthouse.message.mailbox import AccountId, ModSeq, UidSet
from posthouse.message.search import All, And, Contains, ModifiedSince, Not, Or, ReceivedAt, SearchKey, Side, Uids
from posthouse.protocol.imap.values import AllOf, AnyOf, ImapKey, ModSeqFrom, NoneOf, Numbered, OfAccount, Within

_DEPTH = 60

Numbers = Callable[[Numbered], UidSet]


@dataclass(frozen=True, slots=True)
class Program:
    """`has_modseq`: it asks for modification sequences, so that the answer tells them. `is_fuzzy`: relevance counts."""

    key: SearchKey
    has_modseq: bool = False
    is_fuzzy: bool = False


class Resolver:
    """Of one command and the mailboxes of `owner`. `numbers` says what a set means; `now` in seconds since 1970. Raises
    Bad.
    """

    __slots__ = ("_has_modseq", "_is_fuzzy", "_now", "_numbers", "_owner")

    def __init__(self, numbers: Numbers, now: float, owner: AccountId) -> None:
        self._numbers, self._now, self._owner = numbers, now, owner
        self._has_modseq = self._is_fuzzy = False

    def resolve(self, key: ImapKey) -> Program:
        resolved = self._resolve(key, 0)
        return Program(resolved, self._has_modseq, self._is_fuzzy)

    def _resolve(self, key: ImapKey, depth: int) -> SearchKey:
        if depth > _DEPTH:
            raise Bad("The search is nested too deeply", b"LIMIT")
        match key:
            case AllOf():
                return And(tuple(self._resolve(part, depth + 1) for part in _flatten(key, AllOf)))
            case AnyOf():
                return Or(tuple(self._resolve(part, depth + 1) for part in _flatten(key, AnyOf)))
            case NoneOf():
                return self._negate(key, depth)
            case _:
                return self._resolve_leaf(key)

    def _negate(self, key: NoneOf, depth: int) -> SearchKey:
        inner, is_negative = key.of, True
        while isinstance(inner, NoneOf):
            inner, is_negative = inner.of, not is_negative
        found = self._resolve(inner, depth + 1)
        return Not(found) if is_negative else found

    def _resolve_leaf(self, key: ImapKey) -> SearchKey:
        match key:
            case Numbered():
                return Uids(self._numbers(key))
            case Within(seconds, is_younger):
                return ReceivedAt(Side.SINCE if is_younger else Side.BEFORE, self._now - seconds)
            case OfAccount(account, wanted):
                return wanted if account == self._owner else Not(All())
            case ModSeqFrom(modseq):
                self._has_modseq = True
                return ModifiedSince(ModSeq(modseq))
            case AllOf() | AnyOf() | NoneOf():
                raise AssertionError("not a leaf")
            case Contains(_, _, is_fuzzy):
                self._is_fuzzy |= is_fuzzy
                return key
            case _:
                return key


def _flatten(key: AllOf | AnyOf, kind: type[AllOf] | type[AnyOf]) -> list[ImapKey]:
    """The parts in their order, those of parts of the same kind among them."""
    parts: list[ImapKey] = []
    waiting: list[ImapKey] = [key]
    while waiting:
        part = waiting.pop()
        if isinstance(part, kind):
            waiting.extend(reversed(part.of))
        else:
            parts.append(part)
    return parts
