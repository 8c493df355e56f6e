"""Receiving, as a client sees it."""

from __future__ import annotations

import asyncio

import pytest

from posthouse.message.address import parse_address
from posthouse.ports.spool import Status
from posthouse.protocol.smtp.server import MailFrom
from tests.mta.inbound_kit import Desktop

STRANGER = "192.0.2.7"
TRUSTED = "10.1.2.3"

RELAY_TRICKS = [
    "<victim@elsewhere.example>",
    "<@mx.ours.example:victim@elsewhere.example>",
    "<@ours.example,@backup.example:victim@elsewhere.example>",
    "<victim%elsewhere.example@ours.example>",
    "<victim%elsewhere.example@backup.example>",
    "<elsewhere.example!victim@ours.example>",
    "<elsewhere.example!victim@backup.example>",
    '<"victim@elsewhere.example"@ours.example>',
    '<"victim@elsewhere.example"@backup.example>',
    '<"victim%elsewhere.example"@backup.example>',
    "<victim@[192.0.2.99]>",
    "<victim@[IPv6:2001:db8::99]>",
    "<victim@[127.0.0.1]>",
    "<victim@sub.ours.example>",
    "<victim@ours.example.elsewhere.example>",
    "<@elsewhere.example:victim%third.example@backup.example>",
    "<victim@elsewhere.example@ours.example>",
    "<ours.example>",
    '<"@elsewhere.example:victim"@backup.example>',
]


@pytest.mark.parametrize("path", RELAY_TRICKS)
async def test_a_stranger_cannot_relay_by_any_trick(path: str) -> None:
    desk = Desktop()
    client = desk.connect(STRANGER)
    await client.say("EHLO evil.example")
    await client.say("MAIL FROM:<someone@elsewhere.example>")
    (reply,) = await client.say(f"RCPT TO:{path}")
    assert reply[0] == "5"
    assert (await client.say("DATA"))[0][0] == "5"
    assert desk.onward.taken == []


@pytest.mark.parametrize("sender", ["<alice@ours.example>", "<>", "<postmaster@mx.ours.example>"])
async def test_a_sender_of_ours_does_not_make_a_stranger_trusted(sender: str) -> None:
    client = Desktop().connect(STRANGER)
    await client.say("EHLO evil.example")
    await client.say(f"MAIL FROM:{sender}")
    assert (await client.say("RCPT TO:<victim@elsewhere.example>"))[0].startswith("550 5.7.1")


async def test_a_trusted_client_may_relay_also_with_a_percent_address() -> None:
    desk = Desktop()
    client = desk.connect(TRUSTED)
    assert (await client.send("a@here.example", ["victim%x@elsewhere.example"])).startswith("250 2.0.0")
    assert len(desk.onward.taken) == 1


async def test_anyone_may_send_to_a_backup_domain_and_to_people_who_exist() -> None:
    desk = Desktop()
    reply = await desk.connect(STRANGER).send("a@else.example", ["any@backup.example", "Alice@OURS.example"])
    assert reply.startswith("250 2.0.0 Ok: queued as ")
    assert [str(each.recipient.address) for each in desk.onward.taken[0].recipients] == [
        "any@backup.example",
        "Alice@ours.example",
    ]


@pytest.mark.parametrize("address", [STRANGER, TRUSTED])
async def test_an_unknown_recipient_of_a_hosted_domain_is_550_at_rcpt(address: str) -> None:
    client = Desktop().connect(address)
    await client.say("EHLO client.example")
    await client.say("MAIL FROM:<a@else.example>")
    assert (await client.say("RCPT TO:<nobody@ours.example>"))[0].startswith("550 5.1.1")


async def test_the_message_is_on_disk_before_250_with_its_first_retry_and_received() -> None:
    desk = Desktop()
    reply = await desk.connect(STRANGER).send("a@else.example", ["bob@ours.example"])
    stored = await desk.spool.load(desk.onward.taken[0].id)
    assert stored is not None
    assert reply.endswith(stored.id)
    assert stored.trace.startswith(b"Received: from client.example (unknown [192.0.2.7])\r\n\tby mx.ours.example")
    assert b"with ESMTP id " + stored.id.encode() + b"\r\n\tfor <bob@ours.example>;" in stored.trace
    assert stored.recipients[0].next_attempt == desk.clock.now() + 300
    assert desk.journal.records[0][0] == "received"


async def test_received_names_no_recipient_when_there_are_several() -> None:
    desk = Desktop()
    await desk.connect(STRANGER).send("a@else.example", ["bob@ours.example", "alice@ours.example"])
    assert b" for <" not in desk.onward.taken[0].trace


async def test_a_message_with_too_many_received_fields_is_a_loop() -> None:
    desk = Desktop()
    body = "Received: by x\r\n" * 51 + "\r\nhello\r\n"
    assert (await desk.connect(STRANGER).send("a@e.example", ["bob@ours.example"], body)).startswith("554 5.4.6")
    assert desk.onward.taken == []


async def test_full_disk_is_452_and_the_next_message_after_it_is_taken() -> None:
    desk = Desktop()
    client = desk.connect(STRANGER)
    desk.spool.full = True
    assert (await client.send("a@e.example", ["bob@ours.example"])).startswith("452 4.3.1")
    desk.spool.full = False
    assert (await client.send("a@e.example", ["bob@ours.example"])).startswith("250")


async def test_a_broken_shard_gives_451_never_250() -> None:
    desk = Desktop()
    desk.spool.broken = True
    assert (await desk.connect(STRANGER).send("a@e.example", ["bob@ours.example"])).startswith("451 4.3.0")
    assert desk.onward.taken == []


@pytest.mark.parametrize("size", [100, 5000, 50_000])
async def test_large_bodies_go_through_a_writer_and_come_out_whole(size: int) -> None:
    desk = Desktop()
    body = "Subject: x\r\n\r\n" + ("y" * 70 + "\r\n") * (size // 72 + 1)
    assert (await desk.connect(STRANGER).send("a@e.example", ["bob@ours.example"], body)).startswith("250")
    stored = desk.onward.taken[0].body
    assert await stored.read(0, stored.size) == body.encode()


async def test_full_disk_in_the_middle_of_a_large_body_is_452_at_its_end() -> None:
    desk = Desktop()
    client = desk.connect(STRANGER)
    await client.say("EHLO client.example")
    await client.say("MAIL FROM:<a@e.example>\r\nRCPT TO:<bob@ours.example>\r\nDATA")
    desk.spool.full = True
    assert await client.say("x" * 9000 + "\r\n" + "y" * 9000) == []
    assert (await client.say("."))[-1].startswith("452 4.3.1")
    desk.spool.full = False
    assert (await client.send("a@e.example", ["bob@ours.example"])).startswith("250")


async def test_bare_postmaster_goes_to_the_postmaster_setting() -> None:
    desk = Desktop(parse_address("admin@ours.example"))
    assert (await desk.connect(STRANGER).send("a@e.example", ["Postmaster"])).startswith("250")
    assert str(desk.onward.taken[0].recipients[0].recipient.address) == "admin@ours.example"


@pytest.mark.parametrize("address", ["postmaster@mx.ours.example", "Abuse@MX.ours.example"])
async def test_role_addresses_at_our_own_name_reach_the_postmaster_setting(address: str) -> None:
    desk = Desktop(parse_address("admin@ours.example"))
    assert (await desk.connect(STRANGER).send("a@e.example", [address])).startswith("250")
    assert str(desk.onward.taken[0].recipients[0].recipient.address) == "admin@ours.example"


async def test_others_at_our_own_name_are_nobody_for_strangers_and_the_postmaster_for_cron() -> None:
    desk = Desktop(parse_address("admin@ours.example"))
    assert (await desk.connect(STRANGER).send("a@e.example", ["root@mx.ours.example"])).startswith("5")
    local = desk.connect("")
    local.role.peer.uid = 0
    assert (await local.send("root@mx.ours.example", ["root@mx.ours.example"])).startswith("250")
    assert str(desk.onward.taken[0].recipients[0].recipient.address) == "admin@ours.example"


async def test_bare_postmaster_is_held_without_the_setting() -> None:
    desk = Desktop()
    reply = await desk.connect(STRANGER).send("a@e.example", ["postmaster"])
    assert reply.startswith("250")
    assert desk.onward.taken == []
    (held,) = desk.spool.disk.messages.values()
    assert held.recipients[0].status is Status.HELD


async def test_only_the_postmaster_that_nobody_is_holds_back_its_own_copy() -> None:
    desk = Desktop()
    await desk.connect(STRANGER).send("a@e.example", ["alice@ours.example", "postmaster"])
    (message,) = desk.onward.taken
    assert [one.status for one in message.recipients] == [Status.WAITING, Status.HELD]


async def test_a_new_mail_command_leaves_nothing_of_the_old_transaction() -> None:
    desk = Desktop()
    client = desk.connect(STRANGER)
    await client.say("EHLO client.example")
    await client.say("MAIL FROM:<first@e.example>\r\nRCPT TO:<alice@ours.example>\r\nRSET")
    assert (await client.send("second@e.example", ["bob@ours.example"])).startswith("250")
    assert [str(one.recipient.address) for one in desk.onward.taken[0].recipients] == ["bob@ours.example"]


async def test_etrn_is_for_trusted_clients_only() -> None:
    desk = Desktop()
    assert (await desk.connect(STRANGER).say("EHLO a.example\r\nETRN backup.example"))[-1].startswith("458")
    assert (await desk.connect(TRUSTED).say("EHLO a.example\r\nETRN backup.example"))[-1].startswith("250")
    assert desk.onward.retried == ["backup.example"]


async def test_an_overloaded_queue_sends_clients_away_with_421() -> None:
    desk = Desktop()
    desk.onward.delay = None
    client = desk.connect(STRANGER)
    await client.say("EHLO client.example")
    assert (await client.say("MAIL FROM:<a@e.example>"))[0].startswith("421 4.3.2")
    assert await client.say("NOOP") == []


async def test_a_growing_queue_delays_the_answer_to_mail_and_then_takes_the_message() -> None:
    desk = Desktop()
    desk.onward.delay = 0.01
    client = desk.connect(STRANGER)
    answer = client.role.mail(MailFrom(None))
    assert isinstance(answer, asyncio.Future)
    assert not answer.done()
    assert (await answer).code == 250
    assert (await client.send("a@e.example", ["alice@ours.example"])).startswith("250 2.0.0")


async def test_envelope_options_reach_the_queue() -> None:
    desk = Desktop()
    client = desk.connect(TRUSTED)
    await client.say("EHLO client.example")
    await client.say("MAIL FROM:<a@e.example> RET=HDRS ENVID=QQ+2B7 BODY=8BITMIME SMTPUTF8")
    await client.say("RCPT TO:<bob@ours.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;Bob@Old.example\r\nDATA")
    assert (await client.say("Subject: ü\r\n\r\nü\r\n."))[-1].startswith("250")
    message = desk.onward.taken[0]
    assert message.envelope.ret is not None
    assert message.envelope.envid == "QQ+7"
    assert message.envelope.smtputf8
    assert message.recipients[0].recipient.orcpt == ("rfc822", "Bob@Old.example")
    assert b"with UTF8SMTP id" in message.trace
