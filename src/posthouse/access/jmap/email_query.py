"""Email/query (RFC 8621 §4.4): the filter and the sort as a list of the store, and the part of it that is asked for.

Ids are written for that part alone: the lists are as long as mailboxes. Where finding is dear (text), no more is looked
for than the part needs; who asks for the total has all of it looked for. Changes nothing.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import overload

from posthouse.access.jmap.filters import (
    EmailQueryArguments,
    Ordering,
    ThreadTest,
    list_thread_tests,
    make_flag,
    make_search,
    names_others,
    read_ordering,
)
from posthouse.access.jmap.method import Call, write_state
from posthouse.message.mailbox import AccountId, EmailId, MailboxId
from posthouse.message.objectids import find_email, name_email
from posthouse.message.search import All, Emails, Not, SearchKey
from posthouse.ports.store import EmailList, Enough
from posthouse.protocol.jmap.arguments import Comparator, Filter, check_sort, read_arguments, read_filter
from posthouse.protocol.jmap.errors import ErrorType, MethodError
from posthouse.protocol.jmap.execution import Answer
from posthouse.protocol.jmap.windows import answer_query

MOST_IDS = 5_000  # in one answer
_MAX_THREAD_TESTS = 8


async def query_emails(call: Call) -> Answer:
    """RFC 8621 §4.4."""
    arguments = read_arguments(EmailQueryArguments, call.arguments)
    owner = call.check_account(arguments.account_id)
    sort = check_sort(arguments.sort, call.parts.limits.collation_algorithms)
    wanted, enough = read_filter(arguments.filter), _find_enough(arguments, owner)
    found = await list_wanted(call, wanted, sort, collapses=arguments.collapse_threads, enough=enough)
    names = EmailNames(owner, found.emails)
    # What was not looked for may have changed, too: then nobody can tell what did.
    can_tell = found.is_whole
    answer = answer_query(arguments, write_state(found.modseq), names, MOST_IDS, can_calculate_changes=can_tell)
    answer.collapse_threads = arguments.collapse_threads
    return answer


def _find_enough(arguments: EmailQueryArguments, owner: AccountId) -> Enough | None:
    """None: all. Raises MethodError (anchorNotFound)."""
    limit = MOST_IDS if arguments.limit is None else min(arguments.limit, MOST_IDS)
    anchor = None
    if arguments.anchor is not None:
        anchor = find_email(owner, arguments.anchor)
        if anchor is None:
            raise MethodError(ErrorType.ANCHOR_NOT_FOUND)
    start = arguments.position if anchor is None else arguments.anchor_offset
    if arguments.calculate_total or (anchor is None and start < 0):
        return None
    return Enough(max(start + limit, 1), anchor)


class EmailNames(Sequence[str]):
    """The ids of a list, each written when it is asked for."""

    def __init__(self, owner: AccountId, emails: array[int]) -> None:
        self._owner, self._emails = owner, emails

    def __len__(self) -> int:
        return len(self._emails)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return [name_email(self._owner, EmailId(email)) for email in self._emails[place]]
        return name_email(self._owner, EmailId(self._emails[place]))

    def __contains__(self, value: object) -> bool:
        email = find_email(self._owner, value) if isinstance(value, str) else None
        return email is not None and email in self._emails

    def index(self, value: str, start: int = 0, stop: int | None = None) -> int:
        email = find_email(self._owner, value)
        if email is None:
            raise ValueError(value)
        return self._emails.index(email, start, len(self._emails) if stop is None else stop)


# -- the list


async def list_wanted(
    call: Call,
    wanted: Filter | None,
    sort: Sequence[Comparator],
    *,
    collapses: bool,
    enough: Enough | None = None,
) -> EmailList:
    """Raises MethodError."""
    ordering = read_ordering(sort)
    search = call.parts.store.search
    tests = await _find_tests(call, list_thread_tests(wanted).union(ordering.tests))
    boxes: list[MailboxId] = []
    if names_others(wanted):
        boxes = [box.id for box in await call.parts.store.mailboxes.list_all(call.owner)]
    program = make_search(wanted, call.owner, boxes, tests)
    if not ordering.keywords:
        return await search.list_emails(call.owner, program, ordering.rest, collapses=collapses, enough=enough)
    found = await search.list_emails(call.owner, program, ordering.rest)
    return await _put_first(call, found, ordering, tests, collapses=collapses)


async def _find_tests(call: Call, tests: set[ThreadTest]) -> dict[ThreadTest, SearchKey]:
    """What conditions on the keywords of whole threads are (RFC 8621 §4.4.1)."""
    if len(tests) > _MAX_THREAD_TESTS:
        raise MethodError(ErrorType.UNSUPPORTED_FILTER, "Too many conditions on threads")
    found: dict[ThreadTest, SearchKey] = {}
    for name, keyword in tests:
        flag = make_flag(keyword)
        if name.startswith("all"):
            found[name, keyword] = Not(await _find_mates(call, Not(flag)))
        elif name.startswith("some"):
            found[name, keyword] = await _find_mates(call, flag)
        else:
            found[name, keyword] = Not(await _find_mates(call, flag))
    return found


async def _find_mates(call: Call, key: SearchKey) -> Emails:
    """All emails of the threads in which one matches."""
    search = call.parts.store.search
    threads = set((await search.list_emails(call.owner, key)).threads)
    if not threads:
        return Emails(frozenset())
    every = await search.list_emails(call.owner, All())
    pairs = zip(every.emails, every.threads, strict=True)
    return Emails(frozenset([EmailId(email) for email, thread in pairs if thread in threads]))


async def _put_first(
    call: Call, found: EmailList, ordering: Ordering, tests: Mapping[ThreadTest, SearchKey], *, collapses: bool
) -> EmailList:
    """By keywords (RFC 8621 §4.4.2), equals as they stand in the list."""
    threads = dict(zip(found.emails, found.threads, strict=True))
    order: Iterable[int] = found.emails
    for test, is_ascending in reversed(ordering.keywords):
        key = make_flag(test[1]) if test not in tests else tests[test]
        having = set((await call.parts.store.search.list_emails(call.owner, key)).emails)
        order = sorted(order, key=having.__contains__, reverse=not is_ascending)
    if collapses:
        first: dict[int, int] = {}
        for email in order:
            first.setdefault(threads[email], email)
        order = first.values()
    emails = array("Q", order)
    return EmailList(found.modseq, emails, array("Q", map(threads.__getitem__, emails)))
