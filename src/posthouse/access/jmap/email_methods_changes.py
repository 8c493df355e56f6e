"""Email/changes (RFC 8621 §4.3) and Email/queryChanges (RFC 8621 §4.5), from what the store says changed.

What changed is never more than asked for at once: then the answer's state is one between, and the client asks on. A
result that is compared is the one of now; whatever may be at another place in it, or gone from it, is told. Changes
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from posthouse.access.jmap.email_query import list_wanted
from posthouse.access.jmap.filters import EmailQueryChangesArguments, can_change, list_thread_tests
from posthouse.access.jmap.method import Call, read_state, write_state
from posthouse.message.mailbox import AccountId, EmailId, ModSeq
from posthouse.message.objectids import find_email, name_email
from posthouse.ports.store import AccountChanges, Fields
from posthouse.protocol.jmap.arguments import ChangesArguments, check_sort, read_arguments, read_filter
from posthouse.protocol.jmap.errors import ErrorType, MethodError
from posthouse.protocol.jmap.execution import Answer
from posthouse.protocol.jmap.responses import ChangesResponse
from posthouse.protocol.jmap.windows import answer_query_changes, compare_results

MOST_CHANGES = 10_000  # told at once to who names no number
_MOST_TOUCHED = 20_000  # beyond that a client does better to ask anew


async def list_changes(call: Call) -> Answer:
    """RFC 8621 §4.3."""
    asked = read_arguments(ChangesArguments, call.arguments)
    owner = call.check_account(asked.account_id)
    changes = await _read_changes(call, asked.since_state)
    end = _find_end(changes, asked.max_changes)
    at = changes.emails_at
    return ChangesResponse(
        account_id=asked.account_id,
        old_state=asked.since_state,
        new_state=write_state(end),
        has_more_changes=end < changes.modseq,
        created=_names(owner, [email for email in changes.created if at[email] <= end]),
        updated=_names(owner, [email for email in changes.updated if at[email] <= end]),
        destroyed=_names(owner, changes.destroyed),
    )


async def _read_changes(call: Call, since: str) -> AccountChanges:
    changes = await call.parts.store.changes.in_account(call.owner, read_state(since))
    if not changes.is_complete:
        raise MethodError(ErrorType.CANNOT_CALCULATE_CHANGES)
    return changes


def _find_end(changes: AccountChanges, wanted: int | None) -> ModSeq:
    """The state up to which is told. What went is told at once, whenever that was. Raises MethodError."""
    moments = sorted(changes.emails_at.values())
    room = (MOST_CHANGES if wanted is None else wanted) - len(changes.destroyed)
    if len(moments) <= room:
        return changes.modseq
    ends = [moments[place] for place in range(room) if moments[place] < moments[place + 1]] if room > 0 else []
    if ends:
        return ends[-1]
    if wanted is None:
        return changes.modseq
    raise MethodError(ErrorType.CANNOT_CALCULATE_CHANGES, "More changed at once than is wanted at once")


def _name(owner: AccountId, email: int) -> str:
    return name_email(owner, EmailId(email))


def _names(owner: AccountId, emails: Iterable[EmailId]) -> list[str]:
    return [name_email(owner, email) for email in emails]


# -- of a query


async def query_changes(call: Call) -> Answer:
    """RFC 8621 §4.5."""
    asked = read_arguments(EmailQueryChangesArguments, call.arguments)
    owner = call.check_account(asked.account_id)
    sort = check_sort(asked.sort, call.parts.limits.collation_algorithms)
    wanted = read_filter(asked.filter)
    found = await list_wanted(call, wanted, sort, collapses=asked.collapse_threads)
    changes = await _read_changes(call, asked.since_query_state)
    of_threads = asked.collapse_threads or bool(list_thread_tests(wanted)) or any(one.keyword for one in sort)
    touched = await _list_touched(call, changes, of_threads=of_threads)
    touched += await _list_gone_since(call, found.modseq, changes)
    is_fixed = not of_threads and not can_change(wanted)
    up_to = find_email(owner, asked.up_to_id) if is_fixed and asked.up_to_id is not None else None
    delta = compare_results(found.emails, touched, asked.max_changes, up_to, partial(_name, owner))
    return answer_query_changes(asked, write_state(found.modseq), delta, len(found.emails))


async def _list_gone_since(call: Call, listed: ModSeq, changes: AccountChanges) -> list[EmailId]:
    """What the list has and what changed does not tell: it came after the client's state, and went after the list was
    made. Untold, the places of all others would be wrong for the client.
    """
    if changes.modseq == listed:
        return []
    late = await call.parts.store.changes.in_account(call.owner, listed)
    return late.destroyed


async def _list_touched(call: Call, changes: AccountChanges, *, of_threads: bool) -> list[EmailId]:
    """What may have come, gone or moved; `of_threads`: with all of the thread, whose place another one may take."""
    touched = [*changes.created, *changes.updated, *changes.destroyed]
    if len(touched) > _MOST_TOUCHED:
        raise MethodError(ErrorType.CANNOT_CALCULATE_CHANGES, "Too much has changed")
    if not of_threads or not touched:
        return touched
    messages = call.parts.store.messages
    rows = await messages.load_emails(call.owner, [*changes.created, *changes.updated], Fields.DATES)
    threads = dict.fromkeys([row.thread for row in rows] + changes.threads_changed)
    mates = await messages.thread(call.owner, list(threads))
    return list(dict.fromkeys([*touched, *[email for emails in mates.values() for email in emails]]))
