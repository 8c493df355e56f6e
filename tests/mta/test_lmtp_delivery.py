"""LMTP in: every recipient its own reply after its delivery, nothing local queued, no bounce."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from posthouse.message.address import Address, parse_address
from posthouse.message.boxes import Box
from posthouse.message.outcome import Deferred, Delivered, Outcome, Refused
from posthouse.message.reply import Reply
from posthouse.mta.lmtp_delivery import LmtpDelivery
from posthouse.mta.outcomes import OutcomeFigures, OutcomeNotes
from posthouse.mta.targets import Destination, MaildirBox, Rejected, SiteHost, SiteKey, SmtpSite
from posthouse.ports.directory import FakeDirectory
from posthouse.ports.observe import FakeFigure
from posthouse.ports.spool import QueuedMessage, QueuedRecipient, Status
from tests.mta.inbound_kit import Client, Desktop

ELSEWHERE = SmtpSite(SiteKey("smtp://10.0.0.5:25"), (SiteHost(0, "10.0.0.5", 25),))


class FakeRoutes:
    def route_now(self, address: Address) -> Destination | None:
        return None

    async def route(self, address: Address) -> Destination:
        if address.local == "forwarded":
            return ELSEWHERE
        if address.local == "rejected":
            return Rejected(Reply(550, "5.7.1", "Not here"))
        return MaildirBox("/mail", f"/mail/{address.local}")


@dataclass
class FakeMailboxes:
    delivered: list[str] = field(default_factory=list)

    async def deliver(self, message: QueuedMessage, boxes: Sequence[tuple[QueuedRecipient, Box]]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for one, box in boxes:
            if one.recipient.address.local == "full":
                outcomes.append(Deferred(Reply(452, "4.2.2", "Mailbox full")))
            elif one.recipient.address.local == "gone":
                outcomes.append(Refused(Reply(550, "5.1.1", "No such user")))
            else:
                self.delivered.append(box.path if isinstance(box, MaildirBox) else str(one.recipient.address))
                outcomes.append(Delivered(Reply(250, "2.0.0", "Delivered")))
        return outcomes


def open_lmtp() -> tuple[Client, Desktop, FakeMailboxes]:
    desktop, mailboxes = Desktop(), FakeMailboxes()
    figures = OutcomeFigures(*(FakeFigure() for _ in range(6)))
    notes = OutcomeNotes(desktop.journal, desktop.log, figures)
    desktop.desk.mailboxes = LmtpDelivery(FakeRoutes(), mailboxes, desktop.onward, notes, desktop.clock)
    return desktop.connect(""), desktop, mailboxes


async def send(client: Client, *locals_: str, body: str = "Subject: x\r\n\r\nhello\r\n") -> list[str]:
    await client.say("LHLO client.example")
    await client.say("MAIL FROM:<a@else.example>")
    for local in locals_:
        assert (await client.say(f"RCPT TO:<{local}@far.example>"))[0].startswith("250")
    await client.say("DATA")
    return await client.say(f"{body}.\r\n")


async def test_each_recipient_has_its_own_reply_in_order() -> None:
    client, desktop, mailboxes = open_lmtp()
    replies = await send(client, "one", "full", "two", "gone", "rejected")
    assert [reply[:9] for reply in replies] == ["250 2.0.0", "452 4.2.2", "250 2.0.0", "550 5.1.1", "550 5.7.1"]
    assert mailboxes.delivered == ["/mail/one", "/mail/two"]
    assert desktop.spool.disk.messages == {}
    assert desktop.onward.taken == []


async def test_only_what_goes_elsewhere_is_queued() -> None:
    client, desktop, mailboxes = open_lmtp()
    replies = await send(client, "one", "forwarded")
    assert replies[0].startswith("250 2.0.0 Delivered")
    assert replies[1].startswith("250 2.0.0 Ok: queued as")
    (queued,) = desktop.onward.taken
    assert [str(each.recipient.address) for each in queued.recipients] == ["forwarded@far.example"]
    assert mailboxes.delivered == ["/mail/one"]


async def test_a_full_spool_defers_only_what_goes_elsewhere() -> None:
    client, desktop, mailboxes = open_lmtp()
    desktop.spool.full = True
    replies = await send(client, "one", "forwarded")
    assert [reply[:9] for reply in replies] == ["250 2.0.0", "452 4.3.1"]
    assert mailboxes.delivered == ["/mail/one"]


async def test_what_is_held_for_nobody_holds_up_nobody_else() -> None:
    client, desktop, _ = open_lmtp()
    await client.say("LHLO client.example")
    await client.say("MAIL FROM:<a@else.example>")
    for path in ("postmaster", "forwarded@far.example"):
        assert (await client.say(f"RCPT TO:<{path}>"))[0].startswith("250")
    await client.say("DATA")
    await client.say("Subject: x\r\n\r\nhello\r\n.\r\n")
    (queued,) = desktop.onward.taken
    assert [one.status for one in queued.recipients] == [Status.WAITING]


async def test_a_large_body_is_delivered_too_and_leaves_no_file() -> None:
    client, desktop, mailboxes = open_lmtp()
    replies = await send(client, "one", "two", body="Subject: x\r\n\r\n" + ("y" * 70 + "\r\n") * 500)
    assert all(reply.startswith("250") for reply in replies)
    assert mailboxes.delivered == ["/mail/one", "/mail/two"]
    assert desktop.spool.disk.messages == {}


async def test_a_loop_is_refused_for_every_recipient() -> None:
    client, _, mailboxes = open_lmtp()
    replies = await send(client, "one", "two", body="Received: by x\r\n" * 51 + "\r\nhello\r\n")
    assert [reply[:9] for reply in replies] == ["554 5.4.6", "554 5.4.6"]
    assert mailboxes.delivered == []


async def test_the_trace_says_lmtp() -> None:
    client, desktop, _ = open_lmtp()
    await send(client, "forwarded")
    assert b"with LMTP id" in desktop.onward.taken[0].trace


async def test_an_alias_of_several_has_one_answer_the_worst_of_theirs() -> None:
    client, desktop, mailboxes = open_lmtp()
    directory = desktop.desk.directory
    assert isinstance(directory, FakeDirectory)
    directory.aliases["team@far.example"] = [parse_address("one@far.example"), parse_address("full@far.example")]
    directory.aliases["all@far.example"] = [parse_address("one@far.example"), parse_address("two@far.example")]
    replies = await send(client, "team", "two", "all")
    assert [reply[:9] for reply in replies] == ["452 4.2.2", "250 2.0.0", "250 2.0.0"]
    assert mailboxes.delivered == ["/mail/one", "/mail/two"]


async def test_of_an_alias_only_what_is_forwarded_is_queued() -> None:
    client, desktop, mailboxes = open_lmtp()
    directory = desktop.desk.directory
    assert isinstance(directory, FakeDirectory)
    directory.aliases["both@far.example"] = [parse_address("one@far.example"), parse_address("forwarded@far.example")]
    replies = await send(client, "both")
    assert [reply[:9] for reply in replies] == ["250 2.0.0"]
    (queued,) = desktop.onward.taken
    assert [str(each.recipient.address) for each in queued.recipients] == ["forwarded@far.example"]
    assert mailboxes.delivered == ["/mail/one"]
