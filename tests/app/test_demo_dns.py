"""The demo's DNS server, asked by dnspython as a resolver would."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator

import dns.asyncquery
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from posthouse.app.demo_dns import DnsServer, Zones

ZONES = Zones(
    {
        "one.example": "@ MX 10 mail\nmail A 127.0.0.2\ndeep.below TXT here\nalias CNAME mail.two.example.",
        "two.example": "mail A 127.0.0.3\nbig TXT " + " ".join(f'"{"x" * 200}{number}"' for number in range(20)),
    }
)


def ask(name: str, kind: str, limit: int = 1232) -> dns.message.Message:
    wire = ZONES.answer(dns.message.make_query(name, kind).to_wire(), limit)
    assert wire is not None
    return dns.message.from_wire(wire)


def test_a_record_of_a_zone_is_answered_with_authority() -> None:
    answer = ask("ONE.example", "MX")
    assert answer.answer[0].to_text() == "ONE.example. 60 IN MX 10 mail.ONE.example."  # names as they were asked
    assert answer.flags & dns.flags.AA


def test_a_name_that_does_not_exist_is_nxdomain_with_the_soa() -> None:
    answer = ask("no.one.example", "A")
    assert answer.rcode() == dns.rcode.NXDOMAIN
    assert answer.authority[0].rdtype == dns.rdatatype.SOA


@pytest.mark.parametrize("name", ["mail.one.example", "below.one.example"], ids=["other types", "only names below"])
def test_a_name_without_that_type_is_an_empty_answer(name: str) -> None:
    answer = ask(name, "AAAA")
    assert answer.rcode() == dns.rcode.NOERROR
    assert not answer.answer


def test_an_alias_is_followed_into_another_zone() -> None:
    texts = [record.to_text() for record in ask("alias.one.example", "A").answer]
    assert texts == ["alias.one.example. 60 IN CNAME mail.two.example.", "mail.two.example. 60 IN A 127.0.0.3"]


def test_a_name_of_nobody_is_refused() -> None:
    assert ask("elsewhere.test", "A").rcode() == dns.rcode.REFUSED


def test_an_answer_that_does_not_fit_is_marked_truncated() -> None:
    answer = ask("big.two.example", "TXT")
    assert answer.flags & dns.flags.TC
    assert not answer.answer


@pytest.mark.parametrize("wire", [b"", b"\0" * 11, b"\xff" * 40], ids=["empty", "too short", "noise"])
def test_what_is_no_question_gets_no_answer(wire: bytes) -> None:
    assert ZONES.answer(wire, 512) is None


@pytest.fixture
async def port() -> AsyncIterator[int]:
    with socket.create_server(("127.0.0.4", 0)) as probe:
        free: int = probe.getsockname()[1]
    server = DnsServer(ZONES, "127.0.0.4", free)
    await server.start()
    yield free
    await server.stop()


async def test_udp_and_tcp_give_the_same_answers(port: int) -> None:
    query = dns.message.make_query("one.example", "MX")
    by_udp = await dns.asyncquery.udp(query, "127.0.0.4", 5, port)
    by_tcp = await dns.asyncquery.tcp(query, "127.0.0.4", 5, port)
    assert by_udp.answer == by_tcp.answer


async def test_what_was_truncated_comes_whole_by_tcp(port: int) -> None:
    query = dns.message.make_query("big.two.example", "TXT")
    answer, was_tcp = await dns.asyncquery.udp_with_fallback(query, "127.0.0.4", 5, port)
    assert was_tcp
    assert len(answer.answer[0][0].strings) == 20
