"""JMAP's standard arguments, patches, windows, dates, sessions and push (RFC 8620, RFC 8887)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.message.mailbox import AccountId, EmailId, MailboxId
from posthouse.message.objectids import find_email, find_mailbox, find_thread, name_email, name_mailbox
from posthouse.protocol.jmap.arguments import (
    Arguments,
    ChangesArguments,
    Comparator,
    CopyArguments,
    FilterCondition,
    FilterOperator,
    GetArguments,
    QueryArguments,
    QueryChangesArguments,
    SetArguments,
    check_sort,
    check_state,
    pick_properties,
    read_arguments,
    read_filter,
)
from posthouse.protocol.jmap.blobs import UploadResponse, check_media_type, write_disposition
from posthouse.protocol.jmap.dates import read_date, read_utc_date, read_zoned_date, write_date, write_utc_date
from posthouse.protocol.jmap.errors import ErrorType, MethodError, RecordRefused, SetError, invalid_properties
from posthouse.protocol.jmap.ids import resolve_id
from posthouse.protocol.jmap.json import encode_json
from posthouse.protocol.jmap.limits import CORE, CoreLimits
from posthouse.protocol.jmap.ordering import order_creates
from posthouse.protocol.jmap.patches import apply_patch
from posthouse.protocol.jmap.problems import RequestRefused
from posthouse.protocol.jmap.push import (
    PushVerification,
    StateChange,
    StreamWish,
    read_stream_wish,
    read_subscription,
    write_ping_event,
    write_state_event,
)
from posthouse.protocol.jmap.request import Response
from posthouse.protocol.jmap.responses import QueryResponse, SetResponse
from posthouse.protocol.jmap.session import MAIL, Account, MailCapability, Session
from posthouse.protocol.jmap.websocket import (
    PushDisable,
    PushEnable,
    SocketRefused,
    SocketRequest,
    parse_message,
    write_error,
    write_response,
)
from posthouse.protocol.jmap.windows import compare_results, find_window


def refused(call: Callable[[], object]) -> ErrorType:
    with pytest.raises(MethodError) as caught:
        call()
    return caught.value.kind


# -- arguments


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (GetArguments, {}),
        (GetArguments, {"accountId": None}),
        (GetArguments, {"accountId": "A1", "ids": "x"}),
        (GetArguments, {"accountId": "A1", "ids": [1]}),
        (GetArguments, {"accountId": "A1", "unknown": 1}),
        (ChangesArguments, {"accountId": "A1", "sinceState": "1", "maxChanges": 0}),
        (ChangesArguments, {"accountId": "A1"}),
        (SetArguments, {"accountId": "A1", "create": {"not an id": {}}}),
        (SetArguments, {"accountId": "A1", "create": {"id\n": {}}}),
        (SetArguments, {"accountId": "A1", "update": {"M1": []}}),
        (CopyArguments, {"accountId": "A1", "fromAccountId": "A2"}),
        (QueryArguments, {"accountId": "A1", "limit": -1}),
        (QueryArguments, {"accountId": "A1", "position": 2**53}),
        (QueryArguments, {"accountId": "A1", "sort": [{}]}),
        (QueryArguments, {"accountId": "A1", "calculateTotal": 1}),
        (QueryChangesArguments, {"accountId": "A1"}),
    ],
)
def test_what_a_method_cannot_take_is_invalid_arguments(kind: type[Arguments], arguments: Mapping[str, object]) -> None:
    assert refused(lambda: read_arguments(kind, arguments)) is ErrorType.INVALID_ARGUMENTS


def test_arguments_have_their_defaults() -> None:
    query = read_arguments(QueryArguments, {"accountId": "A1", "sort": [{"property": "size", "isAscending": False}]})
    assert (query.position, query.limit, query.calculate_total) == (0, None, False)
    assert query.sort == [Comparator("size", is_ascending=False)]
    assert read_arguments(GetArguments, {"accountId": "A1", "ids": ["?"]}).ids == ["?"]
    changes = {"accountId": "A1", "create": {"k": {}}, "update": {"M1": {}}, "destroy": ["M2"]}
    assert read_arguments(SetArguments, changes).size == 3


def test_properties_that_there_are_not() -> None:
    assert pick_properties(None, {"id", "name"}, ("id",)) == ["id"]
    assert pick_properties(["name", "name"], {"id", "name"}, ()) == ["id", "name"]
    assert refused(lambda: pick_properties(["x"], {"id"}, ())) is ErrorType.INVALID_ARGUMENTS


def test_another_state_is_a_mismatch() -> None:
    check_state(None, "5")
    check_state("5", "5")
    assert refused(lambda: check_state("4", "5")) is ErrorType.STATE_MISMATCH
    assert refused(lambda: check_state("", "5")) is ErrorType.STATE_MISMATCH


def test_filters_are_trees() -> None:
    assert read_filter(None) is None
    value = {"operator": "OR", "conditions": [{"a": 1}, {"operator": "NOT", "conditions": [{"b": 2}]}]}
    inner = FilterOperator("NOT", (FilterCondition({"b": 2}),))
    assert read_filter(value) == FilterOperator("OR", (FilterCondition({"a": 1}), inner))


@pytest.mark.parametrize(
    "value",
    [
        {"operator": "XOR", "conditions": []},
        {"operator": [], "conditions": []},
        {"operator": "AND"},
        {"operator": "AND", "conditions": {}},
        {"operator": "AND", "conditions": [1]},
        {"operator": "AND", "conditions": [], "more": 1},
    ],
)
def test_broken_filters_are_invalid_arguments(value: Mapping[str, object]) -> None:
    assert refused(lambda: read_filter(value)) is ErrorType.INVALID_ARGUMENTS


def test_filters_are_bounded() -> None:
    deep: dict[str, object] = {}
    for _ in range(40):
        deep = {"operator": "NOT", "conditions": [deep]}
    assert refused(lambda: read_filter(deep)) is ErrorType.UNSUPPORTED_FILTER
    wide = {"operator": "AND", "conditions": [{}] * 1001}
    assert refused(lambda: read_filter(wide)) is ErrorType.UNSUPPORTED_FILTER


def test_an_unknown_collation_is_an_unsupported_sort() -> None:
    check_sort([Comparator("subject", collation="i;octet")], CoreLimits().collation_algorithms)
    sort = [Comparator("subject", collation="i;x")]
    assert refused(lambda: check_sort(sort, ("i;octet",))) is ErrorType.UNSUPPORTED_SORT
    assert refused(lambda: check_sort([Comparator("subject")] * 21, ())) is ErrorType.UNSUPPORTED_SORT


def test_members_that_say_nothing_are_left_out() -> None:
    response = QueryResponse(account_id="A1", query_state="1", can_calculate_changes=True, position=0, ids=["M1"])
    assert json.loads(encode_json(response)) == {
        "accountId": "A1",
        "queryState": "1",
        "canCalculateChanges": True,
        "position": 0,
        "ids": ["M1"],
    }
    error = SetError("invalidProperties", properties=["subject"])
    changed = SetResponse(account_id="A1", old_state="1", new_state="2", not_created={"k": error})
    told = json.loads(encode_json(changed))
    assert told["notCreated"] == {"k": {"type": "invalidProperties", "properties": ["subject"]}}
    assert told["created"] is None


def test_a_refused_record_names_its_properties() -> None:
    assert invalid_properties(["a"], "no").error == SetError("invalidProperties", "no", ("a",))


# -- windows

IDS = [f"M{number}" for number in range(10)]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({}, (0, 5, 5)),
        ({"limit": 3}, (0, 3, None)),
        ({"limit": 0}, (0, 0, None)),
        ({"limit": 50}, (0, 5, 5)),
        ({"position": 8, "limit": 5}, (8, 10, None)),
        ({"position": -3, "limit": 2}, (7, 9, None)),
        ({"position": -30, "limit": 2}, (0, 2, None)),
        ({"anchor": "M4", "limit": 1, "position": 9}, (4, 5, None)),
        ({"anchor": "M4", "anchorOffset": -2, "limit": 1}, (2, 3, None)),
        ({"anchor": "M4", "anchorOffset": -20, "limit": 1}, (0, 1, None)),
        ({"anchor": "M4", "anchorOffset": 2, "limit": 1}, (6, 7, None)),
    ],
)
def test_windows_of_a_result(arguments: Mapping[str, object], found: tuple[int, int, int | None]) -> None:
    window = find_window(IDS, read_arguments(QueryArguments, {"accountId": "A1", **arguments}), 5)
    assert (window.position, window.end, window.limit) == found


def test_a_window_behind_the_end_is_empty() -> None:
    window = find_window(IDS, read_arguments(QueryArguments, {"accountId": "A1", "position": 20}), 5)
    assert IDS[window.position : window.end] == []


def test_an_anchor_that_is_not_in_the_result() -> None:
    query = read_arguments(QueryArguments, {"accountId": "A1", "anchor": "M99"})
    assert refused(lambda: find_window(IDS, query, 5)) is ErrorType.ANCHOR_NOT_FOUND


def splice(old: list[str], removed: tuple[str, ...], added: list[tuple[int, str]]) -> list[str]:
    """What a client does (RFC 8620 §5.6)."""
    left = [id_ for id_ in old if id_ not in removed]
    for index, id_ in added:
        left.insert(index, id_)
    return left


@given(st.permutations(IDS), st.permutations(IDS), st.integers(0, 10), st.integers(0, 10))
def test_a_client_gets_from_the_old_result_to_the_new(old: list[str], new: list[str], first: int, second: int) -> None:
    old, new = old[:first], new[:second]
    stays = [id_ for id_ in old if id_ in new]
    touched = set(old) ^ set(new)
    if stays != [id_ for id_ in new if id_ in old]:
        touched |= set(stays)
    delta = compare_results(new, touched)
    assert splice(old, delta.removed, [(item.index, item.id) for item in delta.added]) == new


def test_too_many_changes_of_a_result() -> None:
    assert refused(lambda: compare_results(IDS, {"M1", "M2"}, 3)) is ErrorType.TOO_MANY_CHANGES
    assert len(compare_results(IDS, {"M1", "M9"}, 4, "M5").added) == 1


# -- patches


@pytest.mark.parametrize(
    ("patch", "result"),
    [
        ({}, {"a": {"b": {"c": 1}}, "l": [1], "n": "x"}),
        ({"n": "y"}, {"a": {"b": {"c": 1}}, "l": [1], "n": "y"}),
        ({"n": None}, {"a": {"b": {"c": 1}}, "l": [1], "n": "default"}),
        ({"l": None}, {"a": {"b": {"c": 1}}, "n": "x"}),
        ({"a/b/c": None}, {"a": {"b": {}}, "l": [1], "n": "x"}),
        ({"a/b/d": None}, {"a": {"b": {"c": 1}}, "l": [1], "n": "x"}),
        ({"a/b/d": 2, "a/e": 3}, {"a": {"b": {"c": 1, "d": 2}, "e": 3}, "l": [1], "n": "x"}),
        ({"a/x~1y~0": 1}, {"a": {"b": {"c": 1}, "x/y~": 1}, "l": [1], "n": "x"}),
        ({"l": [2, 3]}, {"a": {"b": {"c": 1}}, "l": [2, 3], "n": "x"}),
    ],
)
def test_patches(patch: Mapping[str, object], result: object) -> None:
    record: dict[str, object] = {"a": {"b": {"c": 1}}, "l": [1], "n": "x"}
    assert apply_patch(record, patch, {"n": "default"}) == result
    assert record == {"a": {"b": {"c": 1}}, "l": [1], "n": "x"}


@pytest.mark.parametrize(
    "patch",
    [
        {"l/0": 2},  # inside a list
        {"x/y": 1},  # what is before the last token must be there
        {"n/y": 1},
        {"a/b": {}, "a/b/c": 2},  # one within the other
        {"a": {}, "a/b/c": 2, "a0": 1},
        {"a~": 1},
        {"a/~2": 1},
        {"a" + "/b" * 40: 1},
    ],
)
def test_patches_that_break_a_rule(patch: Mapping[str, object]) -> None:
    with pytest.raises(RecordRefused) as caught:
        apply_patch({"a": {"b": {"c": 1}}, "l": [1], "n": "x"}, patch)
    assert caught.value.error.type == "invalidPatch"


OBJECT = st.recursive(
    st.integers(0, 3), lambda inner: st.dictionaries(st.sampled_from("ab/~"), inner, max_size=3), max_leaves=8
)


def leaves(value: object, path: str = "") -> dict[str, object]:
    if not isinstance(value, dict):
        return {path: value}
    found: dict[str, object] = {}
    for key, inner in value.items():
        token = key.replace("~", "~0").replace("/", "~1")
        found |= leaves(inner, f"{path}/{token}" if path else token)
    return found


@given(st.dictionaries(st.sampled_from("ab/~"), OBJECT, max_size=3))
def test_a_patch_of_every_leaf_sets_every_leaf(record: dict[str, object]) -> None:
    before = json.dumps(record)
    patch = dict.fromkeys(leaves(record), 9) if record else {}
    assert set(leaves(apply_patch(record, patch)).values()) <= {9}
    assert json.dumps(record) == before


# -- creates that refer to each other


def order(**parents: str | None) -> tuple[list[str], list[str]]:
    def refer(record: dict[str, object]) -> str | None:
        parent = record["parentId"]
        return parent if isinstance(parent, str) else None

    records: dict[str, dict[str, object]] = {name: {"parentId": parent} for name, parent in parents.items()}
    return order_creates(records, refer)


def test_a_parent_is_created_before_its_child() -> None:
    assert order(a="#b", b="#c", c="F1", d=None) == (["c", "b", "a", "d"], [])
    assert order(a="#elsewhere", b="#a") == (["a", "b"], [])


def test_parents_in_a_circle_are_not_created() -> None:
    ordered, circling = order(a="#b", b="#a", c="#a", d="#d", e=None)
    assert ordered == ["e"] and set(circling) == {"a", "b", "c", "d"}


@given(st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(["#a", "#b", "#c", "#f", None, "x"])))
def test_every_create_has_its_place(parents: dict[str, str | None]) -> None:
    ordered, circling = order(**parents)
    assert sorted(ordered + circling) == sorted(parents)
    for place, name in enumerate(ordered):
        parent = (parents[name] or "")[1:]
        assert parent not in parents or parent in ordered[:place]


# -- dates and ids


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("1970-01-01T00:00:00Z", 0.0),
        ("2014-10-30T06:12:00Z", 1414649520.0),
        ("2014-10-30T14:12:00+08:00", 1414649520.0),
        ("2014-10-30T06:12:00.25Z", 1414649520.25),
        ("2014-10-30t06:12:00Z", None),
        ("2014-10-30T06:12:00z", None),
        ("2014-10-30T06:12:00.0Z", None),
        ("2014-10-30T06:12:00", None),
        ("2014-02-30T06:12:00Z", None),
        ("2014-10-30T25:12:00Z", None),
        ("2014-10-30T06:12:00+24:00", None),
        ("2014-10-30", None),
    ],
)
def test_dates(text: str, instant: float | None) -> None:
    assert read_date(text) == instant


def test_a_utc_date_ends_in_z() -> None:
    assert read_utc_date("2014-10-30T14:12:00+08:00") is None
    assert write_utc_date(1414649520.9) == "2014-10-30T06:12:00Z"
    assert write_date(1414649520, 480) == "2014-10-30T14:12:00+08:00"
    assert write_date(1e20, 0).startswith("9999")


@given(st.integers(0, 2**34), st.integers(-1439, 1439))
def test_a_date_is_read_as_it_was_written(instant: int, zone: int) -> None:
    assert read_zoned_date(write_date(instant, zone)) == (instant, zone)


def test_ids() -> None:
    assert resolve_id("#k", {"k": "M1"}) == "M1"
    assert resolve_id("#k", {}) is None
    assert resolve_id("M1", {}) == "M1"


def test_object_ids_are_those_of_imap() -> None:
    assert name_email(AccountId(3), EmailId(7)) == "M3-7"
    assert find_mailbox(AccountId(3), name_mailbox(AccountId(3), MailboxId(7))) == 7
    assert find_email(AccountId(3), "M3-7") == 7 and find_thread(AccountId(3), "T3-7") == 7
    assert find_email(AccountId(4), "M3-7") is None and find_thread(AccountId(3), "M3-7") is None
    for text in ("F4-7", "F3-07", "F3", "M3-7", "", "F3-7 "):
        assert find_mailbox(AccountId(3), text) is None


# -- session


def make_session(name: str) -> Session:
    account = Account(name, is_personal=True, is_read_only=False, account_capabilities={MAIL: MailCapability()})
    capabilities: dict[str, object] = {CORE: CoreLimits(), MAIL: {}}
    return Session(capabilities, {"A1": account}, {MAIL: "A1"}, name, "/api", "/down", "/up", "/events")


def test_a_session_has_what_the_rfc_asks_for() -> None:
    """RFC 8620 §2."""
    told = json.loads(make_session("ann@example.org").as_json())
    assert set(told) == {
        "capabilities",
        "accounts",
        "primaryAccounts",
        "username",
        "apiUrl",
        "downloadUrl",
        "uploadUrl",
        "eventSourceUrl",
        "state",
    }
    assert told["capabilities"][CORE]["maxCallsInRequest"] == 64
    assert told["accounts"]["A1"]["accountCapabilities"][MAIL]["maxMailboxesPerEmail"] is None
    assert set(told["accounts"]["A1"]) == {"name", "isPersonal", "isReadOnly", "accountCapabilities"}


def test_the_state_of_a_session_follows_what_is_in_it() -> None:
    assert make_session("ann").with_state() == make_session("ann").with_state().with_state()
    assert make_session("ann").with_state().state != make_session("bob").with_state().state


# -- push


def test_state_changes() -> None:
    """RFC 8620 §7.1."""
    change = StateChange({"a456": {"Email": "d35ecb040aab", "Thread": "0"}, "a123": {"Mailbox": "1"}})
    assert json.loads(change.as_json())["@type"] == "StateChange"
    assert "pushState" not in json.loads(change.as_json())
    assert change.only(None) is change
    assert change.only({"Email"}) == StateChange({"a456": {"Email": "d35ecb040aab"}})
    assert change.only({"Identity"}) is None


def test_a_verification_is_an_object_of_its_type() -> None:
    assert json.loads(PushVerification("P43", "da1f097b11ca17f06424e30bf02bfa67").as_json()) == {
        "@type": "PushVerification",
        "pushSubscriptionId": "P43",
        "verificationCode": "da1f097b11ca17f06424e30bf02bfa67",
    }


@pytest.mark.parametrize(
    ("record", "properties"),
    [
        ({"url": "https://a.example/"}, ["deviceClientId"]),
        ({"deviceClientId": "x", "url": "http://a.example/"}, ["url"]),
        ({"deviceClientId": "x", "url": "https://a.example/\r\n"}, ["url"]),
        ({"deviceClientId": "x", "url": "https://a.example/", "verificationCode": "1"}, ["verificationCode"]),
        ({"deviceClientId": "x", "url": "https://a.example/", "more": 1}, ["more"]),
        ({"deviceClientId": "x", "url": "https://a.example/", "keys": {"auth": "x"}}, ["keys"]),
        ({"deviceClientId": "", "url": "https://a.example/"}, ["deviceClientId"]),
    ],
)
def test_subscriptions_that_cannot_be(record: Mapping[str, object], properties: list[str]) -> None:
    with pytest.raises(RecordRefused) as caught:
        read_subscription(record)
    assert caught.value.error.type == "invalidProperties"
    assert list(caught.value.error.properties or ()) == properties


def test_a_subscription() -> None:
    """RFC 8620 §7.2.3."""
    new = read_subscription(
        {"deviceClientId": "a889-ffea-910", "url": "https://example.com/push/?device=X", "types": None}
    )
    assert (new.device_client_id, new.types) == ("a889-ffea-910", None)


def test_what_a_stream_is_asked_for() -> None:
    wish = read_stream_wish({"types": "Email,Mailbox", "closeafter": "state", "ping": "300"})
    assert wish == StreamWish(frozenset({"Email", "Mailbox"}), True, 300)
    assert read_stream_wish({}).types is None
    assert read_stream_wish({"ping": "1"}).ping == 30


@pytest.mark.parametrize(
    "query", [{"ping": "x"}, {"ping": "-1"}, {"closeafter": "x"}, {"types": "a,,b"}, {"types": ""}]
)
def test_a_stream_that_cannot_be(query: Mapping[str, str]) -> None:
    with pytest.raises(RequestRefused) as caught:
        read_stream_wish(query)
    assert caught.value.problem.status == 400


def test_events_are_framed() -> None:
    event = write_state_event(StateChange({"A1": {"Email": "a\nb"}}), "7")
    assert event.startswith(b"id: 7\nevent: state\ndata: {") and event.endswith(b"}\n\n")
    assert event.count(b"\n") == 4
    assert write_ping_event(300) == b'event: ping\ndata: {"interval":300}\n\n'


# -- websocket


def test_messages_of_a_socket() -> None:
    """RFC 8887 §4.3."""
    known = {CORE}
    octets = b'{"@type": "Request", "id": "R1", "using": ["%b"], "methodCalls": []}' % CORE.encode()
    message = parse_message(octets, known)
    assert isinstance(message, SocketRequest) and message.id == "R1"
    enable = parse_message(b'{"@type": "WebSocketPushEnable", "dataTypes": ["Email"], "pushState": "aaa"}', known)
    assert enable == PushEnable(frozenset({"Email"}), "aaa")
    assert parse_message(b'{"@type": "WebSocketPushEnable", "dataTypes": null}', known) == PushEnable(None, None)
    assert parse_message(b'{"@type": "WebSocketPushDisable"}', known) == PushDisable()


@pytest.mark.parametrize(
    ("octets", "kind", "request_id"),
    [
        (b"The quick brown fox jumps over the lazy dog.", "notJSON", None),
        (b"[]", "notRequest", None),
        (b'{"@type": "Foo"}', "notRequest", None),
        (b'{"@type": ["Request"]}', "notRequest", None),
        (b'{"@type": "Request", "id": "R2", "using": []}', "notRequest", "R2"),
        (b'{"@type": "Request", "id": "R2", "using": ["x"], "methodCalls": []}', "unknownCapability", "R2"),
        (b'{"@type": "WebSocketPushEnable", "dataTypes": "x"}', "notRequest", None),
    ],
)
def test_a_message_that_is_wrong_is_told(octets: bytes, kind: str, request_id: str | None) -> None:
    with pytest.raises(SocketRefused) as caught:
        parse_message(octets, {CORE})
    told = json.loads(write_error(caught.value.problem, caught.value.request_id))
    assert told["@type"] == "RequestError"
    assert told["type"] == f"urn:ietf:params:jmap:error:{kind}"
    assert told.get("requestId") == request_id


def test_a_response_names_its_request() -> None:
    told = json.loads(write_response(Response([("Core/echo", {"a": 1}, "b")], "s"), "R1"))
    assert told == {
        "@type": "Response",
        "requestId": "R1",
        "methodResponses": [["Core/echo", {"a": 1}, "b"]],
        "sessionState": "s",
    }


# -- blobs


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("image/PNG", "image/png"),
        ("text/html; charset=utf-8", "text/html"),
        ("", "application/octet-stream"),
        ("text", "application/octet-stream"),
        ("text/html\r\nX: y", "application/octet-stream"),
        ("a/b/c", "application/octet-stream"),
    ],
)
def test_types_of_downloads(text: str, kind: str) -> None:
    assert check_media_type(text) == kind


@pytest.mark.parametrize(
    ("name", "disposition"),
    [
        ("a b.txt", 'attachment; filename="a b.txt"'),
        ('../a"\r\nX: y', 'attachment; filename="_a_X: y"'),
        ("", 'attachment; filename="file"'),
        ("é.txt", "attachment; filename=\"_.txt\"; filename*=UTF-8''%C3%A9.txt"),
    ],
)
def test_names_of_downloads(name: str, disposition: str) -> None:
    assert write_disposition(name) == disposition


def test_an_upload_is_answered() -> None:
    """RFC 8620 §6.1."""
    told = json.loads(encode_json(UploadResponse("A1", "U7", "image/png", 3)))
    assert told == {"accountId": "A1", "blobId": "U7", "type": "image/png", "size": 3}
