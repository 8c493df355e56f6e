"""A mail program on 587: logging in, early refusals, what the answers say."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import cast

import pytest

from posthouse.message.address import Address, Domain, LocalPart, parse_address
from posthouse.message.envelope import Recipient
from posthouse.message.peer import Peer
from posthouse.message.reply import Reply
from posthouse.msa.session import SubmissionDesk, SubmissionSession, SubmissionSettings
from posthouse.ports.login import Login, Mechanisms
from posthouse.protocol.smtp import server as smtp
from posthouse.protocol.smtp.server_events import ByTime
from posthouse.trust.login import Accepted, SaslConversation
from tests.msa.submit_kit import LOGIN, MESSAGE, House

ALICE = parse_address("alice@ours.example")
TLS = Peer("192.0.2.7", 4711, tls_version="TLSv1.3", tls_cipher="TLS_AES_256_GCM_SHA384", tls_bits=256)


class FakeConversation:
    """Everybody is who `login` says; with `slow` after a while."""

    def __init__(self, login: Login, slow: bool = False) -> None:
        self.login, self.slow = login, slow

    def mechanisms(self) -> Mechanisms:
        return Mechanisms(("PLAIN",))

    def begin(self, mechanism: str, initial: bytes | None) -> object:
        turn = Accepted(self.login)
        return asyncio.ensure_future(self._later(turn)) if self.slow else turn

    async def _later(self, turn: Accepted) -> Accepted:
        await asyncio.sleep(0)
        return turn

    def cancel(self) -> None:
        return None


class Client:
    def __init__(self, house: House, peer: Peer = TLS, **settings: object) -> None:
        self.house = house
        chosen = replace(SubmissionSettings("mail.ours.example"), **settings)  # type: ignore[arg-type]
        desk = SubmissionDesk(
            chosen,
            house.submitter,
            house.accounts,
            house.directory,
            lambda peer: cast(SaslConversation, FakeConversation(LOGIN)),
            house.clock,
            house.log,
            house.rejections.get,
        )
        self.role = SubmissionSession(desk, replace(peer))
        self.role.hello(smtp.Hello("client.example", True))

    def log_in(self) -> Client:
        answer = self.role.auth(smtp.AuthStarted("PLAIN", b"x"))
        assert isinstance(answer, Reply) and answer.code == 235
        return self

    def mail(self, **words: object) -> str:
        return str(self.role.mail(smtp.MailFrom(ALICE)._replace(**words)))  # type: ignore[arg-type]

    def rcpt(self, address: str) -> str:
        return str(self.role.rcpt(smtp.RcptTo(Recipient(parse_address(address)))))

    async def send(
        self, message: bytes = MESSAGE, recipients: tuple[str, ...] = ("bob@there.example",), **words: object
    ) -> str:
        assert self.mail(**words).startswith("250")
        for address in recipients:
            assert self.rcpt(address).startswith("250")
        for start in range(0, len(message), 50):
            self.role.body(message[start : start + 50])
        answer = self.role.end(smtp.MessageEnd(len(message)))
        reply = answer if isinstance(answer, Reply) else await answer
        await self.house.handover.settle_down()
        return str(reply)


@pytest.fixture
def house() -> House:
    return House()


def test_without_a_login_nothing_is_taken(house: House) -> None:
    assert Client(house).mail().startswith("530 5.7.0")


def test_tls_started_makes_the_session_as_new(house: House) -> None:
    client = Client(house).log_in()
    client.role.forget_login()
    assert client.mail().startswith("530 5.7.0")


async def test_a_login_that_takes_time_counts_when_it_is_there(house: House) -> None:
    client = Client(house)
    client.role._conversation = cast(SaslConversation, FakeConversation(LOGIN, slow=True))
    answer = client.role.auth(smtp.AuthStarted("PLAIN", b"x"))
    assert isinstance(answer, asyncio.Future) and (await answer).code == 235
    assert client.mail().startswith("250")


def test_mistakes_are_told_at_once_and_by_name(house: House) -> None:
    client = Client(house).log_in()
    assert client.mail(sender=parse_address("eve@ours.example")) == (
        "550 5.7.1 This account may not send as <eve@ours.example>"
    )
    assert client.mail().startswith("250")
    assert client.rcpt("nobody@ours.example").startswith("550 5.1.1")
    assert client.rcpt("bob@printer").startswith("550 5.1.3")
    assert client.rcpt("carol@ours.example").startswith("250")


async def test_postmaster_is_the_one_of_the_settings(house: House) -> None:
    bare = smtp.RcptTo(Recipient(Address(LocalPart("postmaster"), Domain(""))))
    nobody = Client(house).log_in().role.rcpt(bare)
    assert nobody.enhanced == "5.1.1"
    client = Client(house, postmaster=parse_address("carol@ours.example")).log_in()
    client.mail()
    assert client.role.rcpt(bare).code == 250
    client.role.body(MESSAGE)
    last = client.role.end(smtp.MessageEnd(len(MESSAGE)))
    assert isinstance(last, asyncio.Future) and (await last).code == 250
    await house.handover.settle_down()
    assert [str(one.address) for one in house.onward.taken[0].envelope.recipients] == ["carol@ours.example"]


async def test_the_answer_names_the_queue_id_and_the_trace_hides_the_client(house: House) -> None:
    text = await Client(house).log_in().send()
    (message,) = house.onward.taken
    assert text == f"250 2.0.0 Ok: queued as {message.id}"
    trace = message.trace.decode()
    assert "with ESMTPSA id" in trace and "TLSv1.3" in trace and "for <bob@there.example>" in trace
    assert "192.0.2.7" not in trace and "client.example" not in trace and "alice" not in trace


async def test_the_trace_names_the_client_where_it_is_not_hidden(house: House) -> None:
    await Client(house, hides_address=False).log_in().send()
    assert b"from client.example (unknown [192.0.2.7])" in house.onward.taken[0].trace


async def test_blind_recipients_are_not_named_in_the_trace(house: House) -> None:
    await Client(house).log_in().send(recipients=("bob@there.example", "blind@there.example"))
    assert b"for <" not in house.onward.taken[0].trace


async def test_futurerelease_says_when_it_will_be_sent(house: House) -> None:
    client = Client(house).log_in()
    assert await client.send(hold_for_s=3600) == "250 2.0.0 Ok: will be sent at 2027-01-15T09:00:00.000Z"
    assert not house.onward.taken
    assert (await client.send(MESSAGE + b"2\r\n", hold_until=house.clock.now() - 5)).startswith("250 2.0.0 Ok: queued")


def test_futurerelease_beyond_what_is_offered_is_501(house: House) -> None:
    assert Client(house, max_future_s=3600.0).log_in().mail(hold_for_s=3601).startswith("501 5.5.4")


async def test_deliverby_counts_from_the_release(house: House) -> None:
    client = Client(house).log_in()
    await client.send(by=ByTime(60, True, False), hold_for_s=3600)
    released = house.clock.now() + 3600
    house.clock.advance(3601)
    await house.replay()
    by = house.onward.taken[0].envelope.deliver_by
    assert by is not None and (by.at, by.is_return) == (released + 60, True)


async def test_a_repeat_is_told_as_success(house: House) -> None:
    client = Client(house).log_in()
    await client.send()
    assert "not sent again" in await client.send()
    assert len(house.onward.taken) == 1


async def test_a_refusal_of_the_message_leaves_the_session_usable(house: House) -> None:
    client = Client(house).log_in()
    assert (await client.send(MESSAGE.replace(b"alice@ours", b"eve@ours"))).startswith("550 5.7.1")
    assert (await client.send()).startswith("250")


async def test_a_problem_of_the_body_is_the_answer(house: House) -> None:
    client = Client(house).log_in()
    client.mail()
    answer = client.role.end(smtp.MessageEnd(0, Reply(552, "5.3.4", "Too big")))
    assert answer == Reply(552, "5.3.4", "Too big")


def test_a_directory_that_cannot_be_read_is_a_temporary_failure_at_mail(house: House) -> None:
    client = Client(house).log_in()
    house.accounts.is_broken = True
    assert client.mail().startswith("451 4.3.0")


async def test_a_recipient_whom_a_route_rejects_is_refused_at_once(house: House) -> None:
    house.rejections[parse_address("bob@closed.example")] = Reply(550, "5.7.1", "Closed")
    client = Client(house).log_in()
    client.mail()
    assert client.rcpt("bob@closed.example") == "550 5.7.1 <bob@closed.example>: Closed"
    assert client.rcpt("bob@there.example").startswith("250 ")
