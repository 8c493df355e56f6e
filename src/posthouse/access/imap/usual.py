"""The usual mailboxes of a new account: made when a program asks what there is, or puts something into one of them
without asking, so that it finds them instead of making its own.

A store that is full does not hinder reading: then there are none.
"""

from __future__ import annotations

from collections.abc import Iterable

from posthouse.access.imap.context import Context
from posthouse.access.imap.place import Place
from posthouse.access.usual import USUAL, make_missing
from posthouse.message.mailbox import ROLE_NAMES, Role
from posthouse.ports.store import StoreError, StoreRefusal

USUAL_NAMES = frozenset(ROLE_NAMES[role] for role in USUAL)
_MADE_BY_SERVER = frozenset({Role.INBOX, Role.SENT, Role.JUNK, Role.SCHEDULED, Role.SNOOZED})


def role_of_name(name: str) -> Role | None:
    """What a mailbox at the top is for that a program makes under a usual name."""
    return next((role for role in USUAL if ROLE_NAMES[role] == name), None)


def is_fresh(context: Context, places: Iterable[Place]) -> bool:
    """Whether nobody has made a mailbox yet."""
    outbox = context.desk.settings.outbox
    own = [place for place in places if place.viewer is None]
    return all(place.mailbox.role in _MADE_BY_SERVER or place.name == outbox for place in own)


async def make_usual(context: Context) -> None:
    try:
        await make_missing(context.desk.store.mailboxes, context.account)
    except (StoreError, StoreRefusal) as error:
        context.desk.log.warning("usual mailboxes not made", account=context.user.name, error=repr(error))
