"""Windows, and when an account looks stolen, over simulated time."""

from __future__ import annotations

from dataclasses import replace

from posthouse.message.instant import Instant
from posthouse.message.mailbox import AccountId, ModSeq, SubmissionId
from posthouse.msa.limits import Conduct, SendLimits, Window, network_of, plan_hold, plan_limit, read_conduct
from posthouse.ports.store import RecipientFate, Submission, SubmissionState

NOW = Instant(1_800_000_000.0)
LIMITS = SendLimits(strangers=10, failures=5)


def sent(number: int, age_s: float, source: str, *recipients: str, outcome: str = "relayed") -> Submission:
    fates = [RecipientFate(one, outcome, "", NOW - age_s) for one in recipients]
    created = NOW - age_s
    state = SubmissionState.FINAL
    return Submission(
        SubmissionId(number), AccountId(7), b"", state, 3, None, created, 0.0, ModSeq(1), source, "", fates
    )


def strangers(count: int) -> list[str]:
    return [f"s{number}@there.example" for number in range(count)]


def hold(conduct: Conduct, recipients: list[str], source: str, limits: SendLimits = LIMITS) -> str:
    return plan_hold(conduct, NOW, recipients, network_of(source), limits)


def test_a_window_slides() -> None:
    window = Window(60)
    for at in (0, 10, 20):
        window.add(at, 2)
    assert window.sum(20) == 6
    assert window.sum(60) == 4
    assert window.room_at(61, 5, 2) == 70
    assert window.room_at(61, 6, 2) == 61


def test_each_limit_has_its_own_words() -> None:
    conduct = Conduct(NOW)
    conduct.note_sent(NOW - 600, strangers(400), "")
    assert plan_limit(conduct, NOW, 100, SendLimits()) is None
    reply = plan_limit(conduct, NOW, 101, SendLimits())
    assert str(reply) == "450 4.7.1 This account may send to 500 recipients an hour; try again in 50 min"
    never = plan_limit(conduct, NOW, 501, SendLimits(recipients_per_message=0))
    assert never is not None and never.code == 550
    assert plan_limit(conduct, NOW, 10_000, SendLimits(0, 0, 0, 0)) is None


def test_old_friends_from_a_new_place_hold_nothing() -> None:
    conduct = read_conduct([sent(1, 86400 * 9, "192.0.2.7", *strangers(30))], NOW)
    assert hold(conduct, strangers(30), "203.0.113.9") == ""


def test_many_strangers_from_the_usual_place_hold_nothing() -> None:
    conduct = read_conduct([sent(1, 86400, "192.0.2.7", "bob@there.example")], NOW)
    assert hold(conduct, strangers(30), "192.0.2.200") == ""


def test_many_strangers_from_a_new_place_are_held() -> None:
    conduct = read_conduct([sent(1, 86400, "192.0.2.7", "bob@there.example")], NOW)
    assert hold(conduct, strangers(10), "203.0.113.9") == (
        "10 recipients never written to before; first use from 203.0.113.0/24"
    )


def test_strangers_in_many_small_messages_add_up_within_the_hour() -> None:
    conduct = read_conduct([sent(1, 86400, "192.0.2.7", "bob@there.example")], NOW)
    conduct.failures.add(NOW - 60, 5)
    for number, name in enumerate(strangers(9)):
        conduct.note_sent(NOW - 600 + number, [name], "")
    assert hold(conduct, ["last@there.example"], "192.0.2.7") != ""
    late = Instant(NOW + 3700)
    assert plan_hold(conduct, late, ["last@there.example"], "192.0.2.0/24", LIMITS) == ""


def test_a_first_mailing_of_a_new_account_holds_nothing() -> None:
    assert hold(read_conduct([], NOW), strangers(30), "203.0.113.9") == ""


def test_failures_and_strangers_are_held_wherever_it_is() -> None:
    history = [sent(2, 600, "192.0.2.7", *strangers(6), outcome="failed")]
    assert "6 recipients failed" in hold(read_conduct(history, NOW), [f"t{n}@x.example" for n in range(5)], "192.0.2.7")


def test_an_account_stays_on_hold_while_mail_of_it_is_held() -> None:
    held = replace(sent(3, 60, "192.0.2.7", "bob@there.example", outcome=""), state=SubmissionState.HELD)
    assert hold(read_conduct([held], NOW), ["bob@there.example"], "192.0.2.7") != ""
    released = replace(held, state=SubmissionState.QUEUED)
    assert hold(read_conduct([released], NOW), ["bob@there.example"], "192.0.2.7") == ""


def test_it_can_be_switched_off() -> None:
    conduct = read_conduct([sent(1, 86400, "192.0.2.7", "bob@there.example")], NOW)
    assert hold(conduct, strangers(30), "203.0.113.9", SendLimits(holds=False)) == ""


def test_networks() -> None:
    assert network_of("192.0.2.77") == "192.0.2.0/24"
    assert network_of("2001:db8:1:2::3") == "2001:db8:1::/48"
    assert network_of("jmap") == ""
