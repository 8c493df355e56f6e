"""Routing by a real authoritative server (NSD): every answer that a domain may give."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.interop.lab import DNS_HOST, NETWORK4, Lab, Posthouse

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

REFUSES = f"{NETWORK4}.{DNS_HOST}"  # a host without a mail server: connection refused
NOBODY = f"{NETWORK4}.99"  # no host at all
TEXT = "From: a@ph.test\r\nSubject: hello\r\n\r\ntext\r\n"

ZONES = {
    "ph.test": "@ MX 10 mx\nmx A 10.77.0.20\nmx AAAA fd77::20\n",
    "far.test": f"""
@ MX 10 mx
mx A 10.77.0.21
mx6 AAAA fd77::21
refuses A {REFUSES}
nobody A {NOBODY}
broken6 A 10.77.0.21
broken6 AAAA fd77::99
second MX 10 refuses
second MX 20 mx
silent MX 10 nobody
silent MX 20 mx
implicit A 10.77.0.21
six MX 10 mx6
mixed MX 10 broken6
alias CNAME second
cname-host CNAME mx
via-cname MX 10 cname-host
null MX 0 .
loop MX 10 mx.ph.test.
dead MX 10 refuses
nowhere MX 10 no-such-host
""",
}
ARRIVING = (
    "far.test",
    *(f"{name}.far.test" for name in ("second", "silent", "implicit", "six", "mixed", "alias", "via-cname")),
)


@dataclass
class World:
    near: Posthouse
    far: Posthouse


@pytest.fixture(scope="module")
def world(lab: Lab) -> World:
    lab.start_dns(ZONES, broken=["broken.test"])
    hosts = [lab.add_host(name, number=20 + place) for place, name in enumerate(("near", "far"))]
    near = Posthouse(lab, hosts[0], "mx.ph.test", ["ph.test"])
    return World(near, Posthouse(lab, hosts[1], "mx.far.test", ARRIVING))


def send(world: World, domain: str) -> None:
    world.near.submit(f"{domain}@ph.test", [f"b@{domain}"], TEXT)


@pytest.mark.parametrize(
    "domain",
    ARRIVING,
    ids=[
        "an MX",
        "the first MX refuses connections",
        "the first MX does not answer",
        "no MX but an address",
        "an MX with only an IPv6 address",
        "an MX whose IPv6 does not work",
        "a CNAME as the domain",
        "a CNAME as the MX host",
    ],
)
def test_mail_arrives(world: World, domain: str) -> None:
    send(world, domain)
    assert world.far.wait_mail(f"b@{domain}", timeout=45)


@pytest.mark.parametrize(
    ("domain", "code"),
    [("null.far.test", "5.1.10"), ("no-such-domain.far.test", "5.1.2"), ("loop.far.test", "5.4.6")],
    ids=["a null MX", "a domain that does not exist", "an MX that is we ourselves"],
)
def test_mail_comes_back(world: World, domain: str, code: str) -> None:
    send(world, domain)
    report = world.near.wait_mail(f"{domain}@ph.test")[0].as_string()
    assert f"Status: {code}" in report


@pytest.mark.parametrize("domain", ["broken.test", "dead.far.test"], ids=["SERVFAIL", "every MX refuses"])
def test_mail_waits(world: World, domain: str) -> None:
    send(world, domain)
    row = world.near.wait_deferred(domain)
    assert row["status"] == "deferred"
    assert not world.near.list_mail(f"{domain}@ph.test")


def test_mail_waits_while_no_dns_server_answers(lab: Lab, world: World) -> None:
    deaf = Posthouse(lab, lab.add_host("deaf"), "mx.deaf.test", dns=[f"{NOBODY}:53"])
    deaf.submit("a@ph.test", ["b@far.test"], TEXT)
    assert deaf.wait_deferred("far.test", timeout=45)["status"] == "deferred"


def test_the_second_dns_server_is_asked_where_the_first_is_silent(lab: Lab, world: World) -> None:
    patient = Posthouse(lab, lab.add_host("patient"), "mx.patient.test", dns=[f"{NOBODY}:53", f"{REFUSES}:53"])
    patient.submit("a@ph.test", ["patient@far.test"], TEXT)
    assert world.far.wait_mail("patient@far.test", timeout=45)
