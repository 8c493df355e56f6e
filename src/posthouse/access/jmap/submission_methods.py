"""EmailSubmission/get, /changes, /query and /queryChanges (RFC 8621 §7). /set is in submission_set.py.

What is shown are submissions that have an email: of whatever door, as long as a copy was filed. Reads only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from posthouse.access.jmap.blob_ids import BlobId
from posthouse.access.jmap.changes_between import find_end, read_at_once
from posthouse.access.jmap.identities import IDENTITY, list_identities
from posthouse.access.jmap.method import Call, Method, Methods, read_state, write_state
from posthouse.access.jmap.submission_set import set_submissions
from posthouse.access.jmap.submissions import (
    PROPERTIES,
    REPORTS,
    Shown,
    SubmissionQuery,
    make_submission,
    plan_query,
    with_reports,
)
from posthouse.message.mailbox import AccountId, EmailId, SubmissionId, ThreadId
from posthouse.message.objectids import find_submission, name_submission
from posthouse.ports.store import Fields, Submission
from posthouse.protocol.jmap.arguments import (
    ChangesArguments,
    GetArguments,
    QueryArguments,
    QueryChangesArguments,
    check_sort,
    pick_properties,
    read_arguments,
    read_filter,
)
from posthouse.protocol.jmap.errors import ErrorType, MethodError
from posthouse.protocol.jmap.execution import Answer
from posthouse.protocol.jmap.limits import check_get_size
from posthouse.protocol.jmap.responses import ChangesResponse, GetResponse
from posthouse.protocol.jmap.session import SUBMISSION
from posthouse.protocol.jmap.windows import answer_query, answer_query_changes, compare_results

MOST_LISTED = 10_000  # the newest ones; older ones are found by their id or their email
_PAGE = 1000
_DELIVERY, _DISPOSITION = "message/delivery-status", "message/disposition-notification"


async def get_submissions(call: Call) -> Answer:
    asked = read_arguments(GetArguments, call.arguments)
    owner = call.check_account(asked.account_id)
    properties = pick_properties(asked.properties, PROPERTIES, PROPERTIES)
    limits = call.parts.limits
    check_get_size(len(asked.ids or ()), limits)
    state = await call.state()
    if asked.ids is None:
        rows = [row for row in await _list_newest(call, owner, limits.max_objects_in_get + 1) if row.email is not None]
        check_get_size(len(rows), limits)
        not_found: list[str] = []
    else:
        rows, not_found = await _read(call, owner, asked.ids)
    shown = await _show(call, owner, rows, needs_threads="threadId" in properties)
    if not set(REPORTS).isdisjoint(properties):
        shown = [with_reports(one, await _find_reports(call, owner, one.row)) for one in shown]
    return GetResponse(
        account_id=asked.account_id,
        state=state,
        list=[make_submission(owner, one, properties) for one in shown],
        not_found=not_found,
    )


async def _read(call: Call, owner: AccountId, ids: Sequence[str]) -> tuple[list[Submission], list[str]]:
    named = {text: find_submission(owner, text) for text in dict.fromkeys(ids)}
    found = await _get_all(call, owner, [number for number in named.values() if number is not None])
    rows = {row.id: row for row in found if row.email is not None}
    there = [rows[number] for number in named.values() if number is not None and number in rows]
    return there, [text for text, number in named.items() if number is None or number not in rows]


async def _get_all(call: Call, owner: AccountId, numbers: Sequence[SubmissionId]) -> list[Submission]:
    submissions = call.parts.store.submissions
    rows = await asyncio.gather(*[submissions.get(owner, number) for number in numbers])
    return [row for row in rows if row is not None]


async def _list_newest(call: Call, owner: AccountId, limit: int) -> list[Submission]:
    found: list[Submission] = []
    last: SubmissionId | None = None
    while len(found) < limit:
        page = await call.parts.store.submissions.list_newest(owner, min(_PAGE, limit - len(found)), last)
        if not page:
            break
        found += page
        last = page[-1].id
    return found


async def _show(call: Call, owner: AccountId, rows: Sequence[Submission], *, needs_threads: bool) -> list[Shown]:
    threads: dict[EmailId, ThreadId] = {}
    if needs_threads and rows:
        emails = list(dict.fromkeys(row.email for row in rows if row.email is not None))
        loaded = await call.parts.store.messages.load_emails(owner, emails, Fields.DATES)
        threads = {row.email: row.thread for row in loaded}
    by_address = await _identities_by_address(call, owner) if rows else {}
    shown: list[Shown] = []
    for row in rows:
        sent = call.parts.sending.read_envelope(row)
        identity = sent.identity or by_address.get((sent.envelope.sender or "").lower())
        shown.append(Shown(row, sent, threads.get(row.email) if row.email is not None else None, identity))
    return shown


async def _identities_by_address(call: Call, owner: AccountId) -> dict[str, str]:
    """Of what came by other doors: the identity of its sender."""
    found: dict[str, str] = {}
    for record in await list_identities(call.parts.records, call.parts.accounts, owner):
        found.setdefault(str(record.value.get("email")).lower(), IDENTITY.name(record.id))
    return found


async def _find_reports(call: Call, owner: AccountId, row: Submission) -> dict[str, list[str]]:
    """Delivery reports and read receipts that refer to the message."""
    message_id = row.message_id.strip().strip("<>")
    if not message_id:
        return {}
    store = call.parts.store
    threads = await store.messages.thread(owner, await store.threads.naming(owner, message_id))
    emails = [email for members in threads.values() for email in members if email != row.email]
    found: dict[str, list[str]] = {name: [] for name in REPORTS}
    for email in await store.messages.load_emails(owner, emails, Fields.STRUCTURE | Fields.KEYS):
        if email.message is None or message_id not in email.message.references:
            continue
        types = {part.type for part in email.message.parts}
        if _DELIVERY in types:
            found["dsnBlobIds"].append(str(BlobId(email.email)))
        elif _DISPOSITION in types:
            found["mdnBlobIds"].append(str(BlobId(email.email)))
    return found


# -- changes


async def list_changes(call: Call) -> Answer:
    asked = read_arguments(ChangesArguments, call.arguments)
    owner = call.check_account(asked.account_id)
    since = read_state(asked.since_state)
    changes = await call.parts.store.changes.in_account(owner, since)
    if not changes.is_complete:
        raise MethodError(ErrorType.CANNOT_CALCULATE_CHANGES)
    rows = await _get_all(call, owner, changes.submissions_changed)
    moments = {row.id: row.made if row.made > since else row.modseq for row in rows if row.email is not None}
    gone = [row.id for row in rows if row.email is None and row.made <= since]
    room = None if asked.max_changes is None else asked.max_changes - len(gone)
    end = find_end(moments.values(), changes.modseq, room)
    told = [row for row in rows if row.id in moments and moments[row.id] <= end]
    return ChangesResponse(
        account_id=asked.account_id,
        old_state=asked.since_state,
        new_state=write_state(end),
        has_more_changes=end < changes.modseq,
        created=[name_submission(owner, row.id) for row in told if row.made > since],
        updated=[name_submission(owner, row.id) for row in told if row.made <= since],
        destroyed=[name_submission(owner, number) for number in gone],
    )


# -- query


async def query(call: Call) -> Answer:
    asked = read_arguments(QueryArguments, call.arguments)
    owner = call.check_account(asked.account_id)
    plan = _plan(call, owner, asked)
    state = await call.state()
    ids = await _find(call, owner, plan)
    return answer_query(
        asked, state, ids, call.parts.limits.max_objects_in_get, can_calculate_changes=not plan.of_threads
    )


def _plan(call: Call, owner: AccountId, asked: QueryArguments | QueryChangesArguments) -> SubmissionQuery:
    sort = check_sort(asked.sort, call.parts.limits.collation_algorithms)
    return plan_query(owner, read_filter(asked.filter), sort)


async def _find(call: Call, owner: AccountId, plan: SubmissionQuery) -> list[str]:
    if plan.emails is not None:
        rows = await call.parts.store.submissions.of_emails(owner, list(plan.emails))
    else:
        rows = [row for row in await _list_newest(call, owner, MOST_LISTED) if row.email is not None]
    shown = await _show(call, owner, rows, needs_threads=plan.of_threads)
    return [name_submission(owner, one.row.id) for one in plan.find(shown)]


async def query_changes(call: Call) -> Answer:
    """Not by threads: an email may come into another one without any change of its submission."""
    asked = read_arguments(QueryChangesArguments, call.arguments)
    owner = call.check_account(asked.account_id)
    plan = _plan(call, owner, asked)
    since = read_state(asked.since_query_state)
    changes, ids = await read_at_once(
        call,
        lambda: call.parts.store.changes.in_account(owner, since),
        lambda: _find(call, owner, plan),
    )
    if plan.of_threads or not changes.is_complete:
        raise MethodError(ErrorType.CANNOT_CALCULATE_CHANGES)
    touched = [name_submission(owner, number) for number in changes.submissions_changed]
    delta = compare_results(ids, touched, asked.max_changes)
    return answer_query_changes(asked, write_state(changes.modseq), delta, len(ids))


METHODS: Methods = {
    "EmailSubmission/get": Method(SUBMISSION, get_submissions),
    "EmailSubmission/changes": Method(SUBMISSION, list_changes),
    "EmailSubmission/query": Method(SUBMISSION, query),
    "EmailSubmission/queryChanges": Method(SUBMISSION, query_changes),
    "EmailSubmission/set": Method(SUBMISSION, set_submissions),
}
