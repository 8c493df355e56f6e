"""JMAP requests: what is refused as a whole, and how calls follow each other with their references (RFC 8620 §3)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol.jmap.errors import ErrorType, MethodError
from posthouse.protocol.jmap.execution import Execution
from posthouse.protocol.jmap.json import NotJson, decode_json
from posthouse.protocol.jmap.limits import CORE, DEFAULT_LIMITS, CoreLimits, check_get_size, check_set_size
from posthouse.protocol.jmap.pointers import PointerFails, find_value
from posthouse.protocol.jmap.problems import ProblemType, RequestRefused
from posthouse.protocol.jmap.request import check_content_type, parse_request
from posthouse.protocol.jmap.responses import GetResponse

MAIL = "urn:ietf:params:jmap:mail"
KNOWN = {CORE, MAIL}
METHODS = {"Email/query": MAIL, "Email/get": MAIL, "Thread/get": MAIL, "Foo/get": MAIL}


def write_request(*calls: object, using: object = (CORE, MAIL), **more: object) -> bytes:
    return json.dumps({"using": using, "methodCalls": calls, **more}).encode()


def start(*calls: object, limits: CoreLimits = DEFAULT_LIMITS, **more: object) -> Execution:
    return Execution(parse_request(write_request(*calls, **more), KNOWN), METHODS, limits)


def end(execution: Execution) -> list[list[object]]:
    told = json.loads(execution.make_response("s1").as_json())
    assert told["sessionState"] == "s1"
    responses: list[list[object]] = told["methodResponses"]
    return responses


def refusal(octets: bytes, limits: CoreLimits = DEFAULT_LIMITS) -> Mapping[str, object]:
    with pytest.raises(RequestRefused) as caught:
        parse_request(octets, KNOWN, limits)
    told: Mapping[str, object] = json.loads(caught.value.problem.as_json())
    return told


# -- the whole request


@pytest.mark.parametrize(
    "octets",
    [b"", b"{", b"\xff", b'{"using": [], "using": []}', b'{"a": "\\ud800"}', b"[NaN]", b"[" * 100_000, b"[] []"],
)
def test_what_is_no_json_is_refused(octets: bytes) -> None:
    assert refusal(octets)["type"] == "urn:ietf:params:jmap:error:notJSON"


@pytest.mark.parametrize(
    "value",
    [
        [],
        {},
        {"using": []},
        {"using": [], "methodCalls": [["Foo/get", {}]]},
        {"using": [], "methodCalls": [["Foo/get", [], "c"]]},
        {"using": [], "methodCalls": [["Foo/get", {}, 1]]},
        {"using": "x", "methodCalls": []},
        {"using": [], "methodCalls": {}},
        {"using": [], "methodCalls": [], "createdIds": {"a": 1}},
    ],
)
def test_json_that_is_no_request_is_refused(value: object) -> None:
    assert refusal(json.dumps(value).encode())["type"] == "urn:ietf:params:jmap:error:notRequest"


def test_an_unknown_capability_is_refused() -> None:
    told = refusal(write_request(using=[CORE, "https://example.com/apis/foobar"]))
    assert told["type"] == "urn:ietf:params:jmap:error:unknownCapability"
    assert told["status"] == 400
    assert "https://example.com/apis/foobar" in str(told["detail"])


def test_the_limits_of_a_request_are_named() -> None:
    octets = write_request(["Foo/get", {}, "a"], ["Foo/get", {}, "b"])
    assert refusal(octets, CoreLimits(max_calls_in_request=1))["limit"] == "maxCallsInRequest"
    assert refusal(octets, CoreLimits(max_size_request=20))["limit"] == "maxSizeRequest"
    assert refusal(octets, CoreLimits(max_size_request=20))["type"] == "urn:ietf:params:jmap:error:limit"


def test_a_member_that_is_not_known_is_passed_over() -> None:
    assert parse_request(write_request(later=True), KNOWN).calls == ()


@pytest.mark.parametrize("value", ["text/plain", "", "application/jsonx"])
def test_a_request_of_another_content_type_is_not_json(value: str) -> None:
    with pytest.raises(RequestRefused) as caught:
        check_content_type(value)
    assert caught.value.problem.type is ProblemType.NOT_JSON
    check_content_type("Application/JSON; charset=utf-8")


def test_only_members_count_as_members() -> None:
    assert decode_json(b'{"a:": "b\\":", "c" : {"d": "e"}}') == {"a:": 'b":', "c": {"d": "e"}}
    with pytest.raises(NotJson):
        decode_json(b'[{"a": 1, "\\u0061": 2}]')


def test_depth_is_bounded() -> None:
    assert decode_json(b"[" * 5 + b"]" * 5, 5)
    with pytest.raises(NotJson):
        decode_json(b"[" * 6 + b"]" * 6, 5)


# -- calls in order


def test_calls_are_answered_in_their_order() -> None:
    execution = start(["Foo/get", {"a": 1}, "c1"], ["Bar/get", {}, "c2"], ["Core/echo", {"b": 2}, "c3"])
    call = execution.next_call()
    assert call is not None and (call.name, call.arguments, call.call_id) == ("Foo/get", {"a": 1}, "c1")
    execution.answer(GetResponse(account_id="A1", state="s", list=[{"id": "x"}]))
    assert execution.next_call() is None
    assert end(execution) == [
        ["Foo/get", {"accountId": "A1", "state": "s", "list": [{"id": "x"}], "notFound": []}, "c1"],
        ["error", {"type": "unknownMethod"}, "c2"],
        ["Core/echo", {"b": 2}, "c3"],
    ]


def test_a_method_of_a_capability_that_is_not_used_is_unknown() -> None:
    execution = start(["Email/get", {}, "c"], using=[CORE])
    assert execution.next_call() is None
    assert end(execution) == [["error", {"type": "unknownMethod"}, "c"]]


def test_a_failing_call_does_not_stop_the_next_one() -> None:
    execution = start(["Foo/get", {}, "a"], ["Foo/get", {}, "b"])
    execution.next_call()
    execution.refuse(MethodError(ErrorType.ACCOUNT_NOT_FOUND))
    assert execution.next_call() is not None
    execution.answer({})
    assert execution.next_call() is None
    assert end(execution) == [["error", {"type": "accountNotFound"}, "a"], ["Foo/get", {}, "b"]]


def test_one_call_may_have_several_responses() -> None:
    execution = start(["Foo/get", {}, "a"])
    execution.next_call()
    execution.answer({"n": 1})
    execution.add("Email/set", {"n": 2})
    assert end(execution) == [["Foo/get", {"n": 1}, "a"], ["Email/set", {"n": 2}, "a"]]


def test_created_ids_are_told_to_who_sent_some() -> None:
    execution = start(["Foo/get", {}, "a"], createdIds={"k1": "M1"})
    execution.created["k2"] = "M2"
    assert json.loads(execution.make_response("s").as_json())["createdIds"] == {"k1": "M1", "k2": "M2"}
    assert "createdIds" not in json.loads(start().make_response("s").as_json())


# -- references


def test_the_example_of_the_rfc_with_four_calls() -> None:
    """RFC 8620 §3.7."""
    reference = {"resultOf": "t0", "name": "Email/query", "path": "/ids"}
    execution = start(
        ["Email/query", {"accountId": "A1"}, "t0"],
        ["Email/get", {"accountId": "A1", "#ids": reference, "properties": ["threadId"]}, "t1"],
        ["Thread/get", {"#ids": {"resultOf": "t1", "name": "Email/get", "path": "/list/*/threadId"}}, "t2"],
        ["Email/get", {"#ids": {"resultOf": "t2", "name": "Thread/get", "path": "/list/*/emailIds"}}, "t3"],
    )
    execution.next_call()
    execution.answer({"ids": ["msg1023", "msg223"]})
    call = execution.next_call()
    assert call is not None
    assert call.arguments == {"accountId": "A1", "ids": ["msg1023", "msg223"], "properties": ["threadId"]}
    rows = [{"id": "msg1023", "threadId": "trd194"}, {"id": "msg223", "threadId": "trd114"}]
    execution.answer(GetResponse(account_id="A1", state="s", list=rows))
    call = execution.next_call()
    assert call is not None and call.arguments == {"ids": ["trd194", "trd114"]}
    execution.answer({"list": [{"emailIds": ["msg1020", "msg1021", "msg1023"]}, {"emailIds": ["msg201", "msg223"]}]})
    call = execution.next_call()
    assert call is not None and call.arguments == {"ids": ["msg1020", "msg1021", "msg1023", "msg201", "msg223"]}


@pytest.mark.parametrize(
    ("reference", "error"),
    [
        ({"resultOf": "zz", "name": "Foo/get", "path": ""}, "invalidResultReference"),
        ({"resultOf": "a", "name": "Bar/get", "path": ""}, "invalidResultReference"),
        ({"resultOf": "a", "name": "Foo/get", "path": "/none"}, "invalidResultReference"),
        ({"resultOf": "a", "name": "Foo/get", "path": "x"}, "invalidResultReference"),
        ({"resultOf": "b", "name": "Foo/get", "path": ""}, "invalidResultReference"),  # itself
        ({"resultOf": "a", "name": "Foo/get"}, "invalidResultReference"),
        ("a", "invalidResultReference"),
    ],
)
def test_a_reference_that_leads_nowhere(reference: object, error: str) -> None:
    execution = start(["Foo/get", {}, "a"], ["Foo/get", {"#ids": reference}, "b"])
    execution.next_call()
    execution.answer({"list": []})
    assert execution.next_call() is None
    told = end(execution)[1][1]
    assert isinstance(told, dict) and told["type"] == error


def test_an_argument_and_a_reference_for_it_are_invalid_arguments() -> None:
    reference = {"resultOf": "a", "name": "Foo/get", "path": ""}
    execution = start(["Foo/get", {"ids": [], "#ids": reference}, "b"])
    assert execution.next_call() is None
    told = end(execution)[0][1]
    assert isinstance(told, dict) and told["type"] == "invalidArguments"


def test_references_that_multiply_are_cut_off() -> None:
    """Each echo doubles the one before: without a bound 64 calls would be 2**64 times the first."""
    calls: list[object] = [["Core/echo", {"a": "x" * 100}, "0"]]
    names = [str(number) for number in range(64)]
    for before, name in pairwise(names):
        whole = {"resultOf": before, "name": "Core/echo", "path": ""}
        calls.append(["Core/echo", {"#a": whole, "#b": whole}, name])
    execution = start(*calls, limits=CoreLimits(max_size_request=10_000))
    assert execution.next_call() is None
    responses = execution.make_response("s").as_json()
    assert b"requestTooLarge" in responses and len(responses) < 50_000


def test_sizes_of_get_and_set() -> None:
    limits = CoreLimits(max_objects_in_get=2, max_objects_in_set=2)
    check_get_size(2, limits)
    check_set_size(2, limits)
    for check in (check_get_size, check_set_size):
        with pytest.raises(MethodError) as caught:
            check(3, limits)
        assert caught.value.kind is ErrorType.REQUEST_TOO_LARGE


# -- pointers

DOCUMENT: dict[str, object] = {
    "foo": ["bar", "baz"],
    "": 0,
    "a/b": 1,
    "c%d": 2,
    "e^f": 3,
    "g|h": 4,
    "i\\j": 5,
    'k"l': 6,
    " ": 7,
    "m~n": 8,
}


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("", DOCUMENT),
        ("/foo", ["bar", "baz"]),
        ("/foo/0", "bar"),
        ("/", 0),
        ("/a~1b", 1),
        ("/c%d", 2),
        ("/e^f", 3),
        ("/g|h", 4),
        ("/i\\j", 5),
        ('/k"l', 6),
        ("/ ", 7),
        ("/m~0n", 8),
    ],
)
def test_the_examples_of_json_pointers(pointer: str, value: object) -> None:
    """RFC 6901 §5."""
    assert find_value(DOCUMENT, pointer) == value


@pytest.mark.parametrize(
    "pointer", ["foo", "/foo/2", "/foo/-", "/foo/01", "/foo/-1", "/foo/x", "/x", "/foo/0/x", "/a~b"]
)
def test_pointers_that_lead_nowhere(pointer: str) -> None:
    with pytest.raises(PointerFails):
        find_value(DOCUMENT, pointer)


def test_a_star_takes_lists_apart_once() -> None:
    value = {"list": [{"ids": [1, [2]]}, {"ids": 3}, {"ids": []}]}
    assert find_value(value, "/list/*/ids") == [1, [2], 3]
    assert find_value({"*": 4}, "/*") == 4
    assert find_value([[1, 2], [3]], "/*/*") == [1, 2, 3]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("a~/*0", max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(JSON, st.data())
def test_every_place_of_a_value_has_its_pointer(value: object, data: st.DataObject) -> None:
    pointer, here = "", value
    while isinstance(here, dict | list) and here and data.draw(st.booleans()):
        key = data.draw(st.sampled_from(sorted(here) if isinstance(here, dict) else range(len(here))))
        pointer += "/" + str(key).replace("~", "~0").replace("/", "~1")
        here = here[key]
    assert find_value(value, pointer) == here


@given(st.binary(max_size=60))
def test_any_octets_are_a_request_or_refused(octets: bytes) -> None:
    with pytest.raises(RequestRefused):
        parse_request(octets, KNOWN)


@given(JSON)
def test_what_json_writes_is_read_as_it_was(value: object) -> None:
    assert decode_json(json.dumps(value).encode()) == value
