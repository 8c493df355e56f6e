"""Logging in: who gets in, who does not, and what it costs and tells. Work is counted, not timed."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass, field, replace

from posthouse.message.mailbox import AccountId
from posthouse.message.peer import Peer
from posthouse.ports.clock import FakeClock
from posthouse.ports.compute import FakeCompute
from posthouse.ports.credentials import (
    Credential,
    CredentialKind,
    FakeCredentials,
    FakePasswordHash,
    FakePasswordSource,
    FakeTokenSource,
    TokenFacts,
)
from posthouse.ports.directory import Account
from posthouse.ports.login import Scope
from posthouse.ports.observe import FakeFigure, FakeLog
from posthouse.protocol.sasl.scram import ScramClient
from posthouse.trust.authenticator import Authenticator, LoginFigures, LoginParts, LoginSettings, place_of
from posthouse.trust.login import Accepted, Challenge, Denied, SaslConversation, Turn, Turning, Why, smtp_reply
from posthouse.trust.secrets import NewPassword, make_app_password, make_credential
from posthouse.trust.throttle import Throttle, ThrottleSettings

ALICE, BOB = AccountId(1), AccountId(2)
SECRET = b"s" * 32
HOME, STRANGER = "192.0.2.7", "203.0.113.9"


class People:
    """`Accounts` of a few."""

    def __init__(self) -> None:
        self.by_id = {
            ALICE: Account(ALICE, "alice@example.org", addresses=("alice@example.org", "al@example.org")),
            BOB: Account(BOB, "bob@example.org", addresses=("bob@example.org",)),
        }

    def get(self, account: AccountId) -> Account | None:
        return self.by_id.get(account)

    def find(self, login: str) -> Account | None:
        return next((each for each in self.by_id.values() if login.lower() in each.addresses), None)

    def may_send_as(self, account: AccountId, address: object) -> bool:
        return False


@dataclass
class Rig:
    hasher: FakePasswordHash = field(default_factory=FakePasswordHash)
    credentials: FakeCredentials = field(default_factory=lambda: FakeCredentials(secret=SECRET))
    people: People = field(default_factory=People)
    clock: FakeClock = field(default_factory=FakeClock)
    log: FakeLog = field(default_factory=FakeLog)
    source: FakePasswordSource | None = None
    tokens: FakeTokenSource | None = None
    settings: LoginSettings = field(default_factory=LoginSettings)
    pauses: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        figures = LoginFigures(FakeFigure(), FakeFigure(), FakeFigure(), FakeFigure())
        parts = LoginParts(
            self.credentials,
            self.people,
            self.hasher,
            FakeCompute(),
            self.clock,
            self.log,
            figures,
            self._pause,
            lambda count: b"r" * count,
            [self.source] if self.source is not None else [],
            self.tokens,
        )
        self.authenticator = Authenticator(self.settings, parts)

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.clock.advance(seconds)

    async def add(
        self,
        password: str = "right",
        kind: CredentialKind = CredentialKind.MAIN,
        *,
        scopes: frozenset[Scope] = frozenset(Scope),
    ) -> Credential:
        name = "" if kind is CredentialKind.MAIN else password
        new = NewPassword(ALICE, kind, password, name, scopes)
        row = await self.credentials.add(make_credential(new, self.hasher, SECRET, self.clock.now()))
        self.hasher.runs = 0
        return row

    def converse(self, address: str = STRANGER, scope: Scope = Scope.SEND, *, tls: str = "TLSv1.3") -> SaslConversation:
        return SaslConversation(self.authenticator, Peer(address, tls_version=tls), scope)

    async def plain(self, password: str = "right", name: str = "alice@example.org", address: str = STRANGER) -> Turn:
        return await finish(self.converse(address).begin("PLAIN", f"\0{name}\0{password}".encode()))


async def finish(turning: Turning) -> Turn:
    return await turning if isinstance(turning, asyncio.Future) else turning


def why(turn: Turn) -> Why | None:
    return turn.why if isinstance(turn, Denied) else None


async def test_the_right_password_by_any_name_of_the_account() -> None:
    rig = Rig()
    row = await rig.add()
    turn = await rig.plain(name="AL@example.org")
    assert isinstance(turn, Accepted)
    assert (turn.login.account, turn.login.name, turn.login.credential) == (ALICE, "alice@example.org", row.id)
    assert turn.login.mechanism == "PLAIN"
    assert smtp_reply(turn).code == 235


async def test_an_unknown_user_and_a_wrong_password_cost_and_hear_the_same() -> None:
    told = []
    for name in ("alice@example.org", "nobody@example.org"):
        rig = Rig(source=FakePasswordSource({}))
        await rig.add()
        turns = [smtp_reply(await rig.plain("wrong", name)) for _ in range(8)]
        assert rig.source is not None
        told.append((turns, rig.hasher.runs, rig.pauses, len(rig.source.asked)))
    assert told[0] == told[1]
    assert told[0][0][0].code == 535
    assert told[0][1] == 8


async def test_an_account_without_a_main_password_costs_a_run_too() -> None:
    rig = Rig()
    await rig.add("app", CredentialKind.APP)
    assert why(await rig.plain("wrong")) is Why.WRONG
    assert rig.hasher.runs == 1


async def test_ten_connections_one_after_another_cost_one_hash() -> None:
    rig = Rig()
    await rig.add()
    for _ in range(10):
        assert isinstance(await rig.plain(), Accepted)
    assert rig.hasher.runs == 1


async def test_ten_connections_at_once_cost_one_hash_and_count_as_one_failure() -> None:
    rig = Rig()
    await rig.add()
    turns = await asyncio.gather(*[rig.plain() for _ in range(10)])
    assert all(isinstance(turn, Accepted) for turn in turns)
    assert rig.hasher.runs == 1
    await asyncio.gather(*[rig.plain("old password") for _ in range(10)])
    assert rig.hasher.runs == 2
    assert rig.pauses == []


async def test_an_app_password_costs_no_hash() -> None:
    rig = Rig()
    password = make_app_password(lambda count: b"\x07" * count)
    row = await rig.add(password, CredentialKind.APP)
    turn = await rig.plain(password)
    assert isinstance(turn, Accepted)
    assert (turn.login.credential, turn.login.credential_name) == (row.id, row.name)
    assert rig.hasher.runs == 0


async def test_a_changed_password_is_not_remembered() -> None:
    rig = Rig()
    await rig.add()
    assert isinstance(await rig.plain(), Accepted)
    await rig.add("new")
    assert why(await rig.plain()) is Why.WRONG


async def test_a_removed_credential_and_a_removed_account_are_not_remembered() -> None:
    rig = Rig()
    row = await rig.add()
    assert isinstance(await rig.plain(), Accepted)
    await rig.credentials.remove(ALICE, row.id)
    assert why(await rig.plain()) is Why.WRONG
    rig = Rig()
    await rig.add()
    assert isinstance(await rig.plain(), Accepted)
    del rig.people.by_id[ALICE]
    assert why(await rig.plain()) is Why.WRONG


async def test_a_disabled_account_is_told_so_only_with_the_right_password() -> None:
    rig = Rig()
    await rig.add()
    assert isinstance(await rig.plain(), Accepted)
    rig.people.by_id[ALICE] = replace(rig.people.by_id[ALICE], is_disabled=True)
    assert why(await rig.plain()) is Why.DISABLED
    assert why(await rig.plain("wrong")) is Why.WRONG


async def test_a_password_that_is_not_for_sending_does_not_send() -> None:
    rig = Rig()
    await rig.add(scopes=frozenset({Scope.READ}))
    assert why(await rig.plain()) is Why.SCOPE
    reading = rig.converse(scope=Scope.READ).begin("PLAIN", b"\0alice@example.org\0right")
    assert isinstance(await finish(reading), Accepted)


async def test_nobody_acts_for_somebody_else() -> None:
    rig = Rig()
    await rig.add()
    for authzid, is_good in ((b"al@example.org", True), (b"bob@example.org", False), (b"ghost@example.org", False)):
        turn = await finish(rig.converse().begin("PLAIN", authzid + b"\0alice@example.org\0right"))
        assert isinstance(turn, Accepted) is is_good


async def test_the_answer_to_the_sixth_wrong_guess_comes_late_and_other_connections_are_not_looked_at() -> None:
    rig = Rig()
    await rig.add()
    for count in range(4):
        await rig.plain(f"guess {count}")
    assert rig.pauses == []
    for count in range(4):
        await rig.plain(f"late guess {count}")
    assert [round(pause) for pause in rig.pauses] == [1, 2, 4, 8]

    rig = Rig(settings=LoginSettings(longest_hold_s=0.0))
    await rig.add()
    for count in range(6):
        await rig.plain(f"guess {count}")
    runs = rig.hasher.runs
    turn = await rig.plain("right", address="198.51.100.1")
    assert why(turn) is Why.TOO_FAST
    assert smtp_reply(turn).code == 454
    assert rig.hasher.runs == runs == 5


async def test_a_correct_password_from_a_known_place_is_never_locked_out_by_somebody_elses_guesses() -> None:
    rig = Rig(settings=LoginSettings(longest_hold_s=0.0, remember_success_s=0.0))
    await rig.add()
    assert isinstance(await rig.plain(address=HOME), Accepted)
    for count in range(50):
        await rig.plain(f"guess {count}")
    assert why(await rig.plain(address=STRANGER)) is Why.TOO_FAST
    assert isinstance(await rig.plain(address="192.0.2.200"), Accepted)  # the same /24


async def test_a_known_place_outlives_the_worker() -> None:
    rig = Rig(settings=LoginSettings(longest_hold_s=0.0))
    await rig.add()
    await rig.plain(address=HOME)
    await rig.authenticator.flush()
    after = Rig(settings=rig.settings, credentials=rig.credentials, hasher=rig.hasher)
    for count in range(20):
        await after.plain(f"guess {count}")
    assert why(await after.plain()) is Why.TOO_FAST
    assert isinstance(await after.plain(address=HOME), Accepted)


async def test_many_guesses_at_once_are_counted_before_the_first_is_answered() -> None:
    rig = Rig(settings=LoginSettings(longest_hold_s=0.0))
    await rig.add()
    turns = await asyncio.gather(*[rig.plain(f"guess {count}", address=f"198.51.{count}.1") for count in range(30)])
    assert rig.hasher.runs <= 5
    assert sum(why(turn) is Why.TOO_FAST for turn in turns) >= 25


async def test_an_address_that_guesses_at_many_accounts_is_slowed_down() -> None:
    rig = Rig(settings=LoginSettings(longest_hold_s=0.0))
    for count in range(25):
        await rig.plain("guess", f"user{count}@example.org")
    assert why(await rig.plain("guess", "fresh@example.org")) is Why.TOO_FAST
    assert why(await rig.plain("guess", "fresh@example.org", address=HOME)) is Why.WRONG


async def test_strangers_fill_only_half_of_the_queue() -> None:
    rig = Rig(settings=LoginSettings(max_waiting=0))
    await rig.add()
    turn = await rig.plain()
    assert why(turn) is Why.UNAVAILABLE
    assert smtp_reply(turn).code == 454


async def test_uses_are_stored_in_one_batch_and_not_at_every_login() -> None:
    rig = Rig()
    row = await rig.add()
    for _ in range(5):
        await rig.plain()
    assert rig.credentials.batches == 0
    await rig.authenticator.flush()
    await rig.plain()
    await rig.authenticator.flush()
    assert rig.credentials.batches == 1
    assert rig.credentials.list_for(ALICE)[0].last_used == rig.clock.now()
    assert rig.credentials.last_success(ALICE, "203.0.113.0/24") == rig.clock.now()
    assert row.last_used is None


async def test_a_source_knows_passwords_but_makes_no_accounts() -> None:
    rig = Rig(source=FakePasswordSource({"alice@example.org": "ldap", "ghost@example.org": "ldap"}))
    turn = await rig.plain("ldap")
    assert isinstance(turn, Accepted)
    assert turn.login.credential == 0
    assert why(await rig.plain("ldap", "ghost@example.org")) is Why.WRONG


async def test_a_source_that_is_down_is_no_wrong_password() -> None:
    rig = Rig(source=FakePasswordSource({}))
    assert rig.source is not None
    rig.source.is_down = True
    for _ in range(10):
        assert why(await rig.plain("x")) is Why.UNAVAILABLE
    assert rig.pauses == []


async def scram(rig: Rig, name: str, password: str, mechanism: str = "SCRAM-SHA-256") -> Turn:
    conversation = rig.converse()
    client = ScramClient(name, password, "nonce", {})
    first = await finish(conversation.begin(mechanism, client.first_message()))
    if not isinstance(first, Challenge):
        return first
    final = await finish(conversation.step(client.respond(first.data)))
    if not isinstance(final, Challenge):
        return final
    client.respond(final.data)
    assert client.is_proven
    return await finish(conversation.step(b""))


async def test_scram_with_main_and_app_password_runs_no_hash() -> None:
    rig = Rig()
    main, app = await rig.add(), await rig.add("app-password", CredentialKind.APP)
    for name, password, row in (("alice@example.org", "right", main), ("al@example.org", "app-password", app)):
        turn = await scram(rig, name, password)
        assert isinstance(turn, Accepted)
        assert turn.login.credential == row.id
        assert turn.login.mechanism == "SCRAM-SHA-256"
    assert rig.hasher.runs == 0


async def test_scram_tells_nobody_who_exists() -> None:
    rig = Rig()
    await rig.add()
    said = []
    for name in ("alice@example.org", "nobody@example.org", "nobody@example.org", "NOBODY@example.org"):
        turn = await finish(rig.converse().begin("SCRAM-SHA-256", f"n,,n={name},r=x".encode()))
        assert isinstance(turn, Challenge)
        said.append(dict(part.split("=", 1) for part in turn.data.decode().split(",")))
    assert said[0]["i"] == said[1]["i"]
    assert len(said[0]["s"]) == len(said[1]["s"])
    assert said[1]["s"] == said[2]["s"] == said[3]["s"] != said[0]["s"]
    for name in ("alice@example.org", "nobody@example.org"):
        assert why(await scram(rig, name, "wrong")) is Why.WRONG


async def test_guesses_by_scram_are_slowed_down_too() -> None:
    rig = Rig(settings=LoginSettings(longest_hold_s=0.0))
    await rig.add()
    reasons = [why(await scram(rig, "alice@example.org", "wrong")) for _ in range(7)]
    assert reasons == [Why.WRONG] * 5 + [Why.TOO_FAST] * 2
    assert why(await rig.plain()) is Why.TOO_FAST


async def test_proofs_held_back_and_sent_at_once_do_not_get_around_the_wait() -> None:
    rig = Rig(settings=LoginSettings(longest_hold_s=0.0))
    await rig.add()
    waiting = []
    for _ in range(12):
        conversation, client = rig.converse(), ScramClient("alice@example.org", "wrong", "nonce", {})
        first = await finish(conversation.begin("SCRAM-SHA-256", client.first_message()))
        assert isinstance(first, Challenge)
        waiting.append((conversation, client.respond(first.data)))
    reasons = [why(await finish(conversation.step(proof))) for conversation, proof in waiting]
    assert reasons.count(Why.WRONG) == 5


async def test_an_account_disabled_between_two_steps_of_scram_does_not_get_our_proof() -> None:
    rig = Rig()
    await rig.add()
    conversation, client = rig.converse(), ScramClient("alice@example.org", "right", "nonce", {})
    first = await finish(conversation.begin("SCRAM-SHA-256", client.first_message()))
    assert isinstance(first, Challenge)
    rig.people.by_id[ALICE] = replace(rig.people.by_id[ALICE], is_disabled=True)
    assert why(await finish(conversation.step(client.respond(first.data)))) is Why.DISABLED


async def test_tokens_are_asked_about_once_until_they_expire() -> None:
    rig = Rig()
    rig = Rig(
        tokens=FakeTokenSource({"tok": TokenFacts("alice@example.org", frozenset({Scope.SEND}), rig.clock.now())})
    )
    assert rig.tokens is not None
    rig.tokens.tokens["tok"] = replace(rig.tokens.tokens["tok"], expires=type(rig.clock.now())(rig.clock.now() + 60))
    for _ in range(3):
        turn = await finish(rig.converse().begin("XOAUTH2", b"user=alice@example.org\x01auth=Bearer tok\x01\x01"))
        assert isinstance(turn, Accepted)
    assert rig.tokens.asked == 1
    rig.clock.advance(61)
    del rig.tokens.tokens["tok"]
    conversation = rig.converse()
    refusal = await finish(conversation.begin("XOAUTH2", b"user=alice@example.org\x01auth=Bearer tok\x01\x01"))
    assert isinstance(refusal, Challenge)
    assert why(await finish(conversation.step(b""))) is Why.WRONG


async def test_a_token_of_somebody_else_is_no_good() -> None:
    rig = Rig(tokens=FakeTokenSource({"tok": TokenFacts("bob@example.org", frozenset(Scope))}))
    conversation = rig.converse()
    turn = await finish(conversation.begin("OAUTHBEARER", b"n,a=alice@example.org,\x01auth=Bearer tok\x01\x01"))
    assert isinstance(turn, Challenge)
    assert why(await finish(conversation.step(b"\x01"))) is Why.WRONG


async def test_a_client_certificate_says_who_it_is() -> None:
    rig = Rig()
    peer = Peer(HOME, tls_version="TLSv1.3", certificate_names=("x@elsewhere.example", "alice@example.org"))
    conversation = SaslConversation(rig.authenticator, peer, Scope.SEND)
    assert "EXTERNAL" in conversation.mechanisms().offered
    assert "EXTERNAL" not in rig.converse().mechanisms().offered
    for name, is_good in ((b"", True), (b"al@example.org", True), (b"bob@example.org", False)):
        assert isinstance(await finish(conversation.begin("EXTERNAL", name)), Accepted) is is_good


async def test_mechanisms_that_show_the_password_only_under_tls_or_on_loopback() -> None:
    rig = Rig()
    bare = rig.converse(tls="")
    assert not {"PLAIN", "LOGIN"}.intersection(bare.mechanisms().offered)
    assert bare.mechanisms().after_tls == {"PLAIN", "LOGIN"}
    turn = await finish(bare.begin("plain", b"\0alice@example.org\0right"))
    assert smtp_reply(turn).code == 538
    assert why(bare.check_password("alice@example.org", "right", "LOGIN")) is Why.NEEDS_TLS  # type: ignore[arg-type]
    assert "PLAIN" in rig.converse("127.0.0.1", tls="").mechanisms().offered
    assert "PLAIN" in rig.converse("", tls="").mechanisms().offered
    strict = Rig(settings=LoginSettings(plaintext_on_loopback=False))
    assert "PLAIN" not in strict.converse("::1", tls="").mechanisms().offered
    proxied = SaslConversation(rig.authenticator, Peer("127.0.0.1", is_stand_in=True), Scope.SEND)
    assert "PLAIN" not in proxied.mechanisms().offered


async def test_plus_is_offered_where_the_channel_can_be_bound() -> None:
    rig = Rig()
    peer = Peer(HOME, tls_version="TLSv1.3", channel_bindings={"tls-server-end-point": b"x"})
    offered = SaslConversation(rig.authenticator, peer, Scope.SEND).mechanisms().offered
    assert offered[0] == "SCRAM-SHA-256-PLUS"
    assert "SCRAM-SHA-256-PLUS" not in rig.converse().mechanisms().offered


async def test_what_makes_no_sense_is_no_guess() -> None:
    rig = Rig()
    for _ in range(30):
        assert why(await finish(rig.converse().begin("PLAIN", b"nonsense"))) is Why.MALFORMED
    assert why(await finish(rig.converse().begin("NTLM", None))) is Why.UNKNOWN_MECHANISM
    assert why(await finish(rig.converse().step(b"x"))) is Why.MALFORMED
    assert rig.pauses == []


async def test_the_password_is_in_no_log_line() -> None:
    rig = Rig()
    await rig.add()
    await rig.plain("geheim")
    await rig.plain()
    assert "geheim" not in repr(rig.log.events)
    assert "right" not in repr(rig.log.events)
    row = rig.credentials.list_for(ALICE)[0]
    assert "argon2id" not in repr(row)


async def test_challenges_are_base64_in_smtp() -> None:
    reply = smtp_reply(Challenge(b"Username:"))
    assert (reply.code, base64.b64decode(reply.text)) == (334, b"Username:")


def test_places() -> None:
    assert place_of("192.0.2.200") == "192.0.2.0/24"
    assert place_of("2001:db8:1:2:3:4:5:6") == "2001:db8:1:2::/64"
    assert place_of("") == ""


def test_waits_double_and_failures_are_forgotten_with_time() -> None:
    throttle = Throttle(ThrottleSettings(free=2, first_wait_s=1, longest_wait_s=8, leak_s=100))
    waits = []
    for _ in range(7):
        throttle.note_failure("a", 0.0)
        waits.append(throttle.wait_s("a", 0.0))
    assert waits == [0, 1, 2, 4, 8, 8, 8]
    assert throttle.wait_s("a", 8.0) == 0
    assert throttle.wait_s("a", 600.0) == 0
    throttle.note_failure("a", 700.0)
    assert throttle.wait_s("a", 700.0) == 0


def test_a_success_in_between_does_not_reset_the_count() -> None:
    throttle = Throttle(ThrottleSettings(free=2, first_wait_s=1, leak_s=1000))
    for _ in range(3):
        throttle.note_failure("a", 0.0)
    before = throttle.wait_s("a", 0.0)
    throttle.begin("a")
    throttle.end("a", 0.0)
    assert throttle.wait_s("a", 0.0) == before


def test_the_table_of_failures_is_bounded() -> None:
    throttle = Throttle(ThrottleSettings(max_entries=10))
    for number in range(1000):
        throttle.note_failure(str(number), 0.0)
    assert len(throttle) == 10
