"""Our resolver against a validating unbound that asks an authoritative nsd, on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import dns.dnssec
import dns.dnssectypes
import dns.rdataset
import dns.zone
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from posthouse.adapters.dns.resolver import DnsResolver, DnsSettings
from posthouse.adapters.dns.transport import Server
from posthouse.ports.clock import FakeClock
from posthouse.ports.resolver import DnsTemporaryError, MxRecord, NameNotFound

pytestmark = pytest.mark.interop

RECORDS = """\
@ 300 IN SOA ns.{zone}. admin.{zone}. 1 3600 600 86400 60
@ 300 IN NS ns.{zone}.
ns 300 IN A 127.0.0.1
@ 300 IN MX 10 mx1.{zone}.
@ 300 IN MX 20 mx2.{zone}.
mx1 300 IN A 192.0.2.1
mx1 300 IN AAAA 2001:db8::1
mx2 300 IN AAAA 2001:db8::2
null 300 IN MX 0 .
alias 300 IN CNAME mx1.{zone}.
away 300 IN CNAME host.other.test.
lost 300 IN CNAME nothing.{zone}.
"""
MANY = "".join(f"many 300 IN A 198.51.{number // 250}.{number % 250}\n" for number in range(400))
ZONES = ("plain.test", "signed.test", "bogus.test", "other.test")


def free_port() -> int:
    """A port that is free for UDP and TCP."""
    while True:
        with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            port: int = tcp.getsockname()[1]
            with contextlib.suppress(OSError):
                udp.bind(("127.0.0.1", port))
                return port


def make_zone(name: str) -> tuple[str, str]:
    """The text of a zone, and its trust anchor when it is signed. The bogus one is changed after signing."""
    text = RECORDS.format(zone=name) + MANY + "host 300 IN A 192.0.2.77\n"
    if name not in ("signed.test", "bogus.test"):
        return text, ""
    zone = dns.zone.from_text(text, origin=name, relativize=False)
    key = ec.generate_private_key(ec.SECP256R1())
    public = dns.dnssec.make_dnskey(key.public_key(), dns.dnssectypes.Algorithm.ECDSAP256SHA256, flags=257)
    dns.dnssec.sign_zone(zone, keys=[(key, public)], lifetime=86400, add_dnskey=True)
    if name == "bogus.test":
        forged = dns.rdataset.from_text("IN", "A", 300, "203.0.113.66")
        zone.replace_rdataset(f"mx1.{name}.", forged)
    return zone.to_text(relativize=False), f"{name}. IN DNSKEY {public.to_text()}"


def write_nsd(directory: Path, port: int) -> list[str]:
    """Its configuration and zone files; gives the trust anchors."""
    anchors = []
    words = [
        f'server:\n ip-address: 127.0.0.1@{port}\n username: ""\n chroot: ""\n pidfile: "{directory}/nsd.pid"\n',
        f' zonesdir: "{directory}"\n database: ""\n zonelistfile: "{directory}/zone.list"\n server-count: 1\n',
        " rrl-ratelimit: 0\n",
        f' xfrdfile: "{directory}/xfrd.state"\n xfrdir: "{directory}"\nremote-control:\n control-enable: no\n',
    ]
    for name in ZONES:
        text, anchor = make_zone(name)
        (directory / name).write_text(text)
        words.append(f'zone:\n name: "{name}"\n zonefile: "{name}"\n')
        anchors += [anchor] if anchor else []
    (directory / "nsd.conf").write_text("".join(words))
    return anchors


def write_unbound(directory: Path, port: int, nsd_port: int, anchors: list[str]) -> None:
    words = [
        f'server:\n interface: 127.0.0.1@{port}\n port: {port}\n username: ""\n chroot: ""\n',
        f' directory: "{directory}"\n',
        f' pidfile: "{directory}/unbound.pid"\n do-daemonize: no\n use-syslog: no\n logfile: ""\n num-threads: 1\n',
        " do-not-query-localhost: no\n access-control: 127.0.0.0/8 allow\n do-ip6: no\n",
        ' module-config: "validator iterator"\n local-zone: "test." nodefault\n',
        *(f' trust-anchor: "{anchor}"\n' for anchor in anchors),
        "remote-control:\n control-enable: no\n",
        *(f'stub-zone:\n name: "{name}"\n stub-addr: 127.0.0.1@{nsd_port}\n' for name in ZONES),
        f'stub-zone:\n name: "dead.test"\n stub-addr: 127.0.0.1@{free_port()}\n',
    ]
    (directory / "unbound.conf").write_text("".join(words))


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        assert process.poll() is None, "the name server ended"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError("the name server did not start")


@contextlib.contextmanager
def running(command: list[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port, process)
        yield
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def unbound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    directory = tmp_path_factory.mktemp("dns")
    nsd_port, port = free_port(), free_port()
    anchors = write_nsd(directory, nsd_port)
    write_unbound(directory, port, nsd_port, anchors)
    with (
        running(["nsd", "-d", "-c", f"{directory}/nsd.conf"], nsd_port),
        running(["unbound", "-d", "-c", f"{directory}/unbound.conf"], port),
    ):
        yield port


@pytest.fixture
def resolver(unbound: int) -> DnsResolver:
    return DnsResolver([Server("127.0.0.1", unbound, is_trusted=True)], FakeClock(), DnsSettings(timeout_s=5))


async def test_mx_and_addresses(resolver: DnsResolver) -> None:
    answer = await resolver.find_mx("plain.test")
    assert set(answer.records) == {MxRecord(10, "mx1.plain.test"), MxRecord(20, "mx2.plain.test")}
    assert 0 < answer.ttl_s <= 300
    assert (await resolver.find_ipv4("mx1.plain.test")).addresses == ("192.0.2.1",)
    assert (await resolver.find_ipv4("mx2.plain.test")).addresses == ()
    assert (await resolver.find_ipv6("mx2.plain.test")).addresses == ("2001:db8::2",)


async def test_a_null_mx(resolver: DnsResolver) -> None:
    assert (await resolver.find_mx("null.plain.test")).records == (MxRecord(0, ""),)


async def test_aliases_also_into_another_zone(resolver: DnsResolver) -> None:
    assert (await resolver.find_ipv4("alias.plain.test")).addresses == ("192.0.2.1",)
    assert (await resolver.find_ipv4("away.plain.test")).addresses == ("192.0.2.77",)
    with pytest.raises(NameNotFound):
        await resolver.find_ipv4("lost.plain.test")


async def test_a_name_that_does_not_exist(resolver: DnsResolver) -> None:
    with pytest.raises(NameNotFound):
        await resolver.find_mx("missing.plain.test")


async def test_400_addresses_come_by_tcp(resolver: DnsResolver) -> None:
    assert len((await resolver.find_ipv4("many.plain.test")).addresses) == 400


async def test_a_signed_zone_is_authenticated_a_plain_one_is_not(resolver: DnsResolver) -> None:
    assert (await resolver.find_mx("signed.test")).authenticated
    assert (await resolver.find_ipv6("mx2.signed.test")).authenticated
    assert not (await resolver.find_mx("plain.test")).authenticated


async def test_an_unsigned_end_of_a_signed_alias_is_not_authenticated(resolver: DnsResolver) -> None:
    assert not (await resolver.find_ipv4("away.signed.test")).authenticated


async def test_a_bogus_answer_is_a_temporary_error(resolver: DnsResolver) -> None:
    with pytest.raises(DnsTemporaryError, match="SERVFAIL"):
        await resolver.find_ipv4("mx1.bogus.test")
    assert (await resolver.find_ipv6("mx1.bogus.test")).authenticated


async def test_a_zone_whose_servers_are_dead_is_a_temporary_error(unbound: int) -> None:
    resolver = DnsResolver([Server("127.0.0.1", unbound)], FakeClock(), DnsSettings(total_s=1))
    with pytest.raises(DnsTemporaryError):
        await resolver.find_mx("dead.test")


async def test_many_questions_at_once(resolver: DnsResolver) -> None:
    names = [f"n{number}.plain.test" for number in range(300)]
    answers = await asyncio.gather(*(resolver.find_mx(name) for name in names), return_exceptions=True)
    assert [answer for answer in answers if not isinstance(answer, NameNotFound)] == []


async def test_nsd_alone_answers_for_its_zone_and_refuses_others(tmp_path: Path) -> None:
    port = free_port()
    write_nsd(tmp_path, port)
    with running(["nsd", "-d", "-c", f"{tmp_path}/nsd.conf"], port):
        resolver = DnsResolver([Server("127.0.0.1", port)], FakeClock(), DnsSettings(timeout_s=5))
        assert len((await resolver.find_mx("plain.test")).records) == 2
        with pytest.raises(DnsTemporaryError, match="REFUSED"):
            await resolver.find_mx("elsewhere.example")
