"""DNS messages on the wire, with dnspython as the other opinion."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.adapters.dns.wire import Type, WireError, decode_name, decode_response, encode_name, encode_query

LABEL = st.from_regex(r"[a-z0-9_]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
NAME = st.lists(LABEL, min_size=1, max_size=6).map(".".join)


@given(NAME, st.sampled_from(list(Type)), st.booleans())
def test_dnspython_reads_our_questions(name: str, kind: Type, edns: bool) -> None:
    query = dns.message.from_wire(encode_query(4711, name, kind, edns=edns))
    question = query.question[0]
    assert (query.id, question.name.to_text(), int(question.rdtype)) == (4711, name + ".", int(kind))
    assert query.flags & dns.flags.RD
    assert query.flags & dns.flags.AD
    assert (query.edns == 0) is edns
    assert query.payload == (1232 if edns else 0)


@given(
    NAME,
    st.lists(st.tuples(st.integers(0, 65535), NAME), max_size=10, unique=True),
    st.lists(st.ip_addresses(v=4), max_size=5, unique=True),
    st.lists(st.ip_addresses(v=6), max_size=5, unique=True),
)
def test_we_read_what_dnspython_writes(
    name: str, mx: list[tuple[int, str]], ipv4: list[object], ipv6: list[object]
) -> None:
    response = dns.message.make_response(dns.message.make_query(name, "MX"))
    texts = {
        "MX": [f"{preference} {host}." for preference, host in mx],
        "A": [str(address) for address in ipv4],
        "AAAA": [str(address) for address in ipv6],
    }
    for kind, values in texts.items():
        if values:
            response.answer.append(dns.rrset.from_text_list(name + ".", 77, "IN", kind, values))
    read = decode_response(response.to_wire())
    assert read.name == name
    assert sorted((r.preference, r.data) for r in read.records if r.type == Type.MX) == sorted(mx)
    assert {r.data for r in read.records if r.type == Type.A} == set(texts["A"])
    assert {r.data for r in read.records if r.type == Type.AAAA} == set(texts["AAAA"])
    assert all(record.ttl_s == 77 for record in read.records)


@given(st.binary(max_size=200))
def test_noise_is_an_error_and_nothing_else(data: bytes) -> None:
    with pytest.raises(WireError):
        decode_response(data)


@given(st.integers(0, 200), st.integers(0, 255), st.integers(1, 150))
def test_a_damaged_answer_is_read_or_refused(place: int, octet: int, length: int) -> None:
    response = dns.message.make_response(dns.message.make_query("a.test", "MX"))
    response.answer.append(dns.rrset.from_text("a.test.", 60, "IN", "MX", "10 b.test.", "20 c.test."))
    wire = bytearray(response.to_wire())
    wire[place % len(wire)] = octet
    for damaged in (bytes(wire), bytes(wire[:length])):
        try:
            decode_response(damaged)
        except WireError:
            pass


def test_the_negative_ttl_is_the_lesser_of_the_soas_two() -> None:
    response = dns.message.make_response(dns.message.make_query("a.test", "MX"))
    response.authority.append(dns.rrset.from_text("test.", 600, "IN", "SOA", "ns.test. admin.test. 1 2 3 4 60"))
    assert decode_response(response.to_wire()).negative_ttl_s == 60


def test_a_name_that_points_at_itself_is_refused() -> None:
    with pytest.raises(WireError, match="backwards"):
        decode_name(b"\x01a\xc0\x00", 0)
    with pytest.raises(WireError, match="backwards"):
        decode_name(b"\xc0\x00", 0)


def test_octets_that_are_no_letters_stay_apart_from_dots() -> None:
    assert decode_name(b"\x03a.b\x02\xc3\x84\x00", 0)[0].split(".")[0] == "a\\046b"
    assert decode_name(b"\x03a,B\x00", 0) == ("a\\044b", 5)
    assert decode_name(b"\x02\xff\x00\x00", 0) == ("\\255\\000", 4)


@pytest.mark.parametrize("name", ["a..b", "x" * 64, ".".join(["x" * 50] * 6), "bücher"])
def test_a_name_that_does_not_fit_is_refused(name: str) -> None:
    with pytest.raises(WireError):
        encode_name(name)


def test_the_root_is_the_empty_name() -> None:
    assert encode_name("") == b"\x00"
    assert decode_name(b"\x00", 0) == ("", 1)
