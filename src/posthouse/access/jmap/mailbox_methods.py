"""Mailbox/get, /changes, /query and /queryChanges (RFC 8621 §2). /set is in mailbox_set.py.

Reads only. What a mailbox has of emails is in its row; threads are counted once and kept (thread_counts.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from posthouse.access.jmap.changes_between import find_end, read_at_once
from posthouse.access.jmap.mailbox_set import set_mailboxes
from posthouse.access.jmap.mailboxes import (
    COUNTS,
    DEFAULT_PROPERTIES,
    PROPERTIES,
    MailboxQueryArguments,
    MailboxQueryChangesArguments,
    ThreadCounts,
    make_mailbox,
    query_mailboxes,
)
from posthouse.access.jmap.method import Call, Method, Methods, read_state, write_state
from posthouse.access.usual import make_missing
from posthouse.message.mailbox import AccountId, Mailbox, MailboxId, ModSeq
from posthouse.message.objectids import find_mailbox, name_mailbox
from posthouse.ports.store import AccountChanges, StoreError, StoreRefusal
from posthouse.protocol.jmap.arguments import (
    ChangesArguments,
    GetArguments,
    check_sort,
    pick_properties,
    read_arguments,
    read_filter,
)
from posthouse.protocol.jmap.errors import ErrorType, MethodError
from posthouse.protocol.jmap.execution import Answer
from posthouse.protocol.jmap.limits import check_get_size
from posthouse.protocol.jmap.responses import ChangesResponse, GetResponse
from posthouse.protocol.jmap.session import MAIL
from posthouse.protocol.jmap.windows import answer_query, answer_query_changes, compare_results

_NO_COUNTS = ThreadCounts()


async def get_mailboxes(call: Call) -> Answer:
    asked = read_arguments(GetArguments, call.arguments)
    owner = call.check_account(asked.account_id)
    properties = pick_properties(asked.properties, PROPERTIES, DEFAULT_PROPERTIES)
    check_get_size(len(asked.ids or ()), call.parts.limits)
    await _make_usual(call)
    state = await call.state()
    mailboxes = await call.parts.store.mailboxes.list_all(owner)
    counts: Mapping[MailboxId, ThreadCounts] = {}
    if "totalThreads" in properties or "unreadThreads" in properties:
        counts = await call.parts.tallies.count(call.parts.store, owner, mailboxes)
    wanted, not_found = _pick(owner, mailboxes, asked.ids)
    check_get_size(len(wanted), call.parts.limits)
    return GetResponse(
        account_id=asked.account_id,
        state=state,
        list=[make_mailbox(owner, box, counts.get(box.id, _NO_COUNTS), properties) for box in wanted],
        not_found=not_found,
    )


def _pick(
    owner: AccountId, mailboxes: Sequence[Mailbox], ids: Sequence[str] | None
) -> tuple[Sequence[Mailbox], list[str]]:
    if ids is None:
        return mailboxes, []
    known = {mailbox.id: mailbox for mailbox in mailboxes}
    asked = [(text, find_mailbox(owner, text)) for text in dict.fromkeys(ids)]
    found = [known[number] for _, number in asked if number is not None and number in known]
    return found, [text for text, number in asked if number not in known]


async def _make_usual(call: Call) -> None:
    """A draft needs its mailbox. A store that is full does not hinder reading: then there are none."""
    mailboxes = call.parts.store.mailboxes
    try:
        await make_missing(mailboxes, call.owner, await mailboxes.list_all(call.owner))
    except (StoreError, StoreRefusal) as error:
        call.parts.log.warning("usual mailboxes not made", account=call.login.name, error=repr(error))


# -- changes


async def list_changes(call: Call) -> Answer:
    """RFC 8621 §2.2: only counts changed, `updatedProperties` says so."""
    asked = read_arguments(ChangesArguments, call.arguments)
    owner = call.check_account(asked.account_id)
    changes = await _read_changes(call, asked.since_state)
    moments = await _moments(call, owner, changes)
    room = None if asked.max_changes is None else asked.max_changes - len(changes.mailboxes_destroyed)
    end = find_end(moments.values(), changes.modseq, room)
    kept = {box for box, moment in moments.items() if moment <= end}
    created = [box for box in changes.mailboxes_created if box in kept]
    updated = sorted(kept.difference(created))
    is_counted = bool(updated) and kept.isdisjoint(changes.mailboxes_updated) and not created
    return ChangesResponse(
        account_id=asked.account_id,
        old_state=asked.since_state,
        new_state=write_state(end),
        has_more_changes=end < changes.modseq,
        created=_names(owner, created),
        updated=_names(owner, updated),
        destroyed=_names(owner, changes.mailboxes_destroyed),
        updated_properties=COUNTS if is_counted else None,
    )


async def _read_changes(call: Call, since: str) -> AccountChanges:
    changes = await call.parts.store.changes.in_account(call.owner, read_state(since))
    if not changes.is_complete:
        raise MethodError(ErrorType.CANNOT_CALCULATE_CHANGES)
    return changes


async def _moments(call: Call, owner: AccountId, changes: AccountChanges) -> dict[MailboxId, ModSeq]:
    """When each was made, of those the client does not know yet, or changed last."""
    created = set(changes.mailboxes_created)
    touched = created.union(changes.mailboxes_updated, changes.mailboxes_counted)
    return {
        box.id: box.created if box.id in created else max(box.changed, box.modseq)
        for box in await call.parts.store.mailboxes.list_all(owner)
        if box.id in touched
    }


def _names(owner: AccountId, mailboxes: Iterable[MailboxId]) -> list[str]:
    return [name_mailbox(owner, mailbox) for mailbox in mailboxes]


# -- query


async def query(call: Call) -> Answer:
    asked = read_arguments(MailboxQueryArguments, call.arguments)
    owner = call.check_account(asked.account_id)
    await _make_usual(call)
    state = await call.state()
    mailboxes = await call.parts.store.mailboxes.list_all(owner)
    ids = _find(call, asked, mailboxes)
    return answer_query(asked, state, ids, call.parts.limits.max_objects_in_get)


def _find(
    call: Call, asked: MailboxQueryArguments | MailboxQueryChangesArguments, mailboxes: Sequence[Mailbox]
) -> list[str]:
    sort = check_sort(asked.sort, call.parts.limits.collation_algorithms)
    trees = asked.sort_as_tree, asked.filter_as_tree
    found = query_mailboxes(call.owner, mailboxes, read_filter(asked.filter), sort, as_tree=trees)
    return _names(call.owner, found)


async def query_changes(call: Call) -> Answer:
    asked = read_arguments(MailboxQueryChangesArguments, call.arguments)
    owner = call.check_account(asked.account_id)
    changes, mailboxes = await read_at_once(
        call,
        lambda: _read_changes(call, asked.since_query_state),
        lambda: call.parts.store.mailboxes.list_all(owner),
    )
    ids = _find(call, asked, mailboxes)
    touched = {*changes.mailboxes_created, *changes.mailboxes_updated}
    touched |= _below(mailboxes, touched | set(changes.mailboxes_destroyed)) | set(changes.mailboxes_destroyed)
    delta = compare_results(ids, _names(owner, touched), asked.max_changes)
    return answer_query_changes(asked, write_state(changes.modseq), delta, len(ids))


def _below(mailboxes: Sequence[Mailbox], tops: Collection[MailboxId]) -> set[MailboxId]:
    """In a tree they move, come and go with what they are in. Parents come before children (ports/store.py)."""
    found = set(tops)
    for mailbox in mailboxes:
        if mailbox.parent in found:
            found.add(mailbox.id)
    return found - set(tops)


METHODS: Methods = {
    "Mailbox/get": Method(MAIL, get_mailboxes),
    "Mailbox/changes": Method(MAIL, list_changes),
    "Mailbox/query": Method(MAIL, query),
    "Mailbox/queryChanges": Method(MAIL, query_changes),
    "Mailbox/set": Method(MAIL, set_mailboxes),
}
