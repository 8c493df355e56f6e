"""What somebody tries who wants in, wants to know who is there, or wants to keep others out."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

import pytest

from posthouse.message.mailbox import AccountId
from posthouse.message.peer import Peer
from posthouse.ports.credentials import CredentialKind, FakePasswordSource, FakeTokenSource, TokenFacts
from posthouse.ports.directory import Account, DirectoryError
from posthouse.ports.login import Scope
from posthouse.protocol.sasl.scram import ScramClient
from posthouse.trust.authenticator import LoginSettings
from posthouse.trust.login import Accepted, Challenge, Denied, SaslConversation, Turn, Why, smtp_reply
from posthouse.trust.names import spell_login
from tests.trust.test_login import ALICE, HOME, STRANGER, Rig, finish, scram, why

EAGER = LoginSettings(longest_hold_s=0.0)


async def at_home(settings: LoginSettings | None = None) -> Rig:
    """Alice has logged in from HOME before; nothing is remembered but that."""
    rig = Rig(settings=settings or LoginSettings(remember_success_s=0.0))
    await rig.add()
    assert isinstance(await rig.plain(address=HOME), Accepted)
    return rig


async def test_guesses_from_the_very_address_of_a_known_place_are_slowed_and_the_right_password_still_gets_in() -> None:
    rig = await at_home()
    for count in range(60):
        assert why(await rig.plain(f"guess {count}", address=HOME)) is Why.WRONG
    assert sum(rig.pauses[-10:]) >= 100  # a guess costs ten seconds and more
    before = len(rig.pauses)
    assert isinstance(await rig.plain(address=HOME), Accepted)
    assert rig.pauses[before:] == [10.0]
    assert isinstance(await rig.plain(address="192.0.2.99"), Accepted)  # a neighbour is not even slowed
    assert len(rig.pauses) == before + 1


async def test_guesses_by_scram_from_a_known_place_are_slowed_too() -> None:
    rig = await at_home()
    for count in range(40):
        await rig.plain(f"guess {count}", address=HOME)
    before = len(rig.pauses)
    conversation, client = rig.converse(HOME), ScramClient("alice@example.org", "right", "nonce", {})
    first = await finish(conversation.begin("SCRAM-SHA-256", client.first_message()))
    assert isinstance(first, Challenge)
    assert isinstance(await finish(conversation.step(client.respond(first.data))), Challenge)
    assert rig.pauses[before:] == [10.0]
    assert isinstance(await finish(conversation.step(b"")), Accepted)


async def test_many_tries_at_once_from_a_known_place_are_looked_at_in_turn() -> None:
    rig = await at_home()
    for count in range(40):
        await rig.plain(f"guess {count}", address=HOME)
    rig.hasher.runs = 0
    turns = [rig.converse(HOME).begin("PLAIN", f"\0alice@example.org\0more {n}".encode()) for n in range(30)]
    assert [why(await finish(turn)) for turn in turns].count(Why.TOO_FAST) == 26
    assert rig.hasher.runs == 4


async def test_a_slowed_account_says_the_same_by_every_mechanism() -> None:
    rig = Rig(settings=EAGER)
    await rig.add()
    for count in range(6):
        await rig.plain(f"guess {count}")
    replies = [
        smtp_reply(await rig.plain()),
        smtp_reply(await rig.plain("wrong")),
        smtp_reply(await scram(rig, "alice@example.org", "right")),
        smtp_reply(await finish(rig.converse().check_password("alice@example.org", "right", "LOGIN"))),
    ]
    assert len(set(replies)) == 1


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-1"])
async def test_scram_says_the_same_about_all_spellings_of_a_name_that_nobody_has(mechanism: str) -> None:
    rig = Rig()
    spellings = [
        "ghost@bücher.example",
        "GHOST@xn--bcher-kva.example",
        "Ghost@BÜCHER.example",
        '"ghost"@bücher.example',
    ]
    said = set()
    for name in spellings:
        turn = await finish(rig.converse().begin(mechanism, f"n,,n={name},r=x".encode()))
        assert isinstance(turn, Challenge)
        said.add(turn.data)
    assert len(said) == 1


async def test_failures_of_all_spellings_count_together() -> None:
    rig = Rig(settings=EAGER)
    names = ["Ghost@example.org", "ghost@EXAMPLE.org", '"ghost"@example.org'] * 2
    reasons = [why(await rig.plain(f"guess {count}", name)) for count, name in enumerate(names)]
    assert reasons == [Why.WRONG] * 5 + [Why.TOO_FAST]


def test_what_is_no_address_is_spelled_too() -> None:
    assert spell_login("Root") == "root"
    assert spell_login("Al@Example.ORG") == "al@example.org"


async def test_with_sources_no_refusal_comes_sooner_than_others() -> None:
    waited = []
    for name in ("alice@example.org", "ghost@example.org"):
        rig = Rig(source=FakePasswordSource({}))
        await rig.add()
        await rig.plain("wrong", name)
        waited.append(rig.pauses)
    assert waited == [[1.0], [1.0]]


async def test_a_password_of_a_source_is_remembered_for_a_minute_only() -> None:
    rig = Rig(source=FakePasswordSource({"alice@example.org": "ldap"}))
    assert rig.source is not None
    for _ in range(10):
        assert isinstance(await rig.plain("ldap"), Accepted)
    assert len(rig.source.asked) == 1
    rig.source.passwords["alice@example.org"] = "changed"
    rig.clock.advance(61)
    assert why(await rig.plain("ldap")) is Why.WRONG


async def test_an_app_password_taken_away_during_its_check_is_no_good() -> None:
    rig = Rig()
    row = await rig.add("app-password", CredentialKind.APP)
    turn = rig.converse().begin("PLAIN", b"\0alice@example.org\0app-password")
    await rig.credentials.remove(ALICE, row.id)
    assert why(await finish(turn)) is Why.WRONG


async def test_a_disabled_account_is_told_so_by_no_mechanism_without_the_right_password() -> None:
    rig = Rig()
    await rig.add()
    rig.people.by_id[ALICE] = replace(rig.people.by_id[ALICE], is_disabled=True)
    assert why(await scram(rig, "alice@example.org", "wrong")) is Why.WRONG
    assert why(await scram(rig, "alice@example.org", "right")) is Why.DISABLED
    assert why(await rig.plain("wrong")) is Why.WRONG


async def test_scopes_hold_for_scram_and_tokens() -> None:
    rig = Rig(tokens=FakeTokenSource({"tok": TokenFacts("alice@example.org", frozenset({Scope.READ}))}))
    await rig.add(scopes=frozenset({Scope.READ}))
    assert why(await scram(rig, "alice@example.org", "right")) is Why.SCOPE
    turn = await finish(rig.converse().begin("XOAUTH2", b"user=\x01auth=Bearer tok\x01\x01"))
    assert why(turn) is Why.SCOPE


async def test_many_tokens_at_once_do_not_flood_the_issuer() -> None:
    rig = Rig(tokens=FakeTokenSource({}), settings=LoginSettings(max_waiting=8))
    assert rig.tokens is not None
    starts = [f"user=\x01auth=Bearer t{number}\x01\x01".encode() for number in range(50)]
    turns = [rig.converse().begin("XOAUTH2", start) for start in starts]
    reasons = [why(await finish(turn)) for turn in turns]
    assert reasons.count(Why.UNAVAILABLE) == 46
    assert rig.tokens.asked == 4


async def test_an_issuer_that_breaks_is_no_wrong_token() -> None:
    class Broken(FakeTokenSource):
        async def check(self, token: str) -> TokenFacts:
            raise RuntimeError("a defect")

    rig = Rig(tokens=Broken({}))
    turn = await finish(rig.converse().begin("XOAUTH2", b"user=\x01auth=Bearer tok\x01\x01"))
    assert smtp_reply(turn).code == 454


async def test_a_client_that_hangs_up_while_its_token_is_looked_at() -> None:
    rig = Rig(tokens=FakeTokenSource({}))
    conversation = rig.converse()
    turn = conversation.begin("OAUTHBEARER", b"n,,\x01auth=Bearer tok\x01\x01")
    conversation.cancel()
    assert isinstance(await finish(turn), Challenge)


@pytest.mark.parametrize("name", [b"eve@example.org", b"alice@example.org.", b"*", b"alice@example.orgx"])
async def test_a_certificate_for_another_address_is_nobody(name: bytes) -> None:
    rig = Rig()
    peer = Peer(HOME, tls_version="TLSv1.3", certificate_names=(name.decode(),))
    for wanted in (b"", b"alice@example.org"):
        conversation = SaslConversation(rig.authenticator, peer, Scope.SEND)
        assert why(await finish(conversation.begin("EXTERNAL", wanted))) is Why.WRONG


async def test_a_certificate_of_a_disabled_account_does_not_log_in() -> None:
    rig = Rig()
    rig.people.by_id[ALICE] = replace(rig.people.by_id[ALICE], is_disabled=True)
    peer = Peer(HOME, tls_version="TLSv1.3", certificate_names=("alice@example.org",))
    assert (
        why(await finish(SaslConversation(rig.authenticator, peer, Scope.SEND).begin("EXTERNAL", b""))) is Why.DISABLED
    )


async def test_mechanisms_that_are_switched_off_are_too_weak_and_unknown_ones_unknown() -> None:
    rig = Rig(settings=LoginSettings(mechanisms=("SCRAM-SHA-256",)))
    await rig.add()
    for name in ("PLAIN", "LOGIN", "scram-sha-1"):
        turn = await finish(rig.converse().begin(name, None))
        assert str(smtp_reply(turn)).startswith("534 5.7.9")
    assert smtp_reply(await finish(rig.converse().begin("CRAM-MD5", None))).code == 504
    assert rig.converse().mechanisms().offered == ("SCRAM-SHA-256",)


def _tell(rigs: list[Rig], key: str) -> None:
    for rig in rigs:
        rig.authenticator.add_failures([key])


async def test_a_guess_at_one_worker_counts_at_the_others() -> None:
    rigs = [Rig(settings=EAGER) for _ in range(4)]
    for rig in rigs:
        await rig.add()
        tell = partial(_tell, [other for other in rigs if other is not rig])
        rig.authenticator.parts = replace(rig.authenticator.parts, on_failure=tell)
    reasons = [why(await rigs[count % 4].plain(f"guess {count}")) for count in range(40)]
    assert reasons.count(Why.WRONG) == 5
    for count in range(200):
        await rigs[count % 4].plain("guess", f"user{count}@example.org", address="198.51.100.7")
    assert sum(rig.hasher.runs for rig in rigs) == 5 + 20


async def test_a_directory_that_cannot_be_read_is_454() -> None:
    class Broken:
        def get(self, account: AccountId) -> Account | None:
            raise DirectoryError("disk")

        def find(self, login: str) -> Account | None:
            raise DirectoryError("disk")

        def may_send_as(self, account: AccountId, address: object) -> bool:
            raise DirectoryError("disk")

    rig = Rig()
    await rig.add()
    assert isinstance(await rig.plain(), Accepted)
    conversation, client = rig.converse(), ScramClient("alice@example.org", "right", "nonce", {})
    first = await finish(conversation.begin("SCRAM-SHA-256", client.first_message()))
    assert isinstance(first, Challenge)
    rig.authenticator.parts = replace(rig.authenticator.parts, accounts=Broken())
    turns: list[Turn] = [
        await finish(conversation.step(client.respond(first.data))),
        await rig.plain(),
        await finish(rig.converse().check_password("alice@example.org", "right", "LOGIN")),
    ]
    assert [why(turn) for turn in turns] == [Why.UNAVAILABLE] * 3


async def test_the_right_password_from_ten_connections_at_once_waits_for_nothing_at_a_known_place() -> None:
    rig = await at_home()
    rig.hasher.runs = 0
    turns = await asyncio.gather(*[rig.plain(address=HOME) for _ in range(10)])
    assert not [turn for turn in turns if isinstance(turn, Denied)]
    assert rig.hasher.runs == 1
    assert rig.pauses == []
    assert why(await rig.plain("x", address=STRANGER)) is Why.WRONG
