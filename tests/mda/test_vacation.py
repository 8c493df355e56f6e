"""Vacation answers: who gets one, who never does, how often, and what it looks like (RFC 8621 §8, RFC 3834)."""

from __future__ import annotations

import asyncio
import email
import email.message
import email.policy
from dataclasses import dataclass, field, replace

import pytest

from posthouse.mda.filing import Parcel
from posthouse.mda.vacation import INTERVAL_S, Vacation, VacationParts
from posthouse.message.address import parse_address
from posthouse.message.envelope import Envelope, Notify, Recipient
from posthouse.message.ids import QueueId
from posthouse.message.instant import Instant
from posthouse.message.mailbox import AccountId
from posthouse.message.parse import parse_message
from posthouse.ports.clock import FakeClock
from posthouse.ports.directory import Account, LocalMailbox
from posthouse.ports.observe import FakeLog
from posthouse.ports.records import VACATION_KIND, RecordEdit
from posthouse.ports.spool import InlineBody, QueuedMessage, SpoolError
from posthouse.ports.store import StoreError
from posthouse.ports.store_memory import MemoryStore
from tests.msa.submit_kit import FakeAccounts

ANN = Account(AccountId(1), "ann@ours.example", "Ann Böhm, Sales", ("ann@ours.example", "a.b@ours.example"))
HEAD = {"From": "Bob <bob@far.example>", "To": "Ann <ann@ours.example>", "Subject": "Lunch", "Message-ID": "<1@far>"}


@dataclass
class FakeOutgoing:
    sent: list[tuple[Envelope, bytes]] = field(default_factory=list)
    trouble: Exception | None = None

    async def queue(self, envelope: Envelope, octets: bytes) -> str:
        if self.trouble is not None:
            raise self.trouble
        self.sent.append((envelope, octets))
        return "0012345678901"


class House:
    def __init__(self) -> None:
        self.clock, self.log, self.outgoing = FakeClock(), FakeLog(), FakeOutgoing()
        self.store, self.accounts = MemoryStore(self.clock), FakeAccounts(ANN)
        self.vacation = self.restart()

    def restart(self) -> Vacation:
        self.vacation = Vacation(
            VacationParts(
                self.store.records,
                self.store.answered,
                self.accounts,
                self.outgoing,
                self.clock,
                self.log,
                lambda: "token",
                "mail.ours.example",
            )
        )
        return self.vacation

    async def set_response(self, **members: object) -> None:
        """Switched on, with a text, unless told otherwise."""
        value = {"isEnabled": True, "textBody": "I am away.", **members}
        found = await self.store.records.list_all(ANN.id, VACATION_KIND)
        edit = RecordEdit(value, found[0].id) if found else RecordEdit(value)
        await self.store.records.edit(ANN.id, VACATION_KIND, [edit])
        await self.vacation.refresh()

    async def deliver(self, sender: str | None = "bob@far.example", text: str = "Hi", **fields: str) -> int:
        """How many answers there are now. "_" in names of fields for "-"."""
        head = {**HEAD, **{name.replace("_", "-"): value for name, value in fields.items()}}
        octets = "".join(f"{name}: {value}\r\n" for name, value in head.items() if value) + f"\r\n{text}\r\n"
        body = octets.encode()
        to = Recipient(parse_address("ann@ours.example"))
        envelope = Envelope(parse_address(sender) if sender else None, (to,))
        message = QueuedMessage(QueueId("0012345678901"), envelope, [], b"", InlineBody(body), Instant(0.0))
        self.vacation.note(Parcel(message, parse_message(body), LocalMailbox(ANN.id, to.address)))
        await self.vacation.settle_down()
        return len(self.outgoing.sent)

    def read_answer(self) -> email.message.EmailMessage:
        made = email.message_from_bytes(self.outgoing.sent[-1][1], policy=email.policy.default)
        assert isinstance(made, email.message.EmailMessage)
        return made


async def open_house(**members: object) -> House:
    house = House()
    await house.set_response(**members)
    return house


# -- what it looks like


async def test_an_answer_goes_to_the_envelope_sender_from_the_empty_sender_and_wants_no_reports() -> None:
    house = await open_house()
    assert await house.deliver("b.private@far.example") == 1
    envelope, _ = house.outgoing.sent[0]
    assert envelope.sender is None
    assert envelope.recipients == (Recipient(parse_address("b.private@far.example"), Notify.NEVER),)


async def test_an_answer_says_what_it_is_and_what_it_answers() -> None:
    house = await open_house()
    await house.deliver(References="<0@far> <00@far>")
    answer = house.read_answer()
    assert answer["From"] == '"Ann Böhm, Sales" <ann@ours.example>'
    assert answer["To"] == "bob@far.example"
    assert answer["Auto-Submitted"] == "auto-replied"
    assert answer["In-Reply-To"] == "<1@far>"
    assert answer["References"] == "<0@far> <00@far> <1@far>"
    assert answer["Subject"] == "Auto: Lunch"
    assert answer["Message-ID"] == "<token@mail.ours.example>"
    assert answer["Date"] is not None
    assert answer.get_content() == "I am away.\r\n"


async def test_an_answer_has_the_subject_and_the_texts_that_were_set() -> None:
    house = await open_house(subject="Im Urlaub – zurück im Mai", textBody="Grüße\nAnn", htmlBody="<b>Grüße</b>")
    await house.deliver()
    answer = house.read_answer()
    assert answer["Subject"] == "Im Urlaub – zurück im Mai"
    assert answer.get_content_type() == "multipart/alternative"
    plain, html = answer.iter_parts()
    assert plain.get_content() == "Grüße\r\nAnn\r\n"
    assert html.get_content() == "<b>Grüße</b>\r\n"
    assert house.outgoing.sent[0][1].isascii()


async def test_an_answer_that_is_html_has_its_text_beside_it() -> None:
    house = await open_house(textBody=None, htmlBody="<p>I am <b>away</b>.</p><p>Ask Carol &amp; Dan.</p>")
    await house.deliver()
    plain, html = house.read_answer().iter_parts()
    assert plain.get_content() == "I am away.\r\nAsk Carol & Dan.\r\n"
    assert html.get_content_type() == "text/html"


async def test_an_answer_without_a_text_has_a_usual_one() -> None:
    house = await open_house(textBody=None)
    await house.deliver()
    assert "I am away" in house.read_answer().get_content()


async def test_an_answer_is_of_lines_that_may_be_sent() -> None:
    house = await open_house(textBody="x" * 5_000 + "\r\n.\n\rbare \x00 end")
    await house.deliver(Subject="s" * 2_000)
    octets = house.outgoing.sent[0][1]
    assert max(map(len, octets.split(b"\r\n"))) <= 998
    assert octets.count(b"\r") == octets.count(b"\n") == octets.count(b"\r\n")
    assert b"\x00" not in octets


async def test_a_subject_brings_no_field_of_its_own() -> None:
    house = await open_house()
    await house.deliver(Subject="=?utf-8?q?a=0D=0ABcc:_eve=40x.example?=")
    answer = house.read_answer()
    assert "Bcc" not in answer
    assert "Bcc: eve" in answer["Subject"]


async def test_a_message_id_that_is_none_is_not_referred_to() -> None:
    house = await open_house()
    await house.deliver(Message_ID="<no id>")
    assert "In-Reply-To" not in house.read_answer()


async def test_it_comes_from_the_address_that_was_written_to() -> None:
    house = await open_house()
    await house.deliver(To="x@far.example", Cc="team@far.example, A.B@ours.example")
    assert "A.B@ours.example" in house.read_answer()["From"]


# -- when


async def test_who_is_not_away_answers_nobody() -> None:
    house = House()
    assert await house.deliver() == 0
    await house.set_response(isEnabled=False)
    assert await house.deliver() == 0


async def test_it_begins_and_ends_at_its_dates() -> None:
    house = await open_house(fromDate="2100-01-01T00:00:00Z", toDate="2100-01-02T00:00:00Z")
    assert await house.deliver() == 0
    house.clock.advance(4102444800 - house.clock.now())
    await house.vacation.refresh()
    assert await house.deliver() == 1
    house.clock.advance(86_400)
    assert await house.deliver("other@far.example") == 1


async def test_a_sender_gets_one_answer_in_seven_days() -> None:
    house = await open_house()
    assert await house.deliver() == 1
    assert await house.deliver("BOB@far.example") == 1
    house.clock.advance(INTERVAL_S - 1)
    assert await house.deliver() == 1
    assert await house.deliver("other@far.example") == 2
    house.clock.advance(1)
    assert await house.deliver() == 3


async def test_a_restart_does_not_make_it_forget() -> None:
    house = await open_house()
    await house.deliver()
    await house.restart().refresh()
    assert await house.deliver() == 1


async def test_another_text_is_told_again() -> None:
    house = await open_house()
    await house.deliver()
    await house.set_response(textBody="I stay away longer.")
    assert await house.deliver() == 2


async def test_of_many_messages_at_once_one_is_answered() -> None:
    house = await open_house()
    await asyncio.gather(*[house.deliver() for _ in range(20)])
    assert len(house.outgoing.sent) == 1


async def test_what_could_not_be_queued_is_answered_the_next_time() -> None:
    house = await open_house()
    house.outgoing.trouble = SpoolError("full")
    assert await house.deliver() == 0
    assert house.log.events[-1][:2] == ("warning", "vacation answer not sent")
    house.outgoing.trouble = None
    assert await house.deliver() == 1


async def test_a_store_that_cannot_now_answers_nobody_and_harms_nobody() -> None:
    house = await open_house()
    house.store.error = StoreError("busy")
    assert await house.deliver() == 0
    await house.vacation.refresh()
    house.store.error = None
    assert await house.deliver() == 1


async def test_a_disabled_account_answers_nobody() -> None:
    house = await open_house()
    house.accounts.accounts[ANN.id] = replace(ANN, is_disabled=True)
    assert await house.deliver() == 0


# -- who never


async def test_the_empty_sender_is_never_answered() -> None:
    house = await open_house()
    assert await house.deliver(None) == 0


@pytest.mark.parametrize(
    "sender",
    [
        "MAILER-DAEMON@far.example",
        "owner-list@far.example",
        "list-request@far.example",
        "list-owner@far.example",
        "list-bounces+ann=ours.example@far.example",
        "bounce-77@far.example",
        "no-reply@far.example",
        "noreply+x@far.example",
        "DoNotReply@far.example",
        "shop-no_reply@far.example",
        "do_not_reply@far.example",
        "majordomo@far.example",
        "listserv@far.example",
    ],
)
async def test_a_sender_that_is_a_program_is_never_answered(sender: str) -> None:
    house = await open_house()
    assert await house.deliver(sender) == 0


@pytest.mark.parametrize(
    "sender", ["ownership@far.example", "norman@far.example", "jane.request@far.example", "autumn@far.example"]
)
async def test_a_person_with_such_a_name_is_answered(sender: str) -> None:
    house = await open_house()
    assert await house.deliver(sender) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"Auto_Submitted": "auto-replied"},
        {"Auto_Submitted": "auto-generated; owner-email=x@y"},
        {"Auto_Submitted": "Auto-Notified (cron)"},
        {"List_Id": "<list.far.example>"},
        {"List_Unsubscribe": "<mailto:x@far.example>"},
        {"list_post": "NO"},
        {"Precedence": "bulk"},
        {"Precedence": "List"},
        {"Precedence": "junk"},
        {"X_Auto_Response_Suppress": "DR, OOF, AutoReply"},
        {"X_Auto_Response_Suppress": "All"},
        {"X_Autoreply": "yes"},
        {"X_Spam_Flag": "YES"},
        {"Content_Type": 'multipart/report; report-type=delivery-status; boundary="x"'},
    ],
)
async def test_what_comes_from_a_list_or_a_program_is_never_answered(fields: dict[str, str]) -> None:
    house = await open_house()
    assert await house.deliver(**fields) == 0


@pytest.mark.parametrize(
    "fields",
    [{"Auto_Submitted": "no"}, {"Auto_Submitted": "No (typed)"}, {"Precedence": "first-class"}, {"X_Spam_Flag": "NO"}],
)
async def test_what_says_that_a_person_sent_it_is_answered(fields: dict[str, str]) -> None:
    house = await open_house()
    assert await house.deliver(**fields) == 1


@pytest.mark.parametrize("sender", ["ann@ours.example", "A.B@ours.example"])
async def test_the_account_s_own_addresses_are_never_answered(sender: str) -> None:
    house = await open_house()
    assert await house.deliver(sender) == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"To": "undisclosed-recipients:;"},
        {"To": ""},
        {"To": "list@far.example", "Cc": "Ann <other@far.example>"},
        {"To": "list@far.example", "Subject": "ann@ours.example"},
    ],
)
async def test_who_is_not_named_in_to_or_cc_does_not_answer(fields: dict[str, str]) -> None:
    house = await open_house()
    assert await house.deliver(**fields) == 0


async def test_who_is_named_in_a_group_or_when_it_was_resent_answers() -> None:
    house = await open_house()
    assert await house.deliver(To="Team: x@far.example, ann@ours.example;") == 1
    assert await house.deliver("carol@far.example", To="bob@far.example", Resent_To="ann@ours.example") == 2


async def test_a_flood_is_not_answered_without_end() -> None:
    house = await open_house()
    await asyncio.gather(*[house.deliver(f"a{number}@far.example") for number in range(150)])
    assert len(house.outgoing.sent) == 100
    assert any(told == "too many vacation answers at once" for _, told, _ in house.log.events)
