"""Second factors at the web page: codes, recovery codes, passkeys; none is used twice, guessed or carried away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from posthouse.manage.accounts import AppPasswordOptions
from posthouse.message.mailbox import AccountId
from posthouse.ports.directory_admin import AccountChange
from posthouse.ports.login import Scope
from posthouse.trust.web_factors import STEP_S, make_code
from tests.app.web_api_authenticator import Authenticator, decode, encode
from tests.app.web_api_kit import ADMIN, ALICE, HOST, PAGE, PASSWORD, Browser, House, open_house

ORIGIN = f"https://{HOST}"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async for opened in open_house(tmp_path):
        yield opened


def code_now(house: House, steps: int = 0, account: AccountId = ALICE) -> str:
    totp = house.factors.totp(account)
    assert totp is not None
    return make_code(totp.secret, int(house.clock.now() // STEP_S) + steps)


async def switch_on(house: House, browser: Browser) -> list[str]:
    await browser.call("POST", "/api/totp")
    answer = await browser.call("POST", "/api/totp", {"code": code_now(house)})
    assert answer.status == 200, answer.body
    assert answer.json["isOn"]
    house.clock.advance(STEP_S)
    codes: list[str] = answer.json["recoveryCodes"]
    return codes


# -- codes


async def test_codes_are_switched_on_by_showing_that_the_app_works(house: House) -> None:
    browser = await house.signed_in()
    assert (await browser.call("GET", "/api/totp")).json == {"isOn": False, "recoveryCodes": 0}
    proposed = (await browser.call("POST", "/api/totp", {})).json
    assert proposed["uri"].startswith("otpauth://totp/mail.example.org:alice%40example.org?secret=")
    assert proposed["secret"] in proposed["uri"]
    assert (await browser.call("POST", "/api/totp", {"code": "000000"})).status == 401
    assert (await browser.call("GET", "/api/totp")).json["isOn"] is False
    recovery = await switch_on(house, browser)
    assert len(set(recovery)) == 10
    assert (await browser.call("GET", "/api/totp")).json == {"isOn": True, "recoveryCodes": 10}
    assert (await browser.call("POST", "/api/totp")).status == 409
    assert (await browser.call("GET", "/api/session")).json["secondFactors"] == ["totp"]


async def test_only_the_right_password_learns_that_a_code_is_missing(house: House) -> None:
    await switch_on(house, await house.signed_in())
    wrong = await house.browser().sign_in(password="wrong")
    assert wrong.status == 401
    assert "needs" not in wrong.json
    browser = house.browser()
    answer = await browser.sign_in()
    assert answer.status == 401
    assert answer.json["needs"] == ["totp"]
    assert not answer.cookies
    answer = await browser.sign_in(code=code_now(house))
    assert answer.status == 200
    listed = (await browser.call("GET", "/api/sessions")).json
    assert listed[0]["means"] == "password and code"


async def test_a_code_counts_once_and_those_before_it_no_more(house: House) -> None:
    await switch_on(house, await house.signed_in())
    code, before = code_now(house), code_now(house, -1)
    assert (await house.browser().sign_in(code=code)).status == 200
    assert (await house.browser().sign_in(code=code)).status == 401
    assert (await house.browser().sign_in(code=before)).status == 401
    house.clock.advance(STEP_S)
    assert (await house.browser().sign_in(code=code_now(house))).status == 200


async def test_the_code_that_switched_it_on_does_not_sign_in(house: House) -> None:
    browser = await house.signed_in()
    await browser.call("POST", "/api/totp")
    code = code_now(house)
    await browser.call("POST", "/api/totp", {"code": code})
    assert (await house.browser().sign_in(code=code)).status == 401


async def test_a_clock_that_is_half_a_minute_off_still_fits_but_not_a_whole_one(house: House) -> None:
    await switch_on(house, await house.signed_in())
    house.clock.advance(10 * STEP_S)
    assert (await house.browser().sign_in(code=code_now(house, -2))).status == 401
    assert (await house.browser().sign_in(code=code_now(house, 2))).status == 401
    assert (await house.browser().sign_in(code=code_now(house, -1))).status == 200
    assert (await house.browser().sign_in(code=code_now(house, 1))).status == 200


async def test_the_same_code_at_two_workers_at_once_signs_in_once(house: House) -> None:
    await switch_on(house, await house.signed_in())
    code = code_now(house)
    answers = await asyncio.gather(*(house.browser().sign_in(code=code) for _ in range(4)))
    assert sorted(answer.status for answer in answers) == [200, 401, 401, 401]


async def test_codes_cannot_be_guessed_not_even_from_where_the_owner_signs_in(house: House) -> None:
    await switch_on(house, await house.signed_in())
    statuses = [(await house.browser().sign_in(code=f"{number:06}")).status for number in range(20)]
    assert statuses[:5] == [401] * 5
    assert statuses[5:] == [429] * 15
    assert (await house.browser().sign_in(code=code_now(house))).status == 429
    house.clock.advance(STEP_S)
    assert (await house.browser().sign_in(code=code_now(house))).status == 200
    assert (await house.browser().sign_in(code="000000")).status == 401


async def test_guessing_at_once_does_not_help(house: House) -> None:
    await switch_on(house, await house.signed_in())
    answers = await asyncio.gather(*(house.browser().sign_in(code=f"{number:06}") for number in range(20)))
    assert sorted(answer.status for answer in answers) == [401] * 5 + [429] * 15


async def test_a_recovery_code_signs_in_once_however_it_is_typed(house: House) -> None:
    recovery = await switch_on(house, await house.signed_in())
    browser = house.browser()
    assert (await browser.sign_in(code=recovery[0].upper().replace("-", " "))).status == 200
    assert (await house.browser().sign_in(code=recovery[0])).status == 401
    assert (await browser.call("GET", "/api/totp")).json["recoveryCodes"] == 9


async def test_with_codes_on_the_main_password_opens_no_mail_program_but_an_app_password_does(house: House) -> None:
    browser = await house.signed_in()
    await house.passwords.add_app(ALICE, "Phone", AppPasswordOptions())
    await switch_on(house, browser)
    rows = {row.name: row.scopes for row in house.credentials.list_for(ALICE)}
    assert rows == {"": frozenset({Scope.MANAGE}), "Phone": frozenset(Scope)}


async def test_with_codes_on_a_program_administers_by_an_app_password_alone(house: House) -> None:
    browser = await house.signed_in("root@example.org", "root's own")
    app = await house.passwords.add_app(ADMIN, "Tool", AppPasswordOptions(scopes=["manage"]))
    main = house.program("root@example.org", "root's own")
    assert (await main.call("GET", "/api/admin/domains")).status == 200
    await browser.call("POST", "/api/totp")
    await browser.call("POST", "/api/totp", {"code": code_now(house, account=ADMIN)})
    answer = await main.call("GET", "/api/admin/domains")
    assert (answer.status, answer.detail) == (403, "With a second factor, programs need an app password")
    assert (await house.program("root@example.org", app).call("GET", "/api/admin/domains")).status == 200


async def test_a_new_password_does_not_open_what_the_second_factor_shut(house: House) -> None:
    browser = await house.signed_in()
    await switch_on(house, browser)
    change = {"old": PASSWORD, "new": "another one"}
    assert (await browser.call("POST", "/api/password", change)).status == 204
    await house.passwords.set_main(ALICE, "by the administrator")
    assert house.credentials.list_for(ALICE)[0].scopes == frozenset({Scope.MANAGE})


async def test_switching_on_ends_other_sessions_and_keeps_this_one(house: House) -> None:
    other, browser = await house.signed_in(), await house.signed_in()
    await switch_on(house, browser)
    assert (await browser.call("GET", "/api/session")).status == 200
    assert (await other.call("GET", "/api/session")).status == 401


async def test_what_a_crash_left_undone_is_done_at_the_next_sign_in(house: House) -> None:
    browser = await house.signed_in()
    await browser.call("POST", "/api/totp")
    step = int(house.clock.now() // STEP_S)
    await house.factors.switch_on(ALICE, step, [])
    assert house.credentials.list_for(ALICE)[0].scopes == frozenset(Scope)
    house.clock.advance(STEP_S)
    again = house.browser()
    assert (await again.sign_in(code=code_now(house))).status == 200
    assert house.credentials.list_for(ALICE)[0].scopes == frozenset({Scope.MANAGE})
    assert (await again.call("GET", "/api/session")).status == 200


async def test_what_was_switched_off_half_by_a_crash_is_whole_at_the_next_sign_in(house: House) -> None:
    await switch_on(house, await house.signed_in())
    await house.factors.switch_off(ALICE)
    assert house.credentials.list_for(ALICE)[0].scopes == frozenset({Scope.MANAGE})
    browser = await house.signed_in()
    assert house.credentials.list_for(ALICE)[0].scopes == frozenset(Scope)
    assert (await browser.call("GET", "/api/session")).status == 200


async def test_codes_are_switched_off_with_the_password_alone(house: House) -> None:
    browser = await house.signed_in()
    await switch_on(house, browser)
    assert (await browser.call("DELETE", "/api/totp", {"password": "wrong"})).status == 401
    assert (await browser.call("DELETE", "/api/totp", {})).status == 400
    assert (await browser.call("DELETE", "/api/totp", {"password": PASSWORD})).status == 204
    assert (await browser.call("DELETE", "/api/totp", {"password": PASSWORD})).status == 404
    assert (await browser.call("GET", "/api/totp")).json == {"isOn": False, "recoveryCodes": 0}
    assert (await house.browser().sign_in()).status == 200
    assert house.credentials.list_for(ALICE)[0].scopes == frozenset(Scope)


# -- passkeys


async def register(browser: Browser, authenticator: Authenticator, name: str = "") -> Any:
    options = (await browser.call("POST", "/api/passkeys/options")).json["publicKey"]
    credential = authenticator.register(options)
    return await browser.call("POST", "/api/passkeys", {"credential": credential, "name": name})


async def sign_in(house: House, authenticator: Authenticator) -> tuple[Browser, Any]:
    browser = house.browser()
    options = (await browser.call("POST", "/api/passkey/options")).json["publicKey"]
    credential = authenticator.answer(options)
    return browser, await browser.call("POST", "/api/passkey/verify", {"credential": credential})


async def test_a_passkey_is_registered_and_signs_in_without_a_name(house: House) -> None:
    browser, key = await house.signed_in(), Authenticator(ORIGIN)
    answer = await register(browser, key, "Laptop")
    assert answer.status == 201
    assert answer.json["name"] == "Laptop"
    guest, answer = await sign_in(house, key)
    assert answer.status == 200
    assert answer.json["account"]["name"] == "alice@example.org"
    assert (await guest.call("GET", "/api/session")).json["secondFactors"] == ["passkey"]
    assert (await guest.call("GET", "/api/sessions")).json[0]["means"] == "passkey"
    listed = (await guest.call("GET", "/api/passkeys")).json
    assert [(each["name"], each["lastUsed"] is None) for each in listed] == [("Laptop", False)]


async def test_options_ask_for_a_verified_user_and_tell_what_is_known(house: House) -> None:
    browser, key = await house.signed_in(), Authenticator(ORIGIN)
    await register(browser, key)
    options = (await browser.call("POST", "/api/passkeys/options")).json["publicKey"]
    assert options["rp"] == {"name": HOST, "id": HOST}
    assert options["authenticatorSelection"]["userVerification"] == "required"
    assert [each["id"] for each in options["excludeCredentials"]] == [encode(key.handle)]
    assert b"alice" not in decode(options["user"]["id"])
    options = (await house.browser().call("POST", "/api/passkey/options")).json["publicKey"]
    assert (options["rpId"], options["userVerification"]) == (HOST, "required")
    assert "allowCredentials" not in options


async def test_a_passkey_is_the_second_factor_too(house: House) -> None:
    browser, key = await house.signed_in(), Authenticator(ORIGIN)
    await register(browser, key)
    await switch_on(house, browser)
    assert (await house.browser().sign_in()).json["needs"] == ["totp", "passkey"]
    assert (await sign_in(house, key))[1].status == 200


async def test_an_answer_counts_once(house: House) -> None:
    browser, key = await house.signed_in(), Authenticator(ORIGIN)
    await register(browser, key)
    options = (await house.browser().call("POST", "/api/passkey/options")).json["publicKey"]
    body = {"credential": key.answer(options)}
    assert (await house.browser().call("POST", "/api/passkey/verify", body)).status == 200
    answer = await house.browser().call("POST", "/api/passkey/verify", body)
    assert answer.status == 401
    assert not answer.cookies


async def test_a_challenge_is_good_for_some_minutes(house: House) -> None:
    browser, key = await house.signed_in(), Authenticator(ORIGIN)
    await register(browser, key)
    options = (await house.browser().call("POST", "/api/passkey/options")).json["publicKey"]
    house.clock.advance(301)
    body = {"credential": key.answer(options)}
    assert (await house.browser().call("POST", "/api/passkey/verify", body)).status == 401


async def test_an_answer_made_for_another_page_is_refused(house: House) -> None:
    browser, key = await house.signed_in(), Authenticator(ORIGIN)
    await register(browser, key)
    for origin, rp in (("https://evil.example", HOST), (ORIGIN, "evil.example"), (f"{ORIGIN}:444", HOST)):
        key.origin, key.rp = origin, rp
        assert (await sign_in(house, key))[1].status == 401
    key.origin, key.rp, key.is_verified = ORIGIN, HOST, False
    assert (await sign_in(house, key))[1].status == 401
    key.is_verified = True
    assert (await sign_in(house, key))[1].status == 200


async def test_a_challenge_for_registering_does_not_sign_in_and_the_other_way_round(house: House) -> None:
    browser, key = await house.signed_in(), Authenticator(ORIGIN)
    await register(browser, key)
    options = (await browser.call("POST", "/api/passkeys/options")).json["publicKey"]
    body = {"credential": key.answer({"challenge": options["challenge"]})}
    assert (await house.browser().call("POST", "/api/passkey/verify", body)).status == 401
    given = (await house.browser().call("POST", "/api/passkey/options")).json["publicKey"]
    other = Authenticator(ORIGIN, handle=b"other")
    made = other.register({**options, "challenge": given["challenge"]})
    assert (await browser.call("POST", "/api/passkeys", {"credential": made})).status == 400


async def test_a_registration_of_one_account_is_not_taken_by_another(house: House) -> None:
    alice, bob = await house.signed_in(), await house.signed_in("bob@example.org", "bob's own")
    options = (await alice.call("POST", "/api/passkeys/options")).json["publicKey"]
    made = {"credential": Authenticator(ORIGIN).register(options)}
    assert (await bob.call("POST", "/api/passkeys", made)).status == 400
    assert (await alice.call("POST", "/api/passkeys", made)).status == 201
    assert (await alice.call("POST", "/api/passkeys", made)).status == 409


async def test_another_key_with_the_same_handle_is_refused(house: House) -> None:
    browser, key = await house.signed_in(), Authenticator(ORIGIN)
    await register(browser, key)
    stranger = Authenticator(ORIGIN, handle=key.handle, rp=HOST, user=key.user)
    assert (await sign_in(house, stranger))[1].status == 401
    key.user = b"somebody else"
    assert (await sign_in(house, key))[1].status == 401


async def test_a_counter_that_falls_shows_a_copy(house: House) -> None:
    browser, key = await house.signed_in(), Authenticator(ORIGIN, counts=True)
    await register(browser, key)
    for _ in range(3):
        assert (await sign_in(house, key))[1].status == 200
    key.counter = 1
    assert (await sign_in(house, key))[1].status == 401


async def test_a_removed_passkey_signs_nobody_in_and_its_sessions_end(house: House) -> None:
    browser, key = await house.signed_in(), Authenticator(ORIGIN)
    number = (await register(browser, key)).json["id"]
    guest, _ = await sign_in(house, key)
    bob = await house.signed_in("bob@example.org", "bob's own")
    assert (await bob.call("DELETE", f"/api/passkeys/{number}")).status == 404
    assert (await browser.call("DELETE", f"/api/passkeys/{number}")).status == 204
    assert (await browser.call("DELETE", f"/api/passkeys/{number}")).status == 404
    assert (await guest.call("GET", "/api/session")).status == 401
    assert (await browser.call("GET", "/api/session")).status == 200
    assert (await sign_in(house, key))[1].status == 401


async def test_a_disabled_account_does_not_sign_in_by_passkey(house: House) -> None:
    browser, key = await house.signed_in(), Authenticator(ORIGIN)
    await register(browser, key)
    house.admin.change_account(ALICE, AccountChange(is_disabled=True))
    assert (await sign_in(house, key))[1].status == 403


async def test_passkeys_need_a_name_not_an_address(house: House) -> None:
    here = Browser(house.app, "127.0.0.1", "http", "127.0.0.1:8080", headers={"x-posthouse": "1"})
    for host in ("127.0.0.1:8080", "127.0.0.1", "[::1]", "[::1]:8080"):
        here.host = host
        assert (await here.call("POST", "/api/passkey/options")).status == 403
    here.host = "localhost:8080"
    assert (await here.call("POST", "/api/passkey/options")).json["publicKey"]["rpId"] == "localhost"


async def test_a_passkey_sign_in_that_another_site_asks_for_is_refused(house: House) -> None:
    for path in ("/api/passkey/options", "/api/passkey/verify"):
        evil = Browser(house.app, headers={**PAGE, "origin": "https://evil.example"})
        assert (await evil.call("POST", path, {"credential": {}})).status == 403


@pytest.mark.parametrize(
    "credential",
    [
        {},
        {"id": "x"},
        {"response": 1},
        {"response": {}},
        {"id": "eA", "rawId": "eA", "response": {"clientDataJSON": "!!", "authenticatorData": "", "signature": ""}},
        {"id": "eA", "rawId": "eA", "response": {"clientDataJSON": "e30", "authenticatorData": "", "signature": ""}},
        {"id": "eA", "rawId": "eA", "response": {"clientDataJSON": "e30", "attestationObject": "gg"}},
        {"id": [1], "rawId": {"a": 1}, "response": {"clientDataJSON": ["e30"]}},
    ],
)
async def test_nonsense_for_a_passkey_is_refused(house: House, credential: dict[str, object]) -> None:
    answer = await house.browser().call("POST", "/api/passkey/verify", {"credential": credential})
    assert answer.status == 401
    browser = await house.signed_in()
    assert (await browser.call("POST", "/api/passkeys", {"credential": credential})).status == 400


async def test_what_a_passkey_is_called_is_bounded(house: House) -> None:
    browser = await house.signed_in()
    options = (await browser.call("POST", "/api/passkeys/options")).json["publicKey"]
    made = Authenticator(ORIGIN).register(options)
    assert (await browser.call("POST", "/api/passkeys", {"credential": made, "name": "x" * 101})).status == 400
    assert (await browser.call("POST", "/api/passkeys", {"credential": made, "name": "a\nb"})).status == 409
