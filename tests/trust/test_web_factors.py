"""Codes as the RFCs have them, and challenges that need not be kept."""

from __future__ import annotations

import itertools

import pytest

from posthouse.message.instant import Instant
from posthouse.message.mailbox import AccountId
from posthouse.ports.clock import FakeClock
from posthouse.ports.credentials import FakeCredentials
from posthouse.ports.second_factors import FakeSecondFactors, wait_after
from posthouse.trust.web_factors import (
    CHALLENGE_S,
    Challenges,
    CodeDesk,
    CodeVerdict,
    find_step,
    make_code,
    make_recovery_codes,
    make_uri,
    make_user_handle,
    show_secret,
)

ALICE = AccountId(1)
SECRET = b"12345678901234567890"


def test_codes_are_those_of_rfc_4226_appendix_d() -> None:
    expected = ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"]
    assert [make_code(SECRET, step) for step in range(10)] == expected


@pytest.mark.parametrize(
    ("time", "code"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_codes_are_those_of_rfc_6238_appendix_b(time: int, code: str) -> None:
    assert make_code(SECRET, time // 30) == code
    assert find_step(SECRET, code, time) == time // 30


def test_the_window_is_one_step_to_either_side() -> None:
    now = 3000.0
    fitting = [offset for offset in range(-3, 4) if find_step(SECRET, make_code(SECRET, 100 + offset), now) is not None]
    assert fitting == [-1, 0, 1]
    assert find_step(SECRET, "", now) is None
    assert find_step(SECRET, "ü23456", now) is None


def test_the_first_moments_of_time_are_no_trouble() -> None:
    assert find_step(SECRET, make_code(SECRET, 0), 0.0) == 0


def test_what_apps_read_names_the_server_and_the_account() -> None:
    uri = make_uri(SECRET, "alice@example.org", "mail host")
    assert uri == (
        "otpauth://totp/mail%20host:alice%40example.org?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
        "&issuer=mail%20host&digits=6&period=30"
    )
    assert show_secret(b"1") == "GE"


def test_recovery_codes_are_ten_and_long() -> None:
    numbers = itertools.count()
    codes = make_recovery_codes(lambda count: next(numbers).to_bytes(count, "big"))
    assert len(set(codes)) == 10
    assert codes[0] == "aaaa-aaaa-aaaa-aaaa"


async def test_codes_of_an_account_that_has_none_are_wrong_and_cost_no_write() -> None:
    desk = CodeDesk(FakeSecondFactors(), FakeCredentials(), FakeClock())
    assert await desk.check(ALICE, "123456") is CodeVerdict.WRONG
    assert await desk.switch_on(ALICE, "123456", []) is CodeVerdict.WRONG


async def test_a_code_of_a_proposed_secret_does_not_sign_in() -> None:
    clock, factors = FakeClock(), FakeSecondFactors()
    desk = CodeDesk(factors, FakeCredentials(), clock)
    await factors.propose_totp(ALICE, SECRET, clock.now())
    code = make_code(SECRET, int(clock.now() // 30))
    assert await desk.check(ALICE, code) is CodeVerdict.WRONG
    assert await desk.switch_on(ALICE, code, []) is CodeVerdict.RIGHT


async def test_an_endless_code_is_not_looked_at() -> None:
    clock, factors = FakeClock(), FakeSecondFactors()
    await factors.propose_totp(ALICE, SECRET, clock.now())
    assert await factors.switch_on(ALICE, 1, [])
    assert await CodeDesk(factors, FakeCredentials(), clock).check(ALICE, "1" * 10_000) is CodeVerdict.WRONG


def test_the_wait_doubles_up_to_an_hour() -> None:
    assert [wait_after(failures) for failures in (0, 4, 5, 6, 7)] == [0.0, 0.0, 1.0, 2.0, 4.0]
    assert wait_after(1000) == 3600.0


async def test_a_year_of_guessing_is_not_enough() -> None:
    clock, factors = FakeClock(), FakeSecondFactors()
    await factors.propose_totp(ALICE, SECRET, clock.now())
    await factors.switch_on(ALICE, 1, [])
    until, tries = clock.now() + 365 * 86400, 0
    while clock.now() < until:
        wait = await factors.begin_try(ALICE, clock.now())
        tries += not wait
        clock.advance(wait or 0.001)
    assert tries * 3 / 10**6 < 0.03


async def test_a_clock_that_was_put_back_does_not_lock_anybody_out() -> None:
    factors = FakeSecondFactors()
    await factors.propose_totp(ALICE, SECRET, Instant(0.0))
    for _ in range(6):
        await factors.begin_try(ALICE, Instant(1_000_000.0))
    assert await factors.begin_try(ALICE, Instant(1_000_000.0)) > 0
    assert await factors.begin_try(ALICE, Instant(5000.0)) == 0


def challenges(clock: FakeClock, secret: bytes = b"s" * 32) -> Challenges:
    return Challenges(FakeCredentials(secret=secret), clock, lambda count: b"n" * count)


def test_a_challenge_is_good_for_its_purpose_place_and_time_alone() -> None:
    clock = FakeClock()
    made = challenges(clock).make("sign in", "https://mail.example.org")
    ours = challenges(clock)
    assert ours.find_end(made, "sign in", "https://mail.example.org") == int(clock.now()) + CHALLENGE_S
    assert ours.find_end(made, "register 1", "https://mail.example.org") is None
    assert ours.find_end(made, "sign in", "https://evil.example") is None
    assert challenges(clock, b"t" * 32).find_end(made, "sign in", "https://mail.example.org") is None
    for broken in (b"", made[:-1], made + b"x", bytes([made[0] ^ 1]) + made[1:]):
        assert ours.find_end(broken, "sign in", "https://mail.example.org") is None
    clock.advance(CHALLENGE_S)
    assert ours.find_end(made, "sign in", "https://mail.example.org") is None


def test_a_challenge_from_the_future_is_not_ours() -> None:
    clock = FakeClock()
    made = challenges(clock).make("sign in", "x")
    clock.jump(-60)
    assert challenges(clock).find_end(made, "sign in", "x") is None


def test_a_user_handle_says_nothing_of_the_account_and_stays_the_same() -> None:
    first, again = make_user_handle(FakeCredentials(), ALICE), make_user_handle(FakeCredentials(), ALICE)
    assert first == again
    assert len(first) == 32
    assert first != make_user_handle(FakeCredentials(), AccountId(2))
