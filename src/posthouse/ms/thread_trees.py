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
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class ThreadBy(enum.Enum):
    ORDERED_SUBJECT = "ORDEREDSUBJECT"
    REFERENCES = "REFERENCES"
    REFS = "REFS"


@dataclass(frozen=True, slots=True)
class ThreadRow:
    """`sent` is the Date field or, without a valid one, INTERNALDATE (RFC 5256 §2.2); ids without brackets."""

    uid: int
    sent: float
    received: float
    base_subject: str
    is_reply: bool
    message_id: str
    references: Sequence[str]


class Node:
    """A message in its thread, or, with `uid` 0, the parent that is missing."""

    __slots__ = ("children", "latest", "parent", "row", "sent")

    def __init__(self, row: ThreadRow | None = None) -> None:
        self.row = row
        self.parent: Node | None = None
        self.children: list[Node] = []
        self.sent = (row.sent, row.uid) if row is not None else (0.0, 0)
        self.latest = row.received if row is not None else 0.0

    @property
    def uid(self) -> int:
        return self.row.uid if self.row is not None else 0


def build_threads(rows: Sequence[ThreadRow], by: ThreadBy) -> list[Node]:
    """The roots in order. `rows` in the order of UIDs."""
    if by is ThreadBy.ORDERED_SUBJECT:
        return _thread_by_subject(rows)
    roots = _prune(_link_all(rows))
    _sort_all(roots, by)
    if by is ThreadBy.REFERENCES:
        roots = _join_subjects(roots)
        _sort_all(roots, by)
    return roots


def _thread_by_subject(rows: Sequence[ThreadRow]) -> list[Node]:
    threads: dict[str, Node] = {}
    for row in sorted(rows, key=lambda row: (row.sent, row.uid)):
        first = threads.get(row.base_subject)
        if first is None:
            threads[row.base_subject] = Node(row)
        else:
            first.children.append(Node(row))
    return list(threads.values())


# -- REFERENCES, step 1 and 2: links


def _link_all(rows: Sequence[ThreadRow]) -> list[Node]:
    """All nodes without a parent."""
    nodes: dict[str, Node] = {}
    everything: list[Node] = []
    for row in rows:
        node = nodes.get(row.message_id) if row.message_id else None
        if node is None or node.row is not None:  # no id, or one that another message has: unique
            node = Node()
            everything.append(node)
            if row.message_id:
                nodes.setdefault(row.message_id, node)
        node.row, node.sent, node.latest = row, (row.sent, row.uid), row.received
        parent = _link_references(row.references, nodes, everything)
        _adopt(parent, node)
    return [node for node in everything if node.parent is None]


def _link_references(references: Iterable[str], nodes: dict[str, Node], everything: list[Node]) -> Node | None:
    """Step 1 A: each id is the parent of the next, unless that one has a parent. The last one's node."""
    parent: Node | None = None
    for text in references:
        node = nodes.get(text)
        if node is None:
            node = nodes[text] = Node()
            everything.append(node)
        if parent is not None and node.parent is None and not _is_above(node, parent):
            node.parent = parent
            parent.children.append(node)
        parent = node
    return parent


def _adopt(parent: Node | None, node: Node) -> None:
    """Step 1 B: what a message itself says of its parent counts more than what others said."""
    if node.parent is not None and node.parent is not parent:
        node.parent.children.remove(node)
        node.parent = None
    if parent is not None and node.parent is None and not _is_above(node, parent):
        node.parent = parent
        parent.children.append(node)


def _is_above(node: Node, below: Node) -> bool:
    """Whether a link from `below` down to `node` would close a loop."""
    if node is below:
        return True
    if not node.children:
        return False
    above = below.parent
    while above is not None:
        if above is node:
            return True
        above = above.parent
    return False


# -- step 3: dummies


def _from_the_top(roots: Sequence[Node]) -> list[Node]:
    """All nodes, parents first."""
    order = list(roots)
    for node in order:
        order.extend(node.children)
    return order


def _prune(roots: Sequence[Node]) -> list[Node]:
    for node in reversed(_from_the_top(roots)):
        node.children = _promote(node.children)
    kept: list[Node] = []
    for root in roots:
        if root.row is not None or len(root.children) > 1:
            kept.append(root)
        else:
            kept.extend(root.children)
    return kept


def _promote(children: list[Node]) -> list[Node]:
    """Children with each dummy replaced by its own, which have been promoted before."""
    if all(child.row is not None for child in children):
        return children
    found: list[Node] = []
    for child in children:
        found.extend([child] if child.row is not None else child.children)
    return found


# -- steps 4 and 6: order


def _sort_all(roots: list[Node], by: ThreadBy) -> None:
    """Siblings by sent date, a dummy's being that of its first child; REFS: threads by their newest message."""
    for node in reversed(_from_the_top(roots)):
        node.children.sort(key=_sent)
        if node.row is None and node.children:
            node.sent = node.children[0].sent
        node.latest = max([node.latest, *(child.latest for child in node.children)])
    roots.sort(key=_sent if by is ThreadBy.REFERENCES else _latest)


def _sent(node: Node) -> tuple[float, int]:
    return node.sent


def _latest(node: Node) -> tuple[float, int]:
    return node.latest, node.uid


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
        known.children.extend([root] if root.row is not None else root.children)
        return known
    if root.row is not None and _is_reply(root) and not _is_reply(known):
        known.children.append(root)
        return known
    both = Node()
    both.children = [known, root] if root.row is not None else [known, *root.children]
    return both
