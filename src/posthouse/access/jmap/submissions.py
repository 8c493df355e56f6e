"""EmailSubmission objects (RFC 8621 §7): what a client sees of a submission, gives to make one, and asks for. Pure.

A submission without an email is of another door and has nothing to show here. `deliveryTimes` is a property of ours:
what the queue has noted of each recipient, as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from posthouse.message.mailbox import AccountId, EmailId, ThreadId
from posthouse.message.objectids import find_email, find_thread, name_email, name_submission, name_thread
from posthouse.ports.sending import SentEnvelope, WantedEnvelope
from posthouse.ports.store import RecipientFate, Submission, SubmissionState
from posthouse.protocol.jmap.arguments import Comparator, Filter, FilterCondition, FilterOperator, SetArguments
from posthouse.protocol.jmap.dates import read_utc_date, write_utc_date
from posthouse.protocol.jmap.errors import ErrorType, MethodError, invalid_arguments, invalid_properties
from posthouse.protocol.jmap.json import JsonObject, convert
from posthouse.protocol.smtp.xtext import encode_xtext

PROPERTIES = (
    "id",
    "identityId",
    "emailId",
    "threadId",
    "envelope",
    "sendAt",
    "undoStatus",
    "deliveryStatus",
    "dsnBlobIds",
    "mdnBlobIds",
    "deliveryTimes",
)
REPORTS = ("dsnBlobIds", "mdnBlobIds")
_CREATED = frozenset({"identityId", "emailId", "envelope"})
_UNDO = {
    SubmissionState.PENDING: "pending",
    SubmissionState.HELD: "pending",
    SubmissionState.QUEUED: "final",
    SubmissionState.FINAL: "final",
    SubmissionState.CANCELED: "canceled",
}
_DELIVERED = {"": "queued", "delivered": "yes", "relayed": "unknown", "failed": "no", "expired": "no"}
_QUEUED = "250 2.0.0 Ok: queued"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,39}", re.ASCII)
_VALUE = re.compile(r"[!-<>-~\u0080-\U0010ffff]{1,1000}")
_IN_XTEXT = frozenset({"ENVID", "ORCPT"})


class SubmissionSetArguments(SetArguments):
    """RFC 8621 §7.5."""

    on_success_update_email: dict[str, JsonObject] | None = None
    on_success_destroy_email: list[str] | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """A submission with what else its object is made of. `thread` None: the email has gone. `reports`: blob ids."""

    row: Submission
    sent: SentEnvelope
    thread: ThreadId | None = None
    identity: str | None = None
    reports: Mapping[str, Sequence[str]] = field(default_factory=dict)


def read_undo(row: Submission) -> str:
    """What is handed over in this moment does not wait any more."""
    if row.state is SubmissionState.PENDING and not row.send_at:
        return "final"
    return _UNDO[row.state]


def make_submission(owner: AccountId, shown: Shown, properties: Sequence[str]) -> JsonObject:
    return {name: _write_property(owner, shown, name) for name in properties}


def _write_property(owner: AccountId, shown: Shown, name: str) -> object:
    row = shown.row
    match name:
        case "id":
            return name_submission(owner, row.id)
        case "identityId":
            return shown.identity
        case "emailId":
            return None if row.email is None else name_email(owner, row.email)
        case "threadId":
            return None if shown.thread is None else name_thread(owner, shown.thread)
        case "envelope":
            return write_envelope(shown.sent.envelope)
        case "sendAt":
            return write_utc_date(row.send_at or row.created)
        case "undoStatus":
            return read_undo(row)
        case "deliveryStatus":
            return None if read_undo(row) != "final" else {fate.address: _write_status(fate) for fate in row.recipients}
        case "deliveryTimes":
            return {fate.address: _write_fate(fate) for fate in row.recipients if read_undo(row) == "final"}
        case _:
            return list(shown.reports.get(name, ()))


def _write_status(fate: RecipientFate) -> JsonObject:
    """DeliveryStatus. What another host has taken may still come back."""
    delivered = _DELIVERED.get(fate.outcome, "unknown")
    return {"smtpReply": fate.reply or _QUEUED, "delivered": delivered, "displayed": "unknown"}


def _write_fate(fate: RecipientFate) -> JsonObject:
    return {
        "outcome": fate.outcome or "queued",
        "at": write_utc_date(fate.at) if fate.at else None,
        "reply": fate.reply,
        "nextHop": fate.remote.partition("[")[0] or fate.remote or None,
    }


# -- envelopes


class _Address(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    email: str
    parameters: dict[str, str | None] | None = None


class _Envelope(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    mail_from: _Address
    rcpt_to: list[_Address]


def write_envelope(envelope: WantedEnvelope) -> JsonObject:
    return {
        "mailFrom": {"email": envelope.sender or "", "parameters": dict(envelope.options) or None},
        "rcptTo": [{"email": address, "parameters": dict(said) or None} for address, said in envelope.recipients],
    }


def read_envelope(value: object) -> WantedEnvelope:
    """Without recipients it says who sends, and the message whom it is for. Raises RecordRefused."""
    if value is None:
        return WantedEnvelope()
    try:
        given = convert(value, _Envelope)
    except msgspec.ValidationError as problem:
        raise invalid_properties(["envelope"], str(problem)) from None
    return WantedEnvelope(
        given.mail_from.email,
        tuple([(one.email, _read_parameters(one.parameters)) for one in given.rcpt_to]),
        _read_parameters(given.mail_from.parameters),
    )


def _read_parameters(given: Mapping[str, str | None] | None) -> dict[str, str | None]:
    """As SMTP has them: here they come without xtext (RFC 8621 §7)."""
    said: dict[str, str | None] = {}
    for name, value in (given or {}).items():
        upper = name.upper()
        if upper in _IN_XTEXT and value is not None:
            kind, separator, rest = value.partition(";") if upper == "ORCPT" else ("", "", value)
            value = kind + separator + (rest if kind.lower() == "utf-8" else encode_xtext(rest))
        if not _NAME.fullmatch(name) or upper in said or not (value is None or _VALUE.fullmatch(value)):
            raise invalid_properties(["envelope"], f"{name[:40]!r} is no parameter")
        said[upper] = value
    return said


# -- set


@dataclass(frozen=True, slots=True)
class NewSubmission:
    """`email` may be a creation id ("#draft")."""

    identity: str
    email: str
    envelope: WantedEnvelope


def read_new(record: Mapping[str, object]) -> NewSubmission:
    """Of a create. Raises RecordRefused."""
    unknown = sorted(record.keys() - _CREATED)
    if unknown:
        raise invalid_properties(unknown, "The server sets it, or there is none")
    identity, email = record.get("identityId"), record.get("emailId")
    wrong = [name for name, value in (("identityId", identity), ("emailId", email)) if not isinstance(value, str)]
    if wrong:
        raise invalid_properties(wrong)
    return NewSubmission(str(identity), str(email), read_envelope(record.get("envelope")))


def needs_canceling(shown: Mapping[str, object], patch: Mapping[str, object]) -> bool:
    """Of an update: nothing but `undoStatus` can change, and only to "canceled". Raises RecordRefused."""
    wrong = [name for name, value in patch.items() if name != "undoStatus" and shown.get(name, patch) != value]
    if wrong:
        raise invalid_properties(sorted(wrong), "It cannot be changed")
    wanted = patch.get("undoStatus", shown["undoStatus"])
    if wanted == shown["undoStatus"]:
        return False
    if wanted != "canceled":
        raise invalid_properties(["undoStatus"], 'It can become "canceled"')
    return True


# -- query


class _Condition(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """RFC 8621 §7.3. None: says nothing of it."""

    identity_ids: list[str] | None = None
    email_ids: list[str] | None = None
    thread_ids: list[str] | None = None
    undo_status: str | None = None
    before: str | None = None
    after: str | None = None


Test = Callable[[Shown], bool]
_SORTS: Mapping[str, Callable[[Shown], float]] = {
    "emailId": lambda shown: shown.row.email or 0,
    "threadId": lambda shown: shown.thread or 0,
    "sentAt": lambda shown: shown.row.send_at or shown.row.created,
    "sendAt": lambda shown: shown.row.send_at or shown.row.created,
}


@dataclass(frozen=True, slots=True)
class SubmissionQuery:
    """`emails`: no others can match; None: any. `of_threads`: it matters what their threads are."""

    test: Test
    sort: Sequence[Comparator]
    emails: frozenset[EmailId] | None
    of_threads: bool

    def find(self, shown: Sequence[Shown]) -> list[Shown]:
        """Newest first, where no sort says otherwise."""
        found = [one for one in shown if self.test(one)]
        for comparator in reversed(self.sort):
            found.sort(key=_SORTS[comparator.property], reverse=not comparator.is_ascending)
        return found


def plan_query(owner: AccountId, wanted: Filter | None, sort: Sequence[Comparator]) -> SubmissionQuery:
    """Raises MethodError."""
    unknown = [comparator.property for comparator in sort if comparator.property not in _SORTS]
    if unknown:
        raise MethodError(ErrorType.UNSUPPORTED_SORT, f"Submissions are not sorted by {unknown[0][:100]!r}")
    conditions = _list_conditions(wanted)
    of_threads = any(one.thread_ids is not None for one in conditions.values())
    emails = None
    if isinstance(wanted, FilterCondition) and (ids := conditions[id(wanted)].email_ids) is not None:
        emails = frozenset([email for text in ids if (email := find_email(owner, text)) is not None])
    test = _compile(owner, wanted, conditions) if wanted is not None else lambda shown: True
    return SubmissionQuery(test, sort, emails, of_threads or any(one.property == "threadId" for one in sort))


def _list_conditions(wanted: Filter | None) -> dict[int, _Condition]:
    match wanted:
        case None:
            return {}
        case FilterCondition(members):
            return {id(wanted): _read_condition(members)}
        case FilterOperator(conditions=inner):
            found: dict[int, _Condition] = {}
            for condition in inner:
                found |= _list_conditions(condition)
            return found


def _read_condition(members: Mapping[str, object]) -> _Condition:
    try:
        condition = convert(dict(members), _Condition)
    except msgspec.ValidationError as problem:
        raise invalid_arguments(str(problem)) from None
    for name, value in (("before", condition.before), ("after", condition.after)):
        if value is not None and read_utc_date(value) is None:
            raise invalid_arguments(f"{name} is a UTCDate")
    return condition


def _compile(owner: AccountId, wanted: Filter, conditions: Mapping[int, _Condition]) -> Test:
    match wanted:
        case FilterOperator(operator, inner):
            tests = [_compile(owner, condition, conditions) for condition in inner]
            if operator == "AND":
                return lambda shown: all(test(shown) for test in tests)
            return lambda shown: any(test(shown) for test in tests) == (operator == "OR")
        case FilterCondition():
            return _compile_condition(owner, conditions[id(wanted)])


def _compile_condition(owner: AccountId, condition: _Condition) -> Test:
    tests: list[Test] = []
    if (identities := condition.identity_ids) is not None:
        tests.append(lambda shown: shown.identity in identities)
    if condition.email_ids is not None:
        emails = {find_email(owner, text) for text in condition.email_ids}
        tests.append(lambda shown: shown.row.email in emails)
    if condition.thread_ids is not None:
        threads = {find_thread(owner, text) for text in condition.thread_ids} - {None}
        tests.append(lambda shown: shown.thread in threads)
    if condition.undo_status is not None:
        tests.append(lambda shown: read_undo(shown.row) == condition.undo_status)
    if condition.before is not None:
        before = read_utc_date(condition.before) or 0.0
        tests.append(lambda shown: _SORTS["sendAt"](shown) < before)
    if condition.after is not None:
        after = read_utc_date(condition.after) or 0.0
        tests.append(lambda shown: _SORTS["sendAt"](shown) >= after)
    return lambda shown: all(test(shown) for test in tests)


def with_reports(shown: Shown, reports: Mapping[str, Sequence[str]]) -> Shown:
    return replace(shown, reports=reports)
