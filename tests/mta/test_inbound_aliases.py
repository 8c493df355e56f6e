"""Recipients that stand for others, and mailboxes that are full, as a client meets them at RCPT."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from posthouse.message.address import Address, parse_address
from posthouse.message.mailbox import AccountId
from posthouse.ports.directory import DirectoryError, FakeDirectory, Standing
from tests.mta.inbound_kit import Client, Desktop

ANN, BOB, FAR = (parse_address(text) for text in ("ann@ours.example", "bob@ours.example", "carl@far.example"))


@dataclass
class FakeRoom:
    full: set[AccountId] = field(default_factory=set)
    asked: list[tuple[AccountId, int]] = field(default_factory=list)

    def has_room(self, account: AccountId, octets: int) -> bool:
        self.asked.append((account, octets))
        return account not in self.full


class Office:
    """ann (1) and bob (2) have accounts, carl is elsewhere; `team` is all three, `forward` carl."""

    def __init__(self, *, postmaster: Address | None = None, **settings: object) -> None:
        self.desktop = Desktop(postmaster)
        self.directory = FakeDirectory(
            {"ours.example": frozenset({"postmaster"})},
            {"team@ours.example": (ANN, BOB, FAR), "forward@ours.example": (FAR,), "both@ours.example": (ANN, BOB)},
            {"ann@ours.example": AccountId(1), "bob@ours.example": AccountId(2)},
        )
        self.room = FakeRoom()
        desk = self.desktop.desk
        desk.directory, desk.room = self.directory, self.room
        desk.settings = replace(desk.settings, **settings)  # type: ignore[arg-type]

    def connect(self) -> Client:
        return self.desktop.connect()

    def queued(self) -> list[str]:
        (message,) = self.desktop.onward.taken
        return [str(one.recipient.address) for one in message.recipients]


async def test_a_stranger_reaches_all_targets_of_an_alias_each_as_a_recipient_of_its_own() -> None:
    office = Office()
    assert (await office.connect().send("x@far.example", ["team@ours.example"])).startswith("250")
    assert office.queued() == ["ann@ours.example", "bob@ours.example", "carl@far.example"]
    (message,) = office.desktop.onward.taken
    assert {one.recipient.orcpt for one in message.recipients} == {("rfc822", "team@ours.example")}


async def test_who_is_named_twice_gets_it_once() -> None:
    office = Office()
    await office.connect().send("x@far.example", ["ann@ours.example", "team@ours.example"])
    assert office.queued() == ["ann@ours.example", "bob@ours.example", "carl@far.example"]


async def test_the_received_field_names_the_alias_not_where_it_leads() -> None:
    office = Office()
    await office.connect().send("x@far.example", ["forward@ours.example"])
    (message,) = office.desktop.onward.taken
    assert b"for <forward@ours.example>" in message.trace
    assert b"carl" not in message.trace


async def test_the_journal_has_the_alias_and_its_targets() -> None:
    office = Office()
    await office.connect().send("x@far.example", ["forward@ours.example"])
    (received,) = [fields for step, _, fields in office.desktop.journal.records if step == "received"]
    assert (received["recipients"], received["targets"]) == (["forward@ours.example"], ["carl@far.example"])


async def test_an_alias_opens_nothing_else_at_its_target() -> None:
    client = Office().connect()
    await client.say("EHLO client.example\r\nMAIL FROM:<x@far.example>")
    assert (await client.say("RCPT TO:<carl@far.example>"))[0].startswith("550 5.7.1")


async def test_a_full_mailbox_is_put_off_at_rcpt_or_refused_as_configured() -> None:
    for refuses, expected in ((False, "452 4.2.2"), (True, "552 5.2.2")):
        office = Office(refuses_full=refuses)
        office.room.full.add(AccountId(1))
        client = office.connect()
        await client.say("EHLO client.example\r\nMAIL FROM:<x@far.example> SIZE=4711")
        assert (await client.say("RCPT TO:<ann@ours.example>"))[0].startswith(expected)
        assert (await client.say("RCPT TO:<bob@ours.example>"))[0].startswith("250")
        assert office.room.asked == [(AccountId(1), 4711), (AccountId(2), 4711)]


async def test_an_alias_is_taken_as_long_as_one_of_its_targets_has_room_or_is_elsewhere() -> None:
    office = Office()
    office.room.full.add(AccountId(1))
    client = office.connect()
    await client.say("EHLO client.example\r\nMAIL FROM:<x@far.example>")
    assert (await client.say("RCPT TO:<both@ours.example>"))[0].startswith("250")
    office.room.full.add(AccountId(2))
    assert (await client.say("RCPT TO:<both@ours.example>"))[0].startswith("452 4.2.2")
    assert (await client.say("RCPT TO:<team@ours.example>"))[0].startswith("250")


async def test_aliases_beyond_what_one_message_may_become_come_in_another() -> None:
    client = Office(max_targets=4).connect()
    await client.say("EHLO client.example\r\nMAIL FROM:<x@far.example>")
    assert (await client.say("RCPT TO:<team@ours.example>"))[0].startswith("250")
    assert (await client.say("RCPT TO:<both@ours.example>"))[0].startswith("452 4.5.3")
    assert (await client.say("RCPT TO:<forward@ours.example>"))[0].startswith("250")


async def test_one_alias_that_is_larger_than_that_is_taken_alone() -> None:
    office = Office(max_targets=2)
    assert (await office.connect().send("x@far.example", ["team@ours.example"])).startswith("250")


class BrokenDirectory(FakeDirectory):
    def look_up(self, address: Address) -> Standing:
        raise DirectoryError("disk I/O error")


async def test_a_directory_that_cannot_be_asked_puts_recipients_off() -> None:
    office = Office()
    office.desktop.desk.directory = BrokenDirectory()
    client = office.connect()
    await client.say("EHLO client.example\r\nMAIL FROM:<x@far.example>")
    assert (await client.say("RCPT TO:<ann@ours.example>"))[0].startswith("451 4.3.0")


async def test_a_role_address_that_leads_to_nobody_is_held() -> None:
    office = Office()
    office.desktop.desk.policy.open_to_anyone.clear()  # type: ignore[attr-defined]
    assert (await office.connect().send("x@far.example", ["postmaster@ours.example"])).startswith("250")
    assert office.desktop.onward.taken == []
    assert len(office.desktop.spool.disk.messages) == 1


async def test_the_postmaster_may_be_an_alias() -> None:
    office = Office(postmaster=parse_address("team@ours.example"))
    assert (await office.connect().send("x@far.example", ["Postmaster"])).startswith("250")
    assert office.queued() == ["ann@ours.example", "bob@ours.example", "carl@far.example"]


async def test_an_account_whose_name_looks_like_a_route_is_no_relay() -> None:
    office = Office()
    office.directory.accounts["x%y@ours.example"] = AccountId(3)
    client = office.connect()
    await client.say("EHLO client.example\r\nMAIL FROM:<x@far.example>")
    assert (await client.say("RCPT TO:<x%y@ours.example>"))[0].startswith("250")
