"""JMAP's door into submit(): what is wrong is named; what waits lies in Scheduled and can be taken back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from posthouse.message.address import parse_address
from posthouse.message.mailbox import AccountId, EmailId, Mailbox, MailboxId, Role, SubmissionId
from posthouse.message.parse import parse_message
from posthouse.message.reply import Reply
from posthouse.msa.doors import DoorParts
from posthouse.msa.email_doors import EmailDoors
from posthouse.msa.limits import SendLimits
from posthouse.msa.sent import SentParts
from posthouse.msa.ticket import decode_ticket
from posthouse.ports.login import SaveSent, Scope
from posthouse.ports.sending import EmailWish, SendFault, SendRefused, SubmittedEmail, WantedEnvelope
from posthouse.ports.spool import InlineBody, SpoolError, Status
from posthouse.ports.store import Addition, Fields, Mailboxes, Submission, SubmissionState
from tests.msa.submit_kit import ALICE, LOGIN, MESSAGE, House, changed

HOME = "192.0.2.7"
BY_MESSAGE = WantedEnvelope()


def make_doors(house: House, undo_s: float = 0.0, mailboxes: Mailboxes | None = None, **other: object) -> EmailDoors:
    """`other`: parts of the store in whose place something else stands."""
    store = house.store
    sent = SentParts(store.submissions, store.messages, store.blobs, house.clock, house.log)
    return EmailDoors(
        DoorParts(
            submitter=house.submitter,
            sent=replace(sent, **other),  # type: ignore[arg-type]
            mailboxes=mailboxes or store.mailboxes,
            blobs=store.blobs,
            annotations=store.annotations,
            changes=store.changes,
            clock=house.clock,
            hostname="mail.ours.example",
            undo_s=undo_s,
        )
    )


class Desk:
    def __init__(self, undo_s: float = 0.0, limits: SendLimits | None = None) -> None:
        self.house = House(limits)
        self.doors = make_doors(self.house, undo_s)

    async def draft(self, octets: bytes = MESSAGE, role: Role = Role.DRAFTS) -> EmailId:
        addition = Addition((role,), InlineBody(octets), parse_message(octets), flags=frozenset({"\\Draft"}))
        return (await self.house.store.messages.add(ALICE.id, [addition]))[0].email

    async def submit(self, email: EmailId, envelope: WantedEnvelope = BY_MESSAGE, **more: object) -> SubmittedEmail:
        wish = replace(EmailWish(envelope, "I1", 3600.0), **more)  # type: ignore[arg-type]
        made = await self.doors.submit_email(LOGIN, email, wish, HOME)
        await self.house.handover.settle_down()
        return made

    async def refuse(
        self, octets: bytes = MESSAGE, envelope: WantedEnvelope = BY_MESSAGE, **more: object
    ) -> SendRefused:
        with pytest.raises(SendRefused) as refused:
            await self.submit(await self.draft(octets), envelope, **more)
        assert self.house.onward.taken == []
        assert await self.house.store.submissions.list_newest(ALICE.id) == []
        return refused.value

    async def row(self, submission: SubmissionId) -> Submission:
        found = await self.house.store.submissions.get(ALICE.id, submission)
        assert found is not None
        return found

    async def where(self, email: EmailId) -> set[str]:
        boxes = {box.id: box.name for box in await self.house.store.mailboxes.list_all(ALICE.id)}
        rows = await self.house.store.messages.load_emails(ALICE.id, [email], Fields.NONE)
        return {boxes[mailbox] for row in rows for mailbox in row.placements}

    async def flags(self, email: EmailId) -> set[str]:
        table = await self.house.store.messages.keywords(ALICE.id)
        rows = await self.house.store.messages.load_emails(ALICE.id, [email], Fields.NONE)
        return {name for row in rows for placed in row.placements.values() for name in table.flags_of(placed.flags)}

    async def move(self, email: EmailId, role: Role) -> None:
        """As a client does it."""
        rows = await self.house.store.messages.load_emails(ALICE.id, [email], Fields.NONE)
        box = await self.house.store.mailboxes.open_role(ALICE.id, role)
        out_of: list[MailboxId] = list(rows[0].placements)
        await self.house.store.messages.place(ALICE.id, email, [box.id], out_of)


def to(*addresses: str, sender: str | None = None, **options: str | None) -> WantedEnvelope:
    return WantedEnvelope(sender, tuple((address, {}) for address in addresses), options)


# -- at once


async def test_an_email_goes_out_at_once_and_stays_where_it_lies() -> None:
    desk = Desk()
    email = await desk.draft()
    made = await desk.submit(email)
    assert (made.send_at, made.is_repeat) == (0.0, False)
    assert [str(one.recipient.address) for one in desk.house.onward.taken[0].recipients] == ["bob@there.example"]
    assert await desk.where(email) == {"Drafts"}
    row = await desk.row(made.id)
    assert (row.email, row.state) == (email, SubmissionState.QUEUED)
    assert await desk.house.list_copies(Role.SENT) == []


async def test_the_envelope_and_the_identity_are_kept() -> None:
    desk = Desk()
    envelope = WantedEnvelope(
        "a.smith@ours.example",
        (("bob@there.example", {"NOTIFY": "SUCCESS,FAILURE", "ORCPT": "rfc822;rob@there.example"}),),
        {"RET": "HDRS", "ENVID": "e1", "MT-PRIORITY": "3"},
    )
    made = await desk.submit(await desk.draft(), envelope)
    kept = desk.doors.read_envelope(await desk.row(made.id))
    assert (kept.envelope, kept.identity) == (envelope, "I1")


async def test_the_empty_sender_is_kept_too() -> None:
    desk = Desk()
    made = await desk.submit(await desk.draft(), to("bob@there.example", sender=""))
    assert desk.doors.read_envelope(await desk.row(made.id)).envelope.sender == ""
    assert desk.house.onward.taken[0].envelope.sender is None


async def test_the_same_again_is_not_sent_again() -> None:
    desk = Desk()
    email = await desk.draft()
    first, again = await desk.submit(email), await desk.submit(email)
    assert (again.id, again.is_repeat) == (first.id, True)
    assert len(desk.house.onward.taken) == 1


async def test_a_crash_before_the_hand_over_sends_it_once() -> None:
    desk = Desk()
    email = await desk.draft()
    desk.house.disk.error = SpoolError("disk failed")
    made = await desk.submit(email)
    desk.house.disk.error = None
    desk.house.restart()
    await desk.house.replay()
    assert len(desk.house.onward.taken) == 1
    assert (await desk.row(made.id)).state is SubmissionState.QUEUED


async def test_who_took_it_is_told_to_the_account() -> None:
    desk = Desk()
    made = await desk.submit(await desk.draft())
    message = desk.house.onward.taken[0]
    one = message.recipients[0]
    one.status, one.last_reply = Status.RELAYED, Reply(250, "2.0.0", "ok")
    one.last_remote = "mx.there.example[192.0.2.9]:25"
    assert await desk.house.handover.record(message)
    row = await desk.row(made.id)
    assert row.state is SubmissionState.FINAL
    assert [(fate.outcome, fate.remote) for fate in row.recipients] == [("relayed", "mx.there.example[192.0.2.9]:25")]


# -- waiting


async def test_what_waits_lies_in_scheduled_and_goes_to_sent_at_its_time() -> None:
    desk = Desk(undo_s=10.0)
    email = await desk.draft()
    made = await desk.submit(email)
    assert made.send_at == desk.house.clock.now() + 10
    await desk.move(email, Role.SENT)
    await desk.doors.put_off(ALICE.id, made.id)
    assert (await desk.where(email), await desk.flags(email)) == ({"Scheduled"}, {"\\Seen"})
    desk.house.clock.advance(10)
    await desk.house.replay()
    assert len(desk.house.onward.taken) == 1
    assert await desk.where(email) == {"Sent"}


async def test_what_waits_stays_in_a_mailbox_of_ones_own_as_well() -> None:
    desk = Desk(undo_s=10.0)
    email = await desk.draft(role=Role.ARCHIVE)
    await desk.doors.put_off(ALICE.id, (await desk.submit(email)).id)
    assert await desk.where(email) == {"Archive", "Scheduled"}


class Interrupted:
    """Mailboxes; something happens when they are listed."""

    def __init__(self, mailboxes: Mailboxes, work: Callable[[], Awaitable[object]]) -> None:
        self._mailboxes, self._work = mailboxes, [work]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._mailboxes, name)

    async def list_all(self, account: AccountId) -> Sequence[Mailbox]:
        if self._work:
            await self._work.pop()()
        return await self._mailboxes.list_all(account)


async def test_what_is_taken_back_while_it_is_put_off_is_a_draft_and_not_sent() -> None:
    desk = Desk(undo_s=10.0)
    email = await desk.draft()
    made = await desk.submit(email)
    await desk.move(email, Role.SENT)
    mailboxes = Interrupted(desk.house.store.mailboxes, lambda: desk.doors.cancel(ALICE.id, made.id))
    await make_doors(desk.house, 10.0, cast("Mailboxes", mailboxes)).put_off(ALICE.id, made.id)
    assert (await desk.where(email), "\\Draft" in await desk.flags(email)) == ({"Drafts"}, True)
    desk.house.clock.advance(10)
    await desk.house.replay()
    assert desk.house.onward.taken == []


async def test_what_was_not_put_off_is_sent_all_the_same() -> None:
    desk = Desk(undo_s=10.0)
    email = await desk.draft()
    await desk.submit(email)
    await desk.move(email, Role.SENT)
    desk.house.clock.advance(10)
    await desk.house.replay()
    assert len(desk.house.onward.taken) == 1
    assert await desk.where(email) == {"Sent"}


async def test_an_email_that_is_destroyed_is_sent_all_the_same() -> None:
    desk = Desk(undo_s=10.0)
    email = await desk.draft()
    made = await desk.submit(email)
    drafts = await desk.house.store.mailboxes.open_role(ALICE.id, Role.DRAFTS)
    await desk.house.store.messages.place(ALICE.id, email, [], [drafts.id])
    await desk.doors.put_off(ALICE.id, made.id)
    desk.house.clock.advance(10)
    await desk.house.replay()
    assert len(desk.house.onward.taken) == 1


@pytest.mark.parametrize("options", [{"HOLDFOR": "3600"}, {"HOLDUNTIL": "2027-01-15T09:00:00Z"}])
async def test_the_envelope_holds_it(options: Mapping[str, str]) -> None:
    desk = Desk()
    made = await desk.submit(await desk.draft(), to(**options))
    assert made.send_at == desk.house.clock.now() + 3600


async def test_a_time_that_is_over_holds_nothing() -> None:
    desk = Desk()
    assert (await desk.submit(await desk.draft(), to(HOLDUNTIL="2026-01-01T00:00:00Z"))).send_at == 0.0
    assert len(desk.house.onward.taken) == 1


async def test_out_of_scheduled_is_taken_back() -> None:
    desk = Desk(undo_s=10.0)
    email = await desk.draft()
    made = await desk.submit(email)
    await desk.doors.put_off(ALICE.id, made.id)
    await desk.move(email, Role.INBOX)
    assert (await desk.row(made.id)).state is SubmissionState.CANCELED


async def test_what_is_taken_back_is_a_draft_again_and_can_be_sent_again() -> None:
    desk = Desk(undo_s=10.0)
    email = await desk.draft()
    made = await desk.submit(email)
    await desk.move(email, Role.SENT)
    await desk.doors.put_off(ALICE.id, made.id)
    assert await desk.doors.cancel(ALICE.id, made.id)
    assert (await desk.where(email), "\\Draft" in await desk.flags(email)) == ({"Drafts"}, True)
    assert not await desk.doors.cancel(ALICE.id, made.id)
    assert not (await desk.submit(email)).is_repeat


class Killed(Exception):
    pass


class Fatal:
    """The worker is killed upon a durable operation, before it or after it."""

    def __init__(self, behind: object, operations: Sequence[str], *, is_done: bool) -> None:
        self._behind, self._operations, self._is_done = behind, operations, is_done

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._behind, name)
        if name not in self._operations:
            return operation

        async def run(*arguments: Any) -> None:
            if self._is_done:
                await operation(*arguments)
            raise Killed

        return run


@pytest.mark.parametrize("is_done", [False, True])
async def test_killed_while_it_is_taken_back_it_is_a_draft_or_waits_and_nothing_between(is_done: bool) -> None:
    desk = Desk(undo_s=10.0)
    email = await desk.draft()
    made = await desk.submit(email)
    await desk.doors.put_off(ALICE.id, made.id)
    store = desk.house.store
    doors = make_doors(
        desk.house,
        10.0,
        messages=Fatal(store.messages, ["place"], is_done=is_done),
        submissions=Fatal(store.submissions, ["change"], is_done=is_done),
    )
    with pytest.raises(Killed):
        await doors.cancel(ALICE.id, made.id)
    is_canceled = (await desk.row(made.id)).state is SubmissionState.CANCELED
    assert (await desk.where(email), is_canceled) == ({"Drafts"} if is_done else {"Scheduled"}, is_done)
    desk.house.clock.advance(10)
    await desk.house.replay()
    assert (await desk.where(email), len(desk.house.onward.taken)) == (({"Drafts"}, 0) if is_done else ({"Sent"}, 1))


class Going:
    """Its time comes while it is taken out of Scheduled, and it may be filed in Sent, too."""

    def __init__(self, house: House, *, is_filed: bool) -> None:
        self._house, self._is_first, self._is_filed = house, True, is_filed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._house.store.messages, name)

    async def place(self, *arguments: Any) -> object:
        if self._is_first:
            self._is_first = False
            submission = (await self._house.store.submissions.list_newest(ALICE.id))[0]
            await self._house.store.submissions.change(ALICE.id, submission.id, SubmissionState.QUEUED)
            if self._is_filed and submission.email is not None:
                ticket = decode_ticket(submission.envelope)
                await self._house.handover.file_sent(ALICE.id, submission.email, ticket)
        return await self._house.store.messages.place(*arguments)


@pytest.mark.parametrize("is_filed", [False, True])
async def test_what_goes_in_the_moment_in_which_it_is_taken_back_is_in_sent_once(is_filed: bool) -> None:
    desk = Desk(undo_s=10.0)
    email = await desk.draft()
    made = await desk.submit(email)
    await desk.doors.put_off(ALICE.id, made.id)
    doors = make_doors(desk.house, 10.0, messages=Going(desk.house, is_filed=is_filed))
    assert not await doors.cancel(ALICE.id, made.id)
    assert await desk.where(email) == {"Sent"}
    assert len(await desk.house.list_copies(Role.SENT)) == 1
    assert "\\Draft" not in await desk.flags(email)


async def test_it_is_too_late_to_take_back_what_went() -> None:
    desk = Desk()
    made = await desk.submit(await desk.draft())
    assert not await desk.doors.cancel(ALICE.id, made.id)


async def test_putting_off_what_does_not_wait_moves_nothing() -> None:
    desk = Desk()
    email = await desk.draft()
    await desk.doors.put_off(ALICE.id, (await desk.submit(email)).id)
    await desk.doors.put_off(ALICE.id, SubmissionId(99))
    assert await desk.where(email) == {"Drafts"}


async def test_the_same_again_while_it_waits_is_one() -> None:
    desk = Desk(undo_s=10.0)
    email = await desk.draft()
    first, again = await desk.submit(email), await desk.submit(email)
    assert (again.id, again.is_repeat, again.send_at) == (first.id, True, first.send_at)


# -- what is wrong is named


async def test_who_may_not_send_at_all() -> None:
    desk = Desk()
    email = await desk.draft()
    for login in (changed(LOGIN, scopes=frozenset({Scope.READ})), changed(LOGIN, account=ALICE.id + 1)):
        with pytest.raises(SendRefused) as refused:
            await desk.doors.submit_email(login, email, EmailWish(BY_MESSAGE), HOME)
        assert (refused.value.is_policy, refused.value.fault) == (True, SendFault.OTHER)
    desk.house.accounts.accounts[ALICE.id] = replace(ALICE, is_disabled=True)
    assert (await desk.refuse()).is_policy


async def test_senders_that_are_not_ones_own() -> None:
    desk = Desk()
    refusal = await desk.refuse(envelope=to("bob@there.example", sender="x@else.example"))
    assert refusal.fault is SendFault.SENDER
    assert (await desk.refuse(envelope=to("bob@there.example", sender="no address"))).fault is SendFault.SENDER
    stranger = MESSAGE.replace(b"<alice@ours.example>", b"<x@else.example>")
    assert (await desk.refuse(stranger)).fault is SendFault.AUTHOR


async def test_a_message_without_recipients() -> None:
    assert (await Desk().refuse(MESSAGE.replace(b"To:", b"X-To:"))).fault is SendFault.NO_RECIPIENTS


async def test_every_recipient_that_is_none_is_named() -> None:
    refusal = await Desk().refuse(envelope=to("nobody", "bob@there.example", "a b@c"))
    assert (refusal.fault, refusal.addresses) == (SendFault.RECIPIENTS, ("nobody", "a b@c"))
    refusal = await Desk().refuse(envelope=to("nobody@ours.example", "carol@ours.example", "x@incomplete"))
    assert (refusal.fault, refusal.addresses) == (SendFault.RECIPIENTS, ("nobody@ours.example", "x@incomplete"))


async def test_a_recipient_whom_a_route_rejects_is_named() -> None:
    desk = Desk()
    desk.house.rejections[parse_address("bob@there.example")] = Reply(550, "5.7.1", "Not them")
    refusal = await desk.refuse()
    assert (refusal.fault, refusal.addresses) == (SendFault.RECIPIENTS, ("bob@there.example",))


async def test_a_header_with_an_address_that_is_none() -> None:
    assert (await Desk().refuse(MESSAGE.replace(b"Bob <bob@there.example>", b"Bob <bob@>"))).fault in (
        SendFault.RECIPIENTS,
        SendFault.NO_RECIPIENTS,
    )


async def test_more_recipients_than_there_may_be() -> None:
    refusal = await Desk().refuse(envelope=to("a@there.example", "b@there.example"), max_recipients=1)
    assert refusal.fault is SendFault.TOO_MANY_RECIPIENTS
    many = MESSAGE.replace(b"To: ", b"To: ann@there.example, ")
    assert (await Desk().refuse(many, max_recipients=1)).fault is SendFault.TOO_MANY_RECIPIENTS


@pytest.mark.parametrize(
    "octets",
    [
        MESSAGE.replace(b"From:", b"X-From:"),
        MESSAGE + b"bare\nline\r\n",
        b"no header at all\r\n\r\n" + MESSAGE,
    ],
)
async def test_messages_that_cannot_be_sent(octets: bytes) -> None:
    assert (await Desk().refuse(octets)).fault is SendFault.MESSAGE


@pytest.mark.parametrize(
    "options",
    [{"HOLDFOR": "3601"}, {"HOLDFOR": "x"}, {"RET": "SOME"}, {"X-OTHER": None}, {"HOLDFOR": "1", "HOLDUNTIL": "x"}],
)
async def test_parameters_that_cannot_be(options: Mapping[str, str | None]) -> None:
    assert (await Desk().refuse(envelope=to(**options))).fault is SendFault.ENVELOPE


async def test_a_parameter_of_a_recipient_that_cannot_be() -> None:
    envelope = WantedEnvelope(None, (("bob@there.example", {"NOTIFY": "SOMETIMES"}),))
    assert (await Desk().refuse(envelope=envelope)).fault is SendFault.ENVELOPE


async def test_an_email_that_has_gone() -> None:
    desk = Desk()
    with pytest.raises(SendRefused) as refused:
        await desk.submit(EmailId(99))
    assert refused.value.fault is SendFault.MESSAGE


async def test_too_much_for_now() -> None:
    desk = Desk(limits=SendLimits(messages_per_hour=1))
    await desk.submit(await desk.draft())
    with pytest.raises(SendRefused) as refused:
        await desk.submit(await desk.draft(MESSAGE.replace(b"<1@", b"<2@")))
    assert refused.value.is_limit


# -- receipts


async def test_a_receipt_goes_at_once_and_is_kept_nowhere() -> None:
    desk = Desk(undo_s=10.0)
    receipt = MESSAGE.replace(b"Subject: hello", b"Subject: read")
    made = await desk.doors.submit_message(LOGIN, receipt, to("bob@there.example", sender=""), HOME)
    await desk.house.handover.settle_down()
    assert desk.house.onward.taken[0].envelope.sender is None
    assert (await desk.row(made)).email is None
    assert await desk.house.list_copies(Role.SENT) == []


async def test_a_receipt_that_is_refused() -> None:
    desk = Desk()
    with pytest.raises(SendRefused) as refused:
        await desk.doors.submit_message(LOGIN, MESSAGE, to("nobody@ours.example", sender=""), HOME)
    assert "5.1.1" in refused.value.text


async def test_a_login_that_keeps_no_copies_keeps_the_email_of_jmap() -> None:
    desk = Desk(undo_s=10.0)
    email = await desk.draft()
    wish = EmailWish(BY_MESSAGE, "I1")
    made = await desk.doors.submit_email(changed(LOGIN, save_sent=SaveSent.NEVER), email, wish, HOME)
    await desk.doors.put_off(ALICE.id, made.id)
    desk.house.clock.advance(10)
    await desk.house.replay()
    assert await desk.where(email) == {"Sent"}
