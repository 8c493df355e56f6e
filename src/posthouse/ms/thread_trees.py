"""THREAD: the trees that IMAP clients ask for (RFC 5256 §3, and REFS without its grouping by subject).

    ORDEREDSUBJECT   same base subject; the oldest message is the parent of all others
    REFERENCES       by Message-ID and References, then threads of one base subject are joined
    REFS             by Message-ID and References alone; threads in the order of their newest message

Ids that name no message of the mailbox stand in as dummies (`uid` 0) while the trees are built; those that remain
have at least two children. Nothing recurses, so a thread may be as deep as it likes; time is about n log n for
what mail looks like. Pure.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from operator import itemgetter
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


class Node:
    """A message in its thread, or, with `uid` 0, the parent that is missing. `place`: in the order of sending; a
    missing parent has that of its first child.
    """

    __slots__ = ("children", "place", "row")

    def __init__(self, row: ThreadRow | None, place: int, children: Sequence[Node] = ()) -> None:
        self.row, self.place, self.children = row, place, children

    @property
    def uid(self) -> int:
        return self.row.uid if self.row is not None else 0

    def add(self, *below: Node) -> None:
        self.children = sorted((*self.children, *below), key=_place)
        if self.row is None:
            self.place = self.children[0].place


def build_threads(rows: Sequence[ThreadRow], by: ThreadBy) -> list[Node]:
    """The roots in order. `rows` in the order of UIDs."""
    ranks = _rank(rows)
    if by is ThreadBy.ORDERED_SUBJECT:
        return _thread_by_subject(rows, ranks)
    roots, children = _cut_dummies(_link_all(rows), len(rows))
    nodes = _make_nodes(rows, roots, children, ranks)
    if by is ThreadBy.REFS:
        return _newest_last(nodes)
    roots_of_subjects = _join_subjects(nodes)
    roots_of_subjects.sort(key=_place)
    return roots_of_subjects


def _rank(rows: Sequence[ThreadRow]) -> list[int]:
    """The place of each by sent date, then UID."""
    sent = [row.sent for row in rows]
    ranks = [0] * len(rows)
    for place, at in enumerate(sorted(range(len(rows)), key=sent.__getitem__)):
        ranks[at] = place
    return ranks


def _thread_by_subject(rows: Sequence[ThreadRow], ranks: Sequence[int]) -> list[Node]:
    threads: dict[str, list[Node]] = {}
    for node in sorted(map(Node, rows, ranks), key=_place):
        assert node.row is not None
        threads.setdefault(node.row.base_subject, []).append(node)
    roots = []
    for first, *others in threads.values():
        first.children = others
        roots.append(first)
    return roots


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


# -- step 4: order


def _make_nodes(
    rows: Sequence[ThreadRow], roots: Sequence[int], children: dict[int, list[int]], ranks: Sequence[int]
) -> list[Node]:
    """Siblings by sent date, a dummy's being that of its first child."""
    nodes = [Node(row, rank) for row, rank in zip(rows, ranks, strict=True)]
    found: list[Node] = [nodes[root] for root in roots if root < len(rows)]
    for parent, below in children.items():
        if len(below) > 1:
            below.sort(key=ranks.__getitem__)
        kids = [nodes[number] for number in below]
        if parent < len(rows):
            nodes[parent].children = kids
        else:
            found.append(Node(None, kids[0].place, kids))
    found.sort(key=_place)
    return found


def _place(node: Node) -> int:
    return node.place


def _newest_last(roots: list[Node]) -> list[Node]:
    """REFS: threads by their newest message."""
    newest: list[tuple[float, int, Node]] = []
    for root in roots:
        latest, waiting = 0.0, [root]
        for node in waiting:
            waiting += node.children
            if node.row is not None and node.row.received > latest:
                latest = node.row.received
        newest.append((latest, root.uid, root))
    newest.sort(key=itemgetter(0, 1))
    return [root for _, _, root in newest]


# -- step 5: one subject, one thread


def _head_row(root: Node) -> ThreadRow | None:
    return root.row if root.row is not None else root.children[0].row


def _join_subjects(roots: list[Node]) -> list[Node]:
    table: dict[str, Node] = {}
    for root in roots:
        subject = _subject(root)
        known = table.get(subject)
        if subject and (known is None or _is_better(root, known)):
            table[subject] = root
    if len(table) == len(roots):
        return roots
    kept: dict[int, Node] = {id(root): root for root in roots}
    for root in roots:
        subject = _subject(root)
        known = table.get(subject) if subject else None
        if known is None or known is root:
            continue
        del kept[id(root)]
        joined = _join(known, root)
        if joined is not known:
            del kept[id(known)]
            kept[id(joined)] = table[subject] = joined
    return list(kept.values())


def _subject(root: Node) -> str:
    row = _head_row(root)
    return row.base_subject if row is not None else ""


def _is_reply(root: Node) -> bool:
    row = _head_row(root)
    return row is not None and row.is_reply


def _is_better(root: Node, known: Node) -> bool:
    """Step 5 B v: a dummy before a message, then what is no reply before what is one."""
    if root.row is None:
        return known.row is not None
    return known.row is not None and _is_reply(known) and not _is_reply(root)


def _join(known: Node, root: Node) -> Node:
    """Step 5 C iv. What stands for both."""
    if known.row is None:
        known.add(*([root] if root.row is not None else root.children))
        return known
    if root.row is not None and _is_reply(root) and not _is_reply(known):
        known.add(root)
        return known
    both = Node(None, 0)
    both.add(known, *([root] if root.row is not None else root.children))
    return both
