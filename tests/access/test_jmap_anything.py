"""Whatever a client sends, each method answers it: no argument is a defect of ours (RFC 8620 §3.6.2)."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from posthouse.access.jmap.methods import TABLES, join_tables
from tests.access.jmap_kit import ME, Desk, Told, letter, open_desk
from tests.msa.submit_kit import MESSAGE

METHODS = sorted(join_tables(TABLES))
_IDS = "M7-1 M7-2 M7-99 F7-1 F7-2 T7-1 S7-1 I1 Z1 B1 B1-1 B2-1_1 U1 V1 singleton octets x #a #b A7 é 0 1 2 999999 -1"
IDS = ["", "a" * 300, *_IDS.split()]
_WORDS = (
    "ids properties create update destroy filter sort position anchor anchorOffset limit calculateTotal "
    "collapseThreads sinceState sinceQueryState maxChanges upToId ifInState blobIds emails emailIds send "
    "identityId fromAccountId onSuccessUpdateEmail onSuccessDestroyEmail text typeNames onDestroyRemoveEmails "
    "bodyProperties fetchAllBodyValues maxBodyValueBytes sortAsTree offset length onSuccessDestroyOriginal"
)
WORDS = _WORDS.split()
_INNER = (
    "id name parentId role sortOrder mailboxIds keywords keywords/$seen mailboxIds/F7-1 from to subject "
    "bodyValues textBody htmlBody bodyStructure attachments headers header:X-A:asText emailId identityId "
    "envelope mailFrom rcptTo email parameters undoStatus blobId receivedAt operator conditions inMailbox "
    "hasKeyword before property isAscending collation data data:asText data:asBase64 offset length type value "
    "value/a/b until query fromDate isEnabled textBody/0 forEmailId disposition url deviceClientId keys types "
    "isSubscribed emailIds threadIds minSize header partId charset disposition cid subParts replyTo"
)
INNER = _INNER.split()
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([2**53 - 1, -(2**53), 1.5, 1e300])
    | st.sampled_from(IDS)
    | st.text(max_size=8)
    | st.sampled_from(["AND", "OR", "NOT", "Email", "canceled", "2027-01-15T08:00:00Z", "alice@ours.example", "inbox"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(INNER) | st.sampled_from(IDS), inner, max_size=4)
    ),
    max_leaves=12,
)
ARGUMENTS = st.dictionaries(st.sampled_from(WORDS), VALUES, max_size=4)


async def ask(name: str, arguments: Told) -> tuple[Told, list[tuple[str, str, dict[str, object]]]]:
    desk = await make_desk()
    answers = await desk.ask((name, {"accountId": ME, **arguments}))
    return answers[0][1], desk.house.log.events


async def make_desk() -> Desk:
    desk = await open_desk(letter("one"), MESSAGE)
    await desk.call("Mailbox/get", ids=None)
    return desk


@pytest.mark.parametrize("name", METHODS)
@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(arguments=ARGUMENTS)
def test_anything_is_answered(name: str, arguments: Told) -> None:
    told, events = asyncio.run(ask(name, arguments))
    assert told.get("type") not in ("serverFail", "serverPartialFail"), (told, events)
    assert not [event for event in events if event[0] == "error"]


# What each method has in common with the record it is about, so that more than the outer shape is tried.
SHAPES: dict[str, Told] = {
    "create": {"a": {}},
    "update": {"M7-1": {}, "F7-1": {}, "S7-1": {}, "singleton": {}, "I1": {}},
}


@pytest.mark.parametrize("name", [name for name in METHODS if name.endswith("/set")])
@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(record=st.dictionaries(st.sampled_from(INNER), VALUES, max_size=5), where=st.sampled_from(sorted(SHAPES)))
def test_any_record_is_answered(name: str, record: Told, where: str) -> None:
    told, events = asyncio.run(ask(name, {where: dict.fromkeys(SHAPES[where], record)}))
    assert told.get("type") not in ("serverFail", "serverPartialFail"), (told, events)
    assert not [event for event in events if event[0] == "error"]
