"""Which mailbox a name means for this user, and what the user may do there: the one answer that every command asks.

Mailboxes of others stand below "Other Users/<login name>/" (RFC 2342 §5); one that may not be looked up (`l`) does not
exist for the user, nor does an account that shares nothing. Other accounts are asked only for such names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from posthouse.access.imap.answers import No
from posthouse.access.imap.context import Context
from posthouse.access.imap.place import OTHERS, SEPARATOR, Area, Place, compose, split_name, sum_rights
from posthouse.access.imap.usual import USUAL_NAMES, is_fresh, make_usual
from posthouse.ports.store import NoSuchAccount, NoSuchMailbox

if TYPE_CHECKING:
    from posthouse.ports.directory import Account


async def open_own(context: Context) -> Area:
    return Area(context.account, await context.desk.store.mailboxes.list_all(context.account))


async def open_area(context: Context, parts: Sequence[str]) -> Area | None:
    """Where a name belongs. None: to nobody who shares anything with the user."""
    if parts[0] != OTHERS:
        return await open_own(context)
    if len(parts) < 2:
        return None
    account = context.desk.accounts.find(parts[1])
    # Who shares something is asked first, whether there is such an account or not: both take as long.
    owners = await context.desk.store.sharing.owners(context.account)
    return None if account is None or account.id not in owners else await _open_shared(context, account)


async def _open_shared(context: Context, owner: Account) -> Area | None:
    user, store = context.account, context.desk.store
    if owner.id == user or SEPARATOR in owner.address:  # it would be two levels
        return None
    try:
        grants = await store.sharing.all_grants(owner.id)
        if not any(sum_rights(each, user) for each in grants.values()):
            return None
        mailboxes = await store.mailboxes.list_all(owner.id)
    except NoSuchAccount:
        return None
    return Area(owner.id, mailboxes, f"{OTHERS}{SEPARATOR}{owner.address}{SEPARATOR}", 2, user, grants)


async def open_shared_areas(context: Context) -> list[Area]:
    """Of everybody who shares something with the user."""
    areas: list[Area] = []
    for owner in await context.desk.store.sharing.owners(context.account):
        account = context.desk.accounts.get(owner)
        area = None if account is None else await _open_shared(context, account)
        if area is not None:
            areas.append(area)
    return areas


# -- places


async def list_places(context: Context, *, with_shared: bool = True) -> list[Place]:
    """Every mailbox the user may look up."""
    named = frozenset(await context.desk.store.mailboxes.subscribed_names(context.account))
    found = list((await open_own(context)).places(named))
    if with_shared:
        for area in await open_shared_areas(context):
            found += area.places(named)
    return found


async def find_place(context: Context, name: str, having: str = "l") -> Place:
    """Raises No when there is none where the user has one of these rights: `l` is what shows a mailbox, but who may
    put mail into one need not see it (RFC 4314 §4).
    """
    parts = split_name(name)
    found = _find_in(await open_area(context, parts), parts, having)
    if found is None and parts[0] == OTHERS:
        found = _find_in(await open_own(context), parts)  # an import may have brought such a name
    if found is None and name in USUAL_NAMES and is_fresh(context, (await open_own(context)).places()):
        await make_usual(context)
        found = _find_in(await open_own(context), parts)
    if found is None:
        raise No("There is no such mailbox", b"NONEXISTENT")
    return found


def _find_in(area: Area | None, parts: Sequence[str], having: str = "l") -> Place | None:
    if area is None:
        return None
    path = parts[area.depth :]
    return area.find(path, having) or area.find(compose(path), having)


async def renew_rights(context: Context, place: Place) -> Place:
    """As they are now, of a mailbox that is selected. Raises NoSuchMailbox when it may not be read any more."""
    if place.viewer is None:
        return place
    grants = await context.desk.store.sharing.grants(place.owner, place.mailbox.id)
    rights = sum_rights(grants, place.viewer)
    if "l" not in rights or "r" not in rights:
        raise NoSuchMailbox
    return place if rights == place.rights else replace(place, rights=rights)
