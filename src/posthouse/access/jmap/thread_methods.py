"""Thread/get and Thread/changes (RFC 8621 §3).

A thread is there as long as one of its emails is: one that has none any more is gone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from posthouse.access.jmap.changes_between import find_end
from posthouse.access.jmap.method import Call, Method, Methods, read_state, write_state
from posthouse.access.jmap.threads import make_thread
from posthouse.message.mailbox import AccountId, EmailId, ModSeq, ThreadId
from posthouse.message.objectids import find_thread, name_thread
from posthouse.ports.store import AccountChanges, Fields
from posthouse.protocol.jmap.arguments import ChangesArguments, GetArguments, pick_properties, read_arguments
from posthouse.protocol.jmap.errors import ErrorType, MethodError, invalid_arguments
from posthouse.protocol.jmap.execution import Answer
from posthouse.protocol.jmap.limits import check_get_size
from posthouse.protocol.jmap.responses import ChangesResponse, GetResponse
from posthouse.protocol.jmap.session import MAIL

_PROPERTIES = ("id", "emailIds")


async def get_threads(call: Call) -> Answer:
    asked = read_arguments(GetArguments, call.arguments)
    owner = call.check_account(asked.account_id)
    properties = pick_properties(asked.properties, _PROPERTIES, _PROPERTIES)
    if asked.ids is None:
        raise invalid_arguments("ids must be given: there may be very many threads")
    check_get_size(len(asked.ids), call.parts.limits)
    state = await call.state()
    named = {text: find_thread(owner, text) for text in dict.fromkeys(asked.ids)}
    numbers = [number for number in named.values() if number is not None]
    found = await call.parts.store.messages.thread(owner, numbers)
    is_whole = len(properties) > 1
    return GetResponse(
        account_id=asked.account_id,
        state=state,
        list=[
            make_thread(owner, number, found[number]) if is_whole else {"id": text}
            for text, number in named.items()
            if number is not None and number in found
        ],
        not_found=[text for text, number in named.items() if number is None or number not in found],
    )


async def list_changes(call: Call) -> Answer:
    """RFC 8621 §3.2. What was merged, or lost an email, has no moment of its own and is told at once."""
    asked = read_arguments(ChangesArguments, call.arguments)
    owner = call.check_account(asked.account_id)
    changes = await call.parts.store.changes.in_account(owner, read_state(asked.since_state))
    if not changes.is_complete:
        raise MethodError(ErrorType.CANNOT_CALCULATE_CHANGES)
    touched = changes.threads_changed
    moments = await _find_moments(call, owner, changes) if asked.max_changes is not None else {}
    room = None if asked.max_changes is None else asked.max_changes - (len(touched) - len(moments))
    end = find_end(moments.values(), changes.modseq, room)
    told = [thread for thread in touched if moments.get(thread, end) <= end]
    there = await call.parts.store.messages.thread(owner, told)
    new = _find_new(changes.created, there)
    return ChangesResponse(
        account_id=asked.account_id,
        old_state=asked.since_state,
        new_state=write_state(end),
        has_more_changes=end < changes.modseq,
        created=[name_thread(owner, thread) for thread in told if thread in new],
        updated=[name_thread(owner, thread) for thread in told if thread in there and thread not in new],
        destroyed=[name_thread(owner, thread) for thread in told if thread not in there],
    )


async def _find_moments(call: Call, owner: AccountId, changes: AccountChanges) -> dict[ThreadId, ModSeq]:
    """Of threads that nothing happened to but new emails: when the first of these came."""
    rows = await call.parts.store.messages.load_emails(owner, changes.created, Fields.DATES)
    touched, moments = set(changes.threads_changed), dict[ThreadId, ModSeq]()
    for row in rows:
        moment = changes.emails_at[row.email]
        if row.thread in touched:
            moments[row.thread] = min(moment, moments.get(row.thread, moment))
    return moments


def _find_new(created: Collection[EmailId], there: Mapping[ThreadId, Sequence[EmailId]]) -> set[ThreadId]:
    """Those whose emails are all new. It may have had others, which are gone: then a client meets a thread again."""
    new = set(created)
    return {thread for thread, members in there.items() if new.issuperset(members)}


METHODS: Methods = {
    "Thread/get": Method(MAIL, get_threads),
    "Thread/changes": Method(MAIL, list_changes),
}
