"""Sessions of the web page: when they hold, and everything that ends them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace

from posthouse.message.mailbox import AccountId
from posthouse.ports.clock import FakeClock
from posthouse.ports.credentials import NEW, Credential, CredentialKind, FakeCredentials
from posthouse.ports.directory import Account
from posthouse.ports.login import Login, SaveSent, Scope
from posthouse.ports.web_sessions import FakeWebSessions
from posthouse.trust.web_logins import Browser, SignedIn, WebLogins, WebLoginSettings

ALICE = AccountId(1)
HOME = Browser("192.0.2.7", "Browser/1")
SETTINGS = WebLoginSettings(idle_s=3600.0, lifetime_s=10_000.0, grain_s=60.0)


class People:
    def __init__(self) -> None:
        self.alice: Account | None = Account(ALICE, "alice@example.org")

    def get(self, account: AccountId) -> Account | None:
        return self.alice if account == ALICE else None

    def find(self, login: str) -> Account | None:
        return self.alice

    def may_send_as(self, account: AccountId, address: object) -> bool:
        return False


@dataclass
class Rig:
    sessions: FakeWebSessions = field(default_factory=FakeWebSessions)
    credentials: FakeCredentials = field(default_factory=FakeCredentials)
    people: People = field(default_factory=People)
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        numbers = itertools.count(1)

        def octets(count: int) -> bytes:
            return next(numbers).to_bytes(count, "big")

        self.logins = WebLogins(self.sessions, self.credentials, self.people, self.clock, octets, SETTINGS)

    async def sign_in(self, secret: str = "$argon2id$x") -> str:
        main = await self.credentials.add(Credential(NEW, ALICE, CredentialKind.MAIN, secret))
        return await self.logins.begin(Login(ALICE, "alice@example.org", "PLAIN", main.id), HOME, "password")

    def find(self, token: str) -> SignedIn | None:
        return self.logins.find(token, HOME.address)


async def test_a_token_finds_its_login_with_all_scopes() -> None:
    rig = Rig()
    token = await rig.sign_in()
    found = rig.find(token)
    assert found is not None
    assert found.login.account == ALICE
    assert found.login.name == "alice@example.org"
    assert found.login.scopes == frozenset(Scope)
    assert found.session.agent == "Browser/1"


async def test_the_token_itself_is_stored_nowhere() -> None:
    rig = Rig()
    token = await rig.sign_in()
    assert token not in repr(vars(rig.sessions))
    assert len(token) == 43


async def test_made_up_tokens_find_nobody() -> None:
    rig = Rig()
    token = await rig.sign_in()
    for each in ("", "x", token[:-1], token + "A", "A" * 10_000, "\x00", "ü"):
        assert rig.find(each) is None


async def test_a_session_not_used_for_long_is_over() -> None:
    rig = Rig()
    token = await rig.sign_in()
    rig.clock.advance(SETTINGS.idle_s - 1)
    assert rig.find(token) is not None
    rig.clock.advance(SETTINGS.idle_s - 1)
    assert rig.find(token) is not None
    rig.clock.advance(SETTINGS.idle_s)
    assert rig.find(token) is None


async def test_a_session_in_constant_use_ends_at_its_lifetime() -> None:
    rig = Rig()
    token = await rig.sign_in()
    for _ in range(9):
        rig.clock.advance(1000)
        assert rig.find(token) is not None
    rig.clock.advance(1000)
    assert rig.find(token) is None


async def test_a_changed_main_password_ends_the_session() -> None:
    rig = Rig()
    token = await rig.sign_in()
    await rig.credentials.add(Credential(NEW, ALICE, CredentialKind.MAIN, "$argon2id$y"))
    assert rig.find(token) is None


async def test_a_disabled_or_removed_account_has_no_session_and_has_it_back_when_enabled() -> None:
    rig = Rig()
    token = await rig.sign_in()
    alice = rig.people.alice
    assert alice is not None
    rig.people.alice = replace(alice, is_disabled=True)
    assert rig.find(token) is None
    rig.people.alice = None
    assert rig.find(token) is None
    rig.people.alice = alice
    assert rig.find(token) is not None


async def test_a_session_by_another_source_of_passwords_hangs_on_none_of_ours() -> None:
    rig = Rig()
    token = await rig.logins.begin(Login(ALICE, "alice@example.org", "PLAIN"), HOME, "password")
    assert rig.find(token) is not None


async def test_what_the_main_password_says_of_sent_copies_holds_for_the_page() -> None:
    rig = Rig()
    row = Credential(NEW, ALICE, CredentialKind.MAIN, "$", save_sent=SaveSent.NEVER, deduplicates=False)
    main = await rig.credentials.add(row)
    token = await rig.logins.begin(Login(ALICE, "alice@example.org", "PLAIN", main.id), HOME, "password")
    found = rig.find(token)
    assert found is not None
    assert (found.login.save_sent, found.login.deduplicates) == (SaveSent.NEVER, False)


async def test_a_thousand_requests_are_one_write() -> None:
    rig = Rig()
    token = await rig.sign_in()
    await rig.logins.flush()
    before = rig.sessions.writes
    for _ in range(1000):
        rig.clock.advance(0.05)
        rig.find(token)
    await rig.logins.flush()
    assert rig.sessions.writes == before
    rig.clock.advance(SETTINGS.grain_s)
    for _ in range(1000):
        rig.find(token)
    await rig.logins.flush()
    await rig.logins.flush()
    assert rig.sessions.writes == before + 1
    assert rig.sessions.list_for(ALICE)[0].last_used == rig.clock.now()


async def test_looking_without_an_address_is_no_use() -> None:
    rig = Rig()
    token = await rig.sign_in()
    rig.clock.advance(SETTINGS.idle_s - 1)
    assert rig.logins.find(token) is not None
    rig.clock.advance(1)
    assert rig.logins.find(token) is None


async def test_what_is_over_is_removed_within_the_hour() -> None:
    rig = Rig()
    await rig.sign_in()
    rig.clock.advance(SETTINGS.idle_s + 1)
    await rig.logins.flush()
    assert rig.sessions.list_for(ALICE) == []


async def test_control_characters_of_a_browsers_name_are_not_kept() -> None:
    rig = Rig()
    token = await rig.logins.begin(
        Login(ALICE, "alice@example.org", "PLAIN"), Browser("", "Bro\x1b[2Jwser"), "password"
    )
    found = rig.find(token)
    assert found is not None
    assert found.session.agent == "Bro[2Jwser"
