"""Administration of the directory by the HTTP API: who may, what it answers, and that nobody locks himself out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import cast
from urllib.parse import quote

import pytest

from posthouse.app.web_api_admin import AdminApi
from posthouse.app.web_api_table import Access, Api
from posthouse.manage.accounts import AppPasswordOptions
from posthouse.message.mailbox import AccountId
from posthouse.ports.credentials import Credential, Credentials
from posthouse.ports.directory import DirectoryError
from posthouse.ports.directory_admin import AccountChange
from posthouse.serve.http_app import AppSettings, HttpApp
from posthouse.serve.http_reading import HttpLimits
from posthouse.trust.web_factors import STEP_S, make_code
from tests.app.web_api_kit import ADMIN, ALICE, Browser, House, open_house

ALICES = "/api/admin/accounts/alice%40example.org"
ROOTS = "/api/admin/accounts/root%40example.org"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async for opened in open_house(tmp_path):
        yield opened


@pytest.fixture
async def root(house: House) -> Browser:
    return await house.signed_in("root@example.org", "root's own")


async def test_every_endpoint_of_administration_is_shut_to_everybody_else(house: House) -> None:
    alice, stranger = await house.signed_in(), house.browser()
    app = await house.passwords.add_app(ALICE, "Tool", AppPasswordOptions())
    program = house.program("alice@example.org", app)
    tried = 0
    for endpoint in house.api.endpoints:
        if not endpoint.path.startswith("/api/admin/"):
            assert endpoint.access is not Access.ADMIN
            continue
        assert endpoint.access is Access.ADMIN
        path = endpoint.path.replace("{", "").replace("}", "")
        assert (await alice.call(endpoint.method, path, {})).status == 403, endpoint
        assert (await program.call(endpoint.method, path, {})).status == 403, endpoint
        assert (await stranger.call(endpoint.method, path, {})).status == 401, endpoint
        tried += 1
    assert tried >= 25


async def test_an_administrator_who_is_one_no_more_is_shut_out_at_the_next_call(house: House, root: Browser) -> None:
    assert (await root.call("GET", "/api/admin/domains")).status == 200
    house.admin.change_account(ADMIN, AccountChange(is_admin=False))
    assert (await root.call("GET", "/api/admin/domains")).status == 403
    house.admin.change_account(ADMIN, AccountChange(is_admin=True))
    house.admin.change_account(ADMIN, AccountChange(is_disabled=True))
    assert (await root.call("GET", "/api/admin/domains")).status == 401


async def test_a_program_administers_with_a_password_for_that_alone(house: House) -> None:
    manage = await house.passwords.add_app(ADMIN, "Tool", AppPasswordOptions(scopes=["manage"]))
    read = await house.passwords.add_app(ADMIN, "Mail", AppPasswordOptions(scopes=["read", "send"]))
    assert (await house.program("root@example.org", manage).call("GET", "/api/admin/domains")).status == 200
    assert (await house.program("root@example.org", read).call("GET", "/api/admin/domains")).status == 403
    assert (await house.program("root@example.org", "wrong").call("GET", "/api/admin/domains")).status == 401
    assert (await house.program("root@example.org", "root's own").call("GET", "/api/admin/domains")).status == 200


async def test_a_program_needs_no_csrf_header_and_sets_no_cookie(house: House) -> None:
    program = house.program("root@example.org", "root's own")
    answer = await program.call("POST", "/api/admin/domains", {"domain": "new.example"})
    assert answer.status == 201
    assert answer.cookies == []


# -- domains


async def test_domains_are_added_listed_and_removed(root: Browser) -> None:
    made = await root.call("POST", "/api/admin/domains", {"domain": "new.example"})
    assert made.status == 201
    assert made.json == {"domain": "new.example", "alias_of": None, "accounts": 0, "aliases": 0}
    other = {"domain": "also.example", "alias_of": "new.example"}
    assert (await root.call("POST", "/api/admin/domains", other)).json["alias_of"] == "new.example"
    listed = (await root.call("GET", "/api/admin/domains")).json
    assert [(each["domain"], each["accounts"]) for each in listed] == [
        ("also.example", 0),
        ("example.org", 3),
        ("new.example", 0),
    ]
    assert (await root.call("DELETE", "/api/admin/domains/new.example")).status == 409
    assert (await root.call("DELETE", "/api/admin/domains/also.example")).status == 204
    assert (await root.call("DELETE", "/api/admin/domains/new.example")).status == 204


async def test_refusals_come_in_words_for_people(root: Browser) -> None:
    answer = await root.call("DELETE", "/api/admin/domains/example.org")
    assert answer.status == 409
    assert answer.detail == "example.org has 3 accounts and 0 aliases: remove them first"
    assert (await root.call("POST", "/api/admin/domains", {"domain": "not a domain"})).status == 409
    assert (await root.call("POST", "/api/admin/domains", {"domain": "[127.0.0.1]"})).status == 409
    assert (await root.call("POST", "/api/admin/domains", {"domain": "example.org"})).status == 409


# -- accounts


async def test_an_account_is_made_and_signs_in(house: House, root: Browser) -> None:
    wanted = {"address": "carol@example.org", "password": "carol's own", "name": "Carol", "quota": 1000, "admin": False}
    made = await root.call("POST", "/api/admin/accounts", wanted)
    assert made.status == 201
    assert made.json["quota"] == 1000
    assert made.json["password"] is None
    assert (await house.browser().sign_in("carol@example.org", "carol's own")).status == 200
    assert (await root.call("POST", "/api/admin/accounts", wanted)).status == 409


async def test_a_password_that_was_made_is_told_once(house: House, root: Browser) -> None:
    made = (await root.call("POST", "/api/admin/accounts", {"address": "carol@example.org"})).json
    assert len(made["password"]) > 20
    assert (await house.browser().sign_in("carol@example.org", made["password"])).status == 200
    shown = await root.call("GET", "/api/admin/accounts/carol@example.org")
    assert made["password"] not in shown.body.decode()


async def test_an_account_is_not_made_for_a_password_that_will_not_do(root: Browser) -> None:
    for password in ("short", "bad\u0000characters"):
        wanted = {"address": "carol@example.org", "password": password}
        assert (await root.call("POST", "/api/admin/accounts", wanted)).status == 409
    assert (await root.call("GET", "/api/admin/accounts/carol@example.org")).status == 404
    assert (await root.call("POST", "/api/admin/accounts", {"address": "carol@elsewhere.example"})).status == 409
    assert (await root.call("POST", "/api/admin/accounts", {"address": "x@example.org", "quota": -1})).status == 400


async def test_an_account_whose_password_cannot_be_stored_does_not_stay(house: House, root: Browser) -> None:
    class BrokenCredentials:
        def server_secret(self) -> bytes:
            return b"s" * 32

        def list_for(self, account: AccountId) -> list[Credential]:
            return []

        async def add(self, credential: Credential) -> Credential:
            raise DirectoryError("disk full")

    broken = replace(house.passwords, credentials=cast(Credentials, BrokenCredentials()))
    house.desk = replace(house.desk, passwords=broken)
    wanted = {"address": "carol@example.org", "password": "carol's own"}
    api = Api(AdminApi(house.desk).endpoints(), house.desk.guard)
    there = Browser(HttpApp(api.make_routes(), AppSettings(HttpLimits()), house.log), cookie=root.cookie)
    assert (await there.call("POST", "/api/admin/accounts", wanted)).status == 503
    assert (await root.call("GET", "/api/admin/accounts/carol@example.org")).status == 404
    assert (await root.call("GET", "/api/admin/removed-accounts")).json == []


async def test_accounts_come_in_pages_and_are_found_by_a_part_of_their_name(root: Browser) -> None:
    page = (await root.call("GET", "/api/admin/accounts?limit=2")).json
    assert ([each["address"] for each in page["items"]], page["more"]) == (
        ["alice@example.org", "bob@example.org"],
        True,
    )
    page = (await root.call("GET", "/api/admin/accounts?limit=2&after=bob%40example.org")).json
    assert ([each["address"] for each in page["items"]], page["more"]) == (["root@example.org"], False)
    page = (await root.call("GET", "/api/admin/accounts?q=LIC&domain=example.org")).json
    assert [each["address"] for each in page["items"]] == ["alice@example.org"]
    for query in ("limit=0", "limit=x", "limit=1001", "limit=-1"):
        assert (await root.call("GET", f"/api/admin/accounts?{query}")).status == 400
    for query in ("after=nonsense", "domain=not%20a%20domain"):
        assert (await root.call("GET", f"/api/admin/accounts?{query}")).status == 409


async def test_one_account_is_shown_with_what_it_uses(house: House, root: Browser) -> None:
    await house.signed_in()
    await house.passwords.add_app(ALICE, "Phone", AppPasswordOptions())
    shown = (await root.call("GET", ALICES)).json
    assert (shown["id"], shown["address"], shown["name"]) == (1, "alice@example.org", "Alice")
    assert (shown["used"], shown["used_emails"]) == (0, 0)
    assert (shown["has_password"], shown["app_passwords"], shown["web_sessions"]) == (True, 1, 1)
    assert shown["second_factors"] == []


async def test_what_is_left_out_of_a_change_stays_and_null_takes_a_limit_away(root: Browser) -> None:
    changed = (await root.call("PATCH", ALICES, {"quota": 5000, "quota_emails": 7, "name": "Al"})).json
    assert (changed["quota"], changed["quota_emails"], changed["name"]) == (5000, 7, "Al")
    changed = (await root.call("PATCH", ALICES, {"quota": None})).json
    assert (changed["quota"], changed["quota_emails"], changed["name"]) == (None, 7, "Al")
    changed = (await root.call("PATCH", ALICES, {"name": "", "admin": True})).json
    assert (changed["name"], changed["admin"]) == ("", True)
    assert (await root.call("PATCH", ALICES, {"name": "a\nb"})).status == 409
    assert (await root.call("PATCH", ALICES, {"shard": 2})).status == 400
    assert (await root.call("PATCH", "/api/admin/accounts/nobody%40example.org", {})).status == 404


async def test_disabling_ends_sessions_for_good(house: House, root: Browser) -> None:
    alice = await house.signed_in()
    assert (await root.call("PATCH", ALICES, {"disabled": True})).json["disabled"] is True
    assert (await alice.call("GET", "/api/session")).status == 401
    await root.call("PATCH", ALICES, {"disabled": False})
    assert (await alice.call("GET", "/api/session")).status == 401


async def test_an_administrator_does_not_lock_himself_out(root: Browser) -> None:
    assert (await root.call("PATCH", ROOTS, {"disabled": True})).status == 409
    assert (await root.call("PATCH", ROOTS, {"admin": False})).status == 409
    assert (await root.call("DELETE", ROOTS)).status == 409
    assert (await root.call("PATCH", ROOTS, {"name": "Chief"})).status == 200


async def test_a_removed_account_is_told_and_comes_back(house: House, root: Browser) -> None:
    alice = await house.signed_in()
    await root.call("POST", "/api/admin/aliases", {"address": "info@example.org", "targets": ["alice@example.org"]})
    gone = await root.call("DELETE", ALICES)
    assert gone.json == {"aliases": ["info@example.org"]}
    assert (await alice.call("GET", "/api/session")).status == 401
    assert (await root.call("GET", ALICES)).status == 404
    listed = (await root.call("GET", "/api/admin/removed-accounts")).json
    assert [each["address"] for each in listed] == ["alice@example.org"]
    assert (await root.call("POST", f"{ALICES}/undelete")).json["address"] == "alice@example.org"
    assert (await root.call("POST", f"{ALICES}/undelete")).status == 409
    assert (await house.browser().sign_in()).status == 200


async def test_a_password_set_for_somebody_ends_his_sessions(house: House, root: Browser) -> None:
    alice = await house.signed_in()
    assert (await root.call("POST", f"{ALICES}/password", {"password": "a new one"})).json == {"password": None}
    assert (await alice.call("GET", "/api/session")).status == 401
    assert (await house.browser().sign_in(password="a new one")).status == 200
    made = (await root.call("POST", f"{ALICES}/password")).json["password"]
    assert (await house.browser().sign_in(password=made)).status == 200
    assert (await root.call("POST", f"{ALICES}/password", {"password": "short"})).status == 409


async def test_somebody_who_lost_the_second_factor_gets_in_again(house: House, root: Browser) -> None:
    alice = await house.signed_in()
    await alice.call("POST", "/api/totp")
    totp = house.factors.totp(ALICE)
    assert totp is not None
    code = make_code(totp.secret, int(house.clock.now() // STEP_S))
    await alice.call("POST", "/api/totp", {"code": code})
    assert (await root.call("GET", ALICES)).json["second_factors"] == ["totp"]
    assert (await house.browser().sign_in()).status == 401
    assert (await root.call("DELETE", f"{ALICES}/second-factor")).status == 204
    assert (await alice.call("GET", "/api/session")).status == 401
    assert (await house.browser().sign_in()).status == 200


async def test_addresses_are_given_and_taken(root: Browser) -> None:
    given = (await root.call("POST", f"{ALICES}/addresses", {"address": "al@example.org"})).json
    assert given["addresses"] == ["alice@example.org", "al@example.org"]
    taken = (await root.call("DELETE", f"{ALICES}/addresses/al%40example.org")).json
    assert taken["addresses"] == ["alice@example.org"]
    assert (await root.call("DELETE", f"{ALICES}/addresses/alice%40example.org")).status == 409
    assert (await root.call("POST", f"{ALICES}/addresses", {"address": "bob@example.org"})).status == 409


# -- aliases


async def test_aliases_are_made_listed_and_removed(root: Browser) -> None:
    base = "/api/admin/aliases"
    wanted = {"address": "team@example.org", "targets": ["alice@example.org", "x@elsewhere.example"]}
    assert (await root.call("POST", base, wanted)).json == wanted
    assert (await root.call("POST", base, {"address": "@example.org", "targets": ["bob@example.org"]})).status == 201
    page = (await root.call("GET", f"{base}?q=team")).json
    assert page == {"items": [wanted], "more": False}
    page = (await root.call("GET", f"{base}?limit=1")).json
    assert (page["items"][0]["address"], page["more"]) == ("@example.org", True)
    page = (await root.call("GET", f"{base}?limit=1&after={quote('@example.org')}")).json
    assert (page["items"][0]["address"], page["more"]) == ("team@example.org", False)
    assert (await root.call("DELETE", f"{base}/team%40example.org?target=x%40elsewhere.example")).status == 204
    assert (await root.call("GET", f"{base}?q=team")).json["items"][0]["targets"] == ["alice@example.org"]
    assert (await root.call("DELETE", f"{base}/{quote('@example.org', safe='')}")).status == 204
    assert (await root.call("DELETE", f"{base}/nothing%40example.org")).status == 409


async def test_an_alias_that_leads_to_nobody_is_refused(root: Browser) -> None:
    wanted = {"address": "team@example.org", "targets": ["nobody@example.org"]}
    answer = await root.call("POST", "/api/admin/aliases", wanted)
    assert answer.status == 409
    assert "nobody" in answer.detail
    assert (await root.call("POST", "/api/admin/aliases", {"address": "x@example.org", "targets": []})).status == 400


async def test_what_administrators_do_is_in_the_log(house: House, root: Browser) -> None:
    await root.call("PATCH", ALICES, {"quota": 1})
    told = [fields for _, event, fields in house.log.events if event == "administration"]
    assert told == [{"what": "account changed", "administrator": "root@example.org", "of": "alice@example.org"}]
