"""One part of a message over one channel: fallbacks, kept connections, and what is finished here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from posthouse.message.boxes import Box
from posthouse.message.outcome import Deferred, Delivered, Outcome, Refused
from posthouse.message.reply import Reply
from posthouse.mta.carrier import DISCARDED, Carrier, Channel
from posthouse.mta.outbound import TlsPolicy
from posthouse.mta.planner import Job, Part
from posthouse.mta.targets import (
    Destination,
    Discarded,
    MaildirBox,
    Rejected,
    SiteHost,
    SiteKey,
    SmtpSite,
    Unroutable,
)
from posthouse.ports.spool import QueuedMessage, QueuedRecipient
from posthouse.ports.stream import Endpoint, ScriptedDialer, ScriptedStream, StreamError, scripted
from tests.mta.outbound_kit import GO, GREETING, LABEL, MX1, MX2, OK, TEXT, TRACE, hello, mail, make_connector, message
from tests.mta.outbound_kit import rcpt as to

SITE = SmtpSite(SiteKey("mx:mx1.example"), (SiteHost(0, "mx1.example", 25),), tls=TlsPolicy.OFF)
OTHER = replace(SITE, key=SiteKey("mx:mx2.example"), hosts=(SiteHost(0, "mx2.example", 25),))
REFUSED = StreamError("connect", "refused")
ONE_MESSAGE = [(mail() + to("r1") + b"DATA\r\n", OK + OK + GO), (TRACE + TEXT + b".\r\n", OK)]


@dataclass
class FakeHosts:
    """Endpoints by site key; a site without any has the outcome in `failures`."""

    failures: dict[str, Deferred | Refused] = field(default_factory=dict)

    async def endpoints(self, site: SmtpSite) -> list[Endpoint] | Refused | Deferred:
        failure = self.failures.get(site.key)
        return failure if failure is not None else [MX1 if site.hosts[0].name == "mx1.example" else MX2]


@dataclass
class FakeMailboxes:
    boxes: list[tuple[str, Box]] = field(default_factory=list)

    async def deliver(self, message: QueuedMessage, boxes: Sequence[tuple[QueuedRecipient, Box]]) -> list[Outcome]:
        self.boxes += [(str(one.recipient.address), box) for one, box in boxes]
        return [Delivered(Reply(250)) for _ in boxes]


@dataclass
class Way:
    """A channel over scripted peers, and how often it was told that a host greeted it."""

    channel: Channel
    dialer: ScriptedDialer
    mailboxes: FakeMailboxes
    opened: list[str]


def make_way(*peers: ScriptedStream | StreamError, hosts: FakeHosts | None = None, max_messages: int = 100_000) -> Way:
    connector, dialer = make_connector(*peers)
    mailboxes, opened = FakeMailboxes(), list[str]()
    carrier = Carrier(connector, hosts or FakeHosts(), mailboxes, max_messages=max_messages)
    return Way(carrier.make_channel(lambda: opened.append("opened")), dialer, mailboxes, opened)


def part_for(destination: Destination) -> Part:
    queued = message()
    return Part(Job(queued, SiteKey("site"), destination, queued.recipients, "flow"), queued.recipients)


def server(*steps: tuple[bytes, bytes]) -> ScriptedStream:
    return scripted(GREETING, [hello("PIPELINING"), *steps])


async def test_a_message_goes_to_its_site_and_the_connection_is_kept() -> None:
    way = make_way(server(*ONE_MESSAGE, *ONE_MESSAGE))
    for _ in range(2):
        (result,) = await way.channel.carry(part_for(SITE))
        assert result == Delivered(Reply(250, "2.0.0", "ok"), LABEL, relayed=True)
    assert way.dialer.dialed == [MX1]
    assert way.opened == ["opened"]
    assert way.channel.is_usable


async def test_the_next_entry_of_the_route_is_tried_when_no_host_can_be_reached() -> None:
    way = make_way(REFUSED, server(*ONE_MESSAGE))
    (result,) = await way.channel.carry(part_for(replace(SITE, fallback=OTHER)))
    assert isinstance(result, Delivered)
    assert way.channel.failure is None
    assert way.dialer.dialed == [MX1, MX2]


async def test_a_refusal_by_the_first_entry_is_final() -> None:
    refusing = server((mail() + to("r1") + b"DATA\r\n", OK + b"550 5.1.1 no\r\n554 no\r\n"))
    way = make_way(refusing)
    (result,) = await way.channel.carry(part_for(replace(SITE, fallback=OTHER)))
    assert isinstance(result, Refused)
    assert way.dialer.dialed == [MX1]


async def test_a_fallback_may_be_a_mailbox_here() -> None:
    way = make_way(REFUSED)
    (result,) = await way.channel.carry(part_for(replace(SITE, fallback=MaildirBox("/mail", "/mail/r1"))))
    assert isinstance(result, Delivered)
    assert way.mailboxes.boxes == [("r1@b.example", MaildirBox("/mail", "/mail/r1"))]


async def test_no_way_at_all_is_a_failure_of_the_site() -> None:
    way = make_way(REFUSED)
    (result,) = await way.channel.carry(part_for(SITE))
    assert isinstance(result, Deferred)
    assert result.site_failed
    assert way.channel.failure is not None
    assert way.opened == []


async def test_what_dns_says_of_the_hosts_is_the_outcome() -> None:
    refused = Refused(Reply(556, "5.1.10", "null MX"))
    way = make_way(hosts=FakeHosts({SITE.key: refused}))
    assert await way.channel.carry(part_for(SITE)) == [refused]


async def test_a_kept_connection_that_died_is_replaced_and_nothing_is_lost() -> None:
    first = server(*ONE_MESSAGE)  # then it says nothing more: the peer has closed
    way = make_way(first, server(*ONE_MESSAGE))
    for _ in range(2):
        (result,) = await way.channel.carry(part_for(SITE))
        assert isinstance(result, Delivered)
    assert way.dialer.dialed == [MX1, MX1]


async def test_another_destination_of_the_same_slot_gets_its_own_connection() -> None:
    way = make_way(server(*ONE_MESSAGE, (b"QUIT\r\n", b"221 bye\r\n")), server(*ONE_MESSAGE))
    await way.channel.carry(part_for(SITE))
    await way.channel.carry(part_for(OTHER))
    assert way.dialer.dialed == [MX1, MX2]


async def test_what_needs_no_host_is_answered_here() -> None:
    way = make_way()
    assert await way.channel.carry(part_for(Discarded())) == [DISCARDED]
    assert await way.channel.carry(part_for(Rejected(Reply(550, "5.7.1", "no")))) == [
        Refused(Reply(550, "5.7.1", "no"))
    ]
    outcome = Deferred(Reply(451, "4.4.3", "dns"))
    assert await way.channel.carry(part_for(Unroutable(outcome))) == [outcome]


async def test_a_retired_channel_takes_nothing_more() -> None:
    way = make_way(server(*ONE_MESSAGE))
    await way.channel.carry(part_for(SITE))
    way.channel.retire()
    assert not way.channel.is_usable


async def test_the_last_message_that_a_connection_may_carry_takes_quit_along() -> None:
    last = [(mail() + to("r1") + b"DATA\r\n", OK + OK + GO), (TRACE + TEXT + b".\r\nQUIT\r\n", OK + b"221 bye\r\n")]
    way = make_way(server(*ONE_MESSAGE, *last), max_messages=2)
    await way.channel.carry(part_for(SITE))
    assert way.channel.is_usable
    (result,) = await way.channel.carry(part_for(SITE))
    assert isinstance(result, Delivered)
    assert not way.channel.is_usable
