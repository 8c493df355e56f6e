"""What LIST and LSUB choose from: mailboxes, names that are subscribed but no mailboxes, and names above them.

Children count as far as the user may look them up: a parent tells nothing of hidden ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from posthouse.access.imap.place import SEPARATOR, Place


@dataclass(slots=True)
class Entry:
    """`place` None: no mailbox, or none that the user may look up. `has_chosen`: something below it is chosen."""

    name: str
    place: Place | None = None
    is_subscribed: bool = False
    has_children: bool = False
    has_chosen: bool = False


Tree = dict[str, Entry]


def grow_tree(places: Iterable[Place], subscribed: Iterable[str] = ()) -> Tree:
    """In the order of `places`; a name above one comes before it."""
    tree: Tree = {}
    for place in places:
        entry = _find(tree, place.name)
        entry.place, entry.is_subscribed = place, place.is_subscribed
        above = place.name.rpartition(SEPARATOR)[0]
        while above:
            parent = _find(tree, above)
            if parent.has_children:
                break
            parent.has_children = True
            above = above.rpartition(SEPARATOR)[0]
    for name in subscribed:
        _find(tree, name).is_subscribed = True
    return tree


def _find(tree: Tree, name: str) -> Entry:
    found = tree.get(name)
    if found is None:
        above = name.rpartition(SEPARATOR)[0]
        if above:
            _find(tree, above)
        found = tree[name] = Entry(name)
    return found


def mark_above(tree: Tree, is_chosen: Callable[[Entry], bool]) -> None:
    for entry in [each for each in tree.values() if is_chosen(each)]:
        above = entry.name.rpartition(SEPARATOR)[0]
        while above and not tree[above].has_chosen:
            tree[above].has_chosen = True
            above = above.rpartition(SEPARATOR)[0]
