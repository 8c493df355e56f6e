"""Answers of SEARCH and SORT: which numbers, in which form, and what of them is saved.

A message that the client has not been told of is never named. Results of a SORT stay in its order; those of a SEARCH
ascend, so that they are written as ranges. RFC 9051 §7.3.4, RFC 4731 §3.1, RFC 5182 §2.1, RFC 5267 §3.1, RFC 6203 §4,
RFC 7162 §3.1.5, RFC 9394 §3.1.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

from posthouse.access.imap.answers import Bad
from posthouse.message.mailbox import Snapshot, UidSet
from posthouse.ms.uidsets import from_list, from_sorted
from posthouse.protocol.imap.render import write_uids
from posthouse.protocol.imap.values import PartialRange, Return, SearchReturn

_WHOLE = frozenset({Return.ALL, Return.COUNT})
_RESULTS = _WHOLE | {Return.MIN, Return.MAX, Return.RELEVANCY}
_FEW = 8  # a number is looked up alone while there are so many times as many messages


@dataclass(slots=True)
class Found:
    """`uids` that matched, in the order of the answer, and `numbers` as they are called there: UIDs or sequence
    numbers. `places`: where in the view they stand; empty when nobody asked. `scores`: RELEVANCY, parallel.
    """

    uids: Sequence[int]
    numbers: Sequence[int]
    places: Sequence[int] = ()
    scores: Sequence[int] = ()
    is_sorted: bool = False  # in the order of a SORT

    def only(self, at: Sequence[int]) -> Found:
        """These of them."""
        return Found(
            [self.uids[n] for n in at],
            [self.numbers[n] for n in at],
            [self.places[n] for n in at] if self.places else (),
            [self.scores[n] for n in at] if self.scores else (),
            self.is_sorted,
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """How an ESEARCH response begins. `mailbox`: of several, its `MAILBOX name UIDVALIDITY n` (RFC 7377 §2.1)."""

    tag: bytes
    is_uid: bool
    mailbox: bytes = b""
    modseqs: Sequence[int] | None = None  # of the view, when they are told
    parts: list[bytes] = field(default_factory=list)


def keep_known(view: Snapshot, uids: Sequence[int]) -> Sequence[int]:
    """Without those that came after the client was told last. What is gone the store does not find."""
    if not uids or max(uids) < view.uidnext:
        return uids
    return [uid for uid in uids if uid < view.uidnext]


def find_places(view: Snapshot, uids: Sequence[int], *, is_ascending: bool) -> Sequence[int]:
    """Where in the view they stand; all of them do."""
    count = len(view.uids)
    if is_ascending and len(uids) == count:
        return range(count)
    if count and view.uids[-1] - view.uids[0] == count - 1:  # nothing ever went between
        first = view.uids[0]
        return [uid - first for uid in uids]
    if len(uids) * _FEW < count:
        return [bisect_left(view.uids, uid) for uid in uids]
    place_of = dict(zip(view.uids, range(count), strict=True))
    return [place_of[uid] for uid in uids]


def make_found(
    view: Snapshot, uids: Sequence[int], *, is_uid: bool, needs_places: bool = False, is_sorted: bool = False
) -> Found:
    known = keep_known(view, uids)
    if is_uid and not needs_places:
        return Found(known, known, is_sorted=is_sorted)
    places = find_places(view, known, is_ascending=not is_sorted)
    return Found(known, known if is_uid else [place + 1 for place in places], places, is_sorted=is_sorted)


# -- as they are written


def write_plain(name: bytes, found: Found, modseqs: Sequence[int] | None) -> bytes:
    """SEARCH or SORT of RFC 3501."""
    text = " ".join(map(str, found.numbers)).encode("ascii")
    if modseqs is not None and found.numbers:
        text += b" (MODSEQ %d)" % _highest(found, modseqs)
    return b"* %b %b\r\n" % (name, text) if text else b"* %b\r\n" % name


def check_returns(returns: SearchReturn, *, is_fuzzy: bool) -> None:
    """Raises Bad."""
    options = returns.options or frozenset()
    if returns.partial is not None and Return.ALL in options:
        raise Bad("PARTIAL and ALL exclude each other")  # RFC 9394 §3.1
    if Return.RELEVANCY in options and not is_fuzzy:
        raise Bad("RELEVANCY is for a FUZZY search")  # RFC 6203 §4


def write_extended(found: Found, returns: SearchReturn, answer: Answer) -> bytes:
    """ESEARCH; b"" when nothing but saving was asked for."""
    options = returns.options or frozenset()
    if not options & _RESULTS and returns.partial is None:
        if Return.SAVE in options:
            return b""
        options |= {Return.ALL}
    items = [b'(TAG "%b"%b)' % (_quote(answer.tag), answer.mailbox)]
    if answer.is_uid:
        items.append(b"UID")
    items += _write_items(found, options, returns.partial)
    if answer.modseqs is not None and found.numbers:
        items.append(b"MODSEQ %d" % _highest(_returned(found, options, returns.partial), answer.modseqs))
    return b"* ESEARCH %b\r\n" % b" ".join(items)


def _write_items(found: Found, options: frozenset[Return], partial: PartialRange | None) -> list[bytes]:
    items = []
    numbers = found.numbers
    if numbers:
        if Return.MIN in options:
            items.append(b"MIN %d" % numbers[0])
        if Return.MAX in options:
            items.append(b"MAX %d" % numbers[-1])
    if Return.COUNT in options:
        items.append(b"COUNT %d" % len(numbers))
    if partial is not None:
        items.append(_write_partial(found, partial))
    elif Return.ALL in options and numbers:
        items.append(b"ALL %b" % write_numbers(numbers, is_sorted=found.is_sorted))
    if Return.RELEVANCY in options and numbers:
        told = _slice(found.scores, partial) if partial is not None else found.scores
        items.append(b"RELEVANCY (%b)" % " ".join(map(str, told)).encode("ascii"))
    return items


def write_numbers(numbers: Sequence[int], *, is_sorted: bool) -> bytes:
    """A sequence-set; of a SORT number by number, as its order counts."""
    if is_sorted:
        return ",".join(map(str, numbers)).encode("ascii")
    return write_uids(from_sorted(numbers))


def _write_partial(found: Found, partial: PartialRange) -> bytes:
    numbers = _slice(found.numbers, partial)
    text = write_numbers(numbers, is_sorted=found.is_sorted) if numbers else b"NIL"
    return b"PARTIAL (%d:%d %b)" % (partial.first, partial.last, text)


def _slice(items: Sequence[int], partial: PartialRange) -> Sequence[int]:
    """Places `first` to `last` in either order, from the end when they are negative (RFC 9394 §3.1)."""
    low, high = sorted((partial.first, partial.last))
    if low < 0:
        count = len(items)
        return items[max(count + low, 0) : max(count + high + 1, 0)]
    return items[low - 1 : high]


def _quote(tag: bytes) -> bytes:
    return tag.replace(b"\\", b"\\\\").replace(b'"', b'\\"')


# -- which of them the answer is about


def _returned(found: Found, options: frozenset[Return], partial: PartialRange | None) -> Found:
    """All, or with MIN, MAX or PARTIAL alone those (RFC 4731 §3.2, RFC 5182 §2.1, RFC 9394 §3.1)."""
    narrow = options & {Return.MIN, Return.MAX}
    if options & _WHOLE or not (narrow or partial is not None):
        return found
    count = len(found.uids)
    at = set(_slice(range(count), partial)) if partial is not None else set()
    if count and Return.MIN in options:
        at.add(0)
    if count and Return.MAX in options:
        at.add(count - 1)
    return found.only(sorted(at))


def saved_of(found: Found, returns: SearchReturn) -> UidSet:
    """What `$` means after RETURN (SAVE)."""
    return from_list(_returned(found, returns.options or frozenset(), returns.partial).uids)


def _highest(found: Found, modseqs: Sequence[int]) -> int:
    if len(found.places) == len(modseqs):
        return max(modseqs)
    return max((modseqs[place] for place in found.places), default=0)
