"""What a session with NOTIFY watches (RFC 5465): its groups of events, and a picture of the mailboxes as last told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from posthouse.access.imap.place import SEPARATOR, Place
from posthouse.message.mailbox import AccountId, MailboxId
from posthouse.ports.store import Changes, Subscription
from posthouse.protocol.imap.values import Event, EventGroup, Scope, Source

Key = tuple[AccountId, MailboxId]
Picture = dict[Key, Place]
Entries = Mapping[str, bytes]
SELECTED = frozenset({Scope.SELECTED, Scope.SELECTED_DELAYED})


class Notifying:
    """What one session has asked for. `is_dirty`: one of the accounts changed."""

    def __init__(self, groups: Sequence[EventGroup], wake: Callable[[], None]) -> None:
        self.groups = [group for group in groups if group.source.scope not in SELECTED]
        self.selected = next((group for group in groups if group.source.scope in SELECTED), None)
        self.is_dirty = False
        self.picture: Picture = {}
        self.entries: dict[Key, Entries] = {}
        self.server_entries: Entries = {}
        self._wake = wake
        self._watching: dict[AccountId, Subscription] = {}

    def events_of(self, place: Place) -> frozenset[Event]:
        """Of all groups that the mailbox belongs to (RFC 5465 §6)."""
        return frozenset().union(*(group.events for group in self.groups if is_within(group.source, place)))

    def wants(self, event: Event) -> bool:
        return any(event in group.events for group in self.groups)

    def watch(self, changes: Changes, owners: set[AccountId]) -> None:
        """Whoever was watched once stays so: rights that were taken may be given again (RFC 5465 §5.9)."""
        for owner in owners - self._watching.keys():
            self._watching[owner] = changes.watch(owner, self._note)

    def _note(self) -> None:
        self.is_dirty = True
        self._wake()

    def close(self) -> None:
        for subscription in self._watching.values():
            subscription.cancel()
        self._watching.clear()


def is_within(source: Source, place: Place) -> bool:
    match source.scope:
        case Scope.INBOXES:
            return place.viewer is None and place.name == "INBOX"
        case Scope.PERSONAL:
            return place.viewer is None
        case Scope.SUBSCRIBED:
            return place.is_subscribed
        case Scope.SUBTREE:
            return any(place.name == name or place.name.startswith(name + SEPARATOR) for name in source.mailboxes)
        case Scope.SUBTREE_ONE:
            return any(place.name == name or parent_of(place.name) == name for name in source.mailboxes)
        case Scope.MAILBOXES:
            return place.name in source.mailboxes
        case Scope.SELECTED | Scope.SELECTED_DELAYED:
            return False


def parent_of(name: str) -> str:
    return name.rpartition(SEPARATOR)[0]
