"""THREAD: the trees that IMAP clients ask for (RFC 5256 §3, and REFS without its grouping by subject).

    ORDEREDSUBJECT   same base subject; the oldest message is the parent of all others
    REFERENCES       by Message-ID and References, then threads of one base subject are joined
    REFS             by Message-ID and References alone; threads in the order of their newest message

Ids that name no message of the mailbox stand in as dummies while the trees are built; those that remain
have at least two children. Nothing recurses, so a thread may be as deep as it likes; time is about n log n for
what mail looks like. Pure.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class ThreadBy(enum.Enum):
    ORDERED_SUBJECT = "ORDEREDSUBJECT"
    REFERENCES = "REFERENCES"
    REFS = "REFS"


class ThreadRow(NamedTuple):
    """`sent` is the Date field or, without a valid one, INTERNALDATE (RFC 5256 §2.2); ids without brackets."""

    uid: int
    sent: float
    received: float
    base_subject: str
    is_reply: bool
    message_id: str
    references: Sequence[str]


def list_parents(references: Sequence[str], reply_ids: int) -> Sequence[str]:
    """What counts of a message's ids: References or, without any, the first of In-Reply-To (RFC 5256 §3).

    The last `reply_ids` stand in In-Reply-To alone.
    """
    if not reply_ids:
        return references
    return references[:-reply_ids] or references[:1]


class Forest(NamedTuple):
    """Threads of rows, as numbers of rows: the first messages in order, and who has replies. What is no row's number
    is a parent that is missing. Plain numbers, as there are many of them.
    """

    roots: Sequence[int]
    children: Mapping[int, Sequence[int]]


def build_threads(rows: Sequence[ThreadRow], by: ThreadBy) -> Forest:
    """`rows` in the order of UIDs."""
    ranks = _rank(rows)
    if by is ThreadBy.ORDERED_SUBJECT:
        return _thread_by_subject(rows, ranks)
    forest = _Forest(rows, ranks, *_cut_dummies(_link_all(rows), len(rows)))
    if by is ThreadBy.REFS:
        forest.sort_by_newest()
    else:
        forest.join_subjects()
        forest.roots.sort(key=forest.place)
    return Forest(forest.roots, forest.children)


def _rank(rows: Sequence[ThreadRow]) -> list[int]:
    """The place of each by sent date, then UID."""
    sent = [row.sent for row in rows]
    ranks = [0] * len(rows)
    for place, at in enumerate(sorted(range(len(rows)), key=sent.__getitem__)):
        ranks[at] = place
    return ranks


def _thread_by_subject(rows: Sequence[ThreadRow], ranks: Sequence[int]) -> Forest:
    threads: dict[str, list[int]] = {}
    for at in sorted(range(len(rows)), key=ranks.__getitem__):
        subject = rows[at].base_subject
        if subject in threads:
            threads[subject].append(at)
        else:
            threads[subject] = [at]
    groups = threads.values()
    return Forest([group[0] for group in groups], {group[0]: group[1:] for group in groups if len(group) > 1})


# -- REFERENCES, step 1 and 2: links. Messages are numbers from 0 on, dummies follow.


def _link_all(rows: Sequence[ThreadRow]) -> list[int]:
    """The parent of each, -1 without one."""
    numbers: dict[str, int] = {}
    for at, row in enumerate(rows):
        if row.message_id:
            numbers.setdefault(row.message_id, at)  # an id that another message has makes this one unique
    parents = [-1] * len(rows)
    has_children = bytearray(len(rows))
    for at, row in enumerate(rows):
        parent = -1
        for text in row.references:
            number = numbers.get(text, -1)
            if number < 0:
                number = numbers[text] = len(parents)
                parents.append(-1)
                has_children.append(0)
            # Step 1 A: each id is the parent of the next, unless that one has a parent.
            if parent >= 0 and parents[number] < 0 and not _is_above(number, parent, parents, has_children):
                parents[number] = parent
                has_children[parent] = 1
            parent = number
        # Step 1 B: what a message itself says of its parent counts more than what others said.
        parents[at] = -1
        if parent >= 0 and not _is_above(at, parent, parents, has_children):
            parents[at] = parent
            has_children[parent] = 1
    return parents


def _is_above(number: int, below: int, parents: Sequence[int], has_children: Sequence[int]) -> bool:
    """Whether a link from `below` down to `number` would close a loop."""
    if number == below:
        return True
    if not has_children[number]:
        return False
    above = parents[below]
    while above >= 0:
        if above == number:
            return True
        above = parents[above]
    return False


# -- step 3: dummies


def _cut_dummies(parents: list[int], count: int) -> tuple[list[int], dict[int, list[int]]]:
    """Roots, and the children of who has any. A dummy's children are its parent's; at the top it stays for several."""
    children: dict[int, list[int]] = {}
    roots: list[int] = []
    for number in range(count):
        parent = parents[number]
        if parent >= count:
            parent = _find_real(parent, parents, count)
        if parent < 0:
            roots.append(number)
        elif parent in children:
            children[parent].append(number)
        else:
            children[parent] = [number]
    for dummy in [parent for parent in children if parent >= count]:
        if len(children[dummy]) > 1:
            roots.append(dummy)
        else:
            roots += children.pop(dummy)
    return roots, children


def _find_real(dummy: int, parents: list[int], count: int) -> int:
    """The nearest message above, or the topmost dummy. What lies between is pointed there, to be passed once."""
    found = dummy
    while found >= count and parents[found] >= 0:
        found = parents[found]
    while dummy != found:
        above = parents[dummy]
        parents[dummy] = found
        dummy = above
    return found


# -- steps 4 to 6: order, and one thread for one subject


class _Forest:
    """Siblings are sorted by sent date, a missing parent's being that of its first child."""

    def __init__(
        self, rows: Sequence[ThreadRow], ranks: Sequence[int], roots: list[int], children: dict[int, list[int]]
    ) -> None:
        self._rows, self._ranks = rows, ranks
        self.roots, self.children = roots, children
        self._next = max([len(rows), *(root + 1 for root in roots)])  # of the dummies that are made here
        for below in children.values():
            if len(below) > 1:
                below.sort(key=ranks.__getitem__)

    def _head(self, root: int) -> int:
        return root if root < len(self._rows) else self.children[root][0]

    def place(self, root: int) -> int:
        return self._ranks[self._head(root)]

    def sort_by_newest(self) -> None:
        """REFS."""
        self.roots.sort(key=lambda root: (self._newest(root), self.place(root)))

    def _newest(self, root: int) -> float:
        rows, children = self._rows, self.children
        waiting = [root]
        for number in waiting:
            waiting += children.get(number, ())
        return max(rows[number].received for number in waiting if number < len(rows))

    # -- step 5

    def join_subjects(self) -> None:
        rows = self._rows
        self.roots.sort(key=self.place)
        subjects = [rows[self._head(root)].base_subject for root in self.roots]
        table: dict[str, int] = {}
        for root, subject in zip(self.roots, subjects, strict=True):
            known = table.get(subject)
            if subject and (known is None or self._is_better(root, known)):
                table[subject] = root
        kept = dict.fromkeys(self.roots)
        for root, subject in zip(self.roots, subjects, strict=True):
            known = table.get(subject)
            if known is None or known == root:
                continue
            del kept[root]
            joined = self._join(known, root)
            if joined != known:
                del kept[known]
                kept[joined] = None
                table[subject] = joined
        self.roots = list(kept)

    def _is_dummy(self, root: int) -> bool:
        return root >= len(self._rows)

    def _is_reply(self, root: int) -> bool:
        return self._rows[self._head(root)].is_reply

    def _is_better(self, root: int, known: int) -> bool:
        """Step 5 B v: a dummy before a message, then what is no reply before what is one."""
        if self._is_dummy(root):
            return not self._is_dummy(known)
        return not self._is_dummy(known) and self._is_reply(known) and not self._is_reply(root)

    def _join(self, known: int, root: int) -> int:
        """Step 5 C iv. What stands for both."""
        below = self.children[root] if self._is_dummy(root) else [root]
        if self._is_dummy(known):
            self._add(known, below)
            return known
        if not self._is_dummy(root) and self._is_reply(root) and not self._is_reply(known):
            self._add(known, below)
            return known
        both, self._next = self._next, self._next + 1
        self._add(both, [known, *below])
        return both

    def _add(self, parent: int, below: Sequence[int]) -> None:
        self.children[parent] = sorted([*self.children.get(parent, ()), *below], key=self._ranks.__getitem__)
