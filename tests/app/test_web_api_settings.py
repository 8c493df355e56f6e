"""Settings of one's own account: the password, app passwords, the Outbox, forwarding; and whose they are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from posthouse.manage.accounts import AppPasswordOptions
from posthouse.ports.credentials import CredentialKind
from posthouse.protocol.sasl.server_scram import derive_keys
from posthouse.trust.secrets import ITERATIONS
from tests.app.web_api_kit import ALICE, PASSWORD, House, open_house

PATHS = (
    ("POST", "/api/password"),
    ("GET", "/api/app-passwords"),
    ("POST", "/api/app-passwords"),
    ("DELETE", "/api/app-passwords/1"),
    ("GET", "/api/outbox"),
    ("PUT", "/api/outbox"),
    ("GET", "/api/forwarding"),
    ("PUT", "/api/forwarding"),
    ("GET", "/api/sessions"),
    ("DELETE", "/api/sessions/1"),
    ("GET", "/api/totp"),
    ("POST", "/api/totp"),
    ("DELETE", "/api/totp"),
    ("GET", "/api/passkeys"),
    ("POST", "/api/passkeys"),
    ("POST", "/api/passkeys/options"),
    ("DELETE", "/api/passkeys/1"),
    ("GET", "/api/export?format=zip"),
    ("POST", "/api/import?format=zip"),
)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async for opened in open_house(tmp_path):
        yield opened


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_nothing_of_an_account_is_done_without_signing_in(house: House, method: str, path: str) -> None:
    answer = await house.browser().call(method, path, {})
    assert answer.status == 401
    assert answer.json["status"] == 401


# -- the password


async def test_a_new_password_ends_the_other_sessions_and_keeps_this_one(house: House) -> None:
    browser, other = await house.signed_in(), await house.signed_in()
    bob = await house.signed_in("bob@example.org", "bob's own")
    assert (await browser.call("POST", "/api/password", {"old": PASSWORD, "new": "another one"})).status == 204
    assert (await browser.call("GET", "/api/session")).status == 200
    assert (await other.call("GET", "/api/session")).status == 401
    assert (await bob.call("GET", "/api/session")).status == 200
    assert (await house.browser().sign_in()).status == 401
    assert (await house.browser().sign_in(password="another one")).status == 200


async def test_scram_goes_on_with_the_new_password(house: House) -> None:
    browser = await house.signed_in()
    await browser.call("POST", "/api/password", {"old": PASSWORD, "new": "another one"})
    row = house.credentials.list_for(ALICE)[0]
    assert row.kind is CredentialKind.MAIN
    assert row.scram_sha256 is not None
    assert row.scram_sha1 is not None
    assert row.scram_sha256.iterations == ITERATIONS
    salt, stored = row.scram_sha256.salt, row.scram_sha256.stored_key
    assert derive_keys("sha256", "another one", salt, ITERATIONS).stored == stored


async def test_the_old_password_must_be_right_and_is_counted(house: House) -> None:
    browser = await house.signed_in()
    changes = [{"old": f"guess {number}", "new": "another one"} for number in range(6)]
    statuses = [(await browser.call("POST", "/api/password", change)).status for change in changes]
    assert statuses == [401] * 6
    assert house.pauses
    assert (await house.browser().sign_in()).status == 200


async def test_an_app_password_does_not_stand_for_the_old_one(house: House) -> None:
    app = await house.passwords.add_app(ALICE, "Phone", AppPasswordOptions())
    browser = await house.signed_in()
    assert (await browser.call("POST", "/api/password", {"old": app, "new": "another one"})).status == 403


@pytest.mark.parametrize("new", ["", "short", "1234567", "a" * 2000, "bad\u0000character", "\u0007bell in it"])
async def test_a_password_that_will_not_do_is_refused_and_nothing_changes(house: House, new: str) -> None:
    browser = await house.signed_in()
    answer = await browser.call("POST", "/api/password", {"old": PASSWORD, "new": new})
    assert answer.status in (400, 409)
    assert answer.detail
    assert (await house.browser().sign_in()).status == 200


# -- app passwords


async def test_an_app_password_is_shown_once_and_works_until_it_is_removed(house: House) -> None:
    browser = await house.signed_in()
    made = await browser.call("POST", "/api/app-passwords", {"name": "Phone", "scopes": ["manage"]})
    assert made.status == 201
    assert made.json["name"] == "Phone"
    assert made.json["scopes"] == ["manage"]
    listed = (await browser.call("GET", "/api/app-passwords")).json
    assert [(each["id"], each["name"], each["scopes"]) for each in listed] == [(made.json["id"], "Phone", ["manage"])]
    assert made.json["password"] not in str(listed)
    program = house.program("alice@example.org", made.json["password"])
    assert (await program.call("GET", "/api/outbox")).detail == "This needs a session of the web page"
    assert (await browser.call("DELETE", f"/api/app-passwords/{made.json['id']}")).status == 204
    assert (await browser.call("DELETE", f"/api/app-passwords/{made.json['id']}")).status == 404
    assert (await program.call("GET", "/api/outbox")).status == 401


async def test_without_scopes_it_is_good_for_everything(house: House) -> None:
    browser = await house.signed_in()
    made = await browser.call("POST", "/api/app-passwords", {"name": "All"})
    assert made.json["scopes"] == ["manage", "read", "send"]


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_a_program_makes_no_more_of_itself(house: House, method: str, path: str) -> None:
    every = await house.passwords.add_app(ALICE, "All", AppPasswordOptions())
    for password in (every, PASSWORD):
        answer = await house.program("alice@example.org", password).call(method, path, {})
        assert (answer.status, answer.detail) == (403, "This needs a session of the web page")


async def test_names_and_scopes_are_checked(house: House) -> None:
    browser = await house.signed_in()
    for body in ({"name": ""}, {"name": "x" * 101}, {"name": "x", "scopes": ["root"]}, {"name": 1}, {}):
        assert (await browser.call("POST", "/api/app-passwords", body)).status == 400
    assert (await browser.call("POST", "/api/app-passwords", {"name": "a\nb"})).status == 409
    assert (await browser.call("POST", "/api/app-passwords", {"name": "   "})).status == 409
    await browser.call("POST", "/api/app-passwords", {"name": "Phone"})
    assert (await browser.call("POST", "/api/app-passwords", {"name": "Phone"})).status == 409


async def test_nobody_removes_the_app_password_of_somebody_else_nor_the_main_one_so(house: House) -> None:
    await house.passwords.add_app(ALICE, "Phone", AppPasswordOptions())
    main, phone = house.credentials.list_for(ALICE)
    bob = await house.signed_in("bob@example.org", "bob's own")
    assert (await bob.call("DELETE", f"/api/app-passwords/{phone.id}")).status == 404
    alice = await house.signed_in()
    assert (await alice.call("DELETE", f"/api/app-passwords/{main.id}")).status == 404
    assert len(house.credentials.list_for(ALICE)) == 2


# -- the Outbox


async def test_the_outbox_is_opened_and_shut(house: House) -> None:
    browser = await house.signed_in()
    assert (await browser.call("GET", "/api/outbox")).json == {"isOn": False}
    assert (await browser.call("PUT", "/api/outbox", {"isOn": True})).json == {"isOn": True}
    assert (await browser.call("GET", "/api/outbox")).json == {"isOn": True}
    assert (await browser.call("PUT", "/api/outbox", {"isOn": False})).json == {"isOn": False}
    assert [account for account, _ in house.sending.noted] == [ALICE, ALICE]


async def test_what_sending_refuses_is_told(house: House) -> None:
    house.sending.refusal = "5.7.1 not for you"
    browser = await house.signed_in()
    answer = await browser.call("PUT", "/api/outbox", {"isOn": True})
    assert answer.status == 403
    assert answer.detail == "5.7.1 not for you"
    assert (await browser.call("GET", "/api/outbox")).json == {"isOn": False}


# -- forwarding


async def test_forwarding_is_set_and_taken_back(house: House) -> None:
    browser = await house.signed_in()
    assert (await browser.call("GET", "/api/forwarding")).json == {"targets": [], "keepsCopy": True}
    wanted = {"targets": ["al@elsewhere.example", "bob@example.org"], "keepsCopy": False}
    assert (await browser.call("PUT", "/api/forwarding", wanted)).json == wanted
    assert (await browser.call("GET", "/api/forwarding")).json == wanted
    assert (await browser.call("PUT", "/api/forwarding", {"targets": []})).json["targets"] == []


async def test_forwarding_to_what_is_no_address_is_refused(house: House) -> None:
    browser = await house.signed_in()
    answer = await browser.call("PUT", "/api/forwarding", {"targets": ["nonsense"], "keepsCopy": True})
    assert answer.status == 409
    assert "nonsense" in answer.detail
    for body in ({"targets": "x"}, {"targets": ["a@b.example"] * 200}, {}):
        assert (await browser.call("PUT", "/api/forwarding", body)).status == 400
