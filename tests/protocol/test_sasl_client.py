"""SASL as a client: published examples, hostile servers, and a server written from the RFC."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from posthouse.protocol.sasl.client import KeyCache, SaslClient, SaslError, choose_mechanism
from posthouse.protocol.sasl.prep import PrepError, prepare
from posthouse.protocol.sasl.scram import ScramClient, ScramError

NONCE = "rOprNGfwEbeRWgbNEkqO"
FIRST = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"


def choose(offered: set[str], *, may_reveal: bool = True, password: str = "pencil") -> SaslClient | None:
    return choose_mechanism(offered, "user", password, lambda: NONCE, may_reveal=may_reveal, keys={})


def test_the_example_of_rfc_7677() -> None:
    client = ScramClient("user", "pencil", NONCE, {})
    assert client.first_message() == b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    assert client.respond(FIRST.encode()) == (
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    assert not client.is_proven
    assert client.respond(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=") == b""
    assert client.is_proven


@pytest.mark.parametrize(
    "first",
    [
        "",
        "r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        f"r={NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        f"r={NONCE}x,s=!!,i=4096",
        f"r={NONCE}x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1",
        f"r={NONCE}x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=99999999",
        f"r={NONCE}x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=-4096",
        f"r={NONCE}x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=" + "9" * 5000,
        f"m=ext,r={NONCE}x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
    ],
)
def test_a_server_whose_first_message_is_wrong_gets_no_proof(first: str) -> None:
    with pytest.raises(ScramError):
        ScramClient("user", "pencil", NONCE, {}).respond(first.encode())


@pytest.mark.parametrize("final", [b"v=AAAA", b"v=!", b"e=invalid-proof", b""])
def test_a_server_that_does_not_know_the_password_is_not_proven(final: bytes) -> None:
    client = ScramClient("user", "pencil", NONCE, {})
    client.respond(FIRST.encode())
    with pytest.raises(ScramError):
        client.respond(final)
    assert not client.is_proven


def test_the_password_is_derived_once_for_many_logins() -> None:
    keys: KeyCache = {}
    ScramClient("user", "pencil", NONCE, keys).respond(FIRST.encode())
    assert len(keys) == 1
    marked = dict.fromkeys(keys, b"\x00" * 32)
    proof = ScramClient("user", "pencil", NONCE, marked).respond(FIRST.encode())
    assert b"p=dHzb" not in proof, "the kept key was used"
    ScramClient("user", "other", NONCE, keys).respond(FIRST.encode())
    assert len(keys) == 2, "another password is another key"


def test_a_name_with_comma_and_equals_is_escaped() -> None:
    assert ScramClient("a,b=c", "x", "n", {}).first_message() == b"n,,n=a=2Cb=3Dc,r=n"


def test_scram_against_a_server_written_from_the_rfc() -> None:
    salt, nonce = b"salt", "n+server"
    client = ScramClient("üser", "pässword", "n", {})
    bare = client.first_message().decode().removeprefix("n,,")
    first = f"r={nonce},s={base64.b64encode(salt).decode()},i=5000"
    final, _, proof = client.respond(first.encode()).decode().rpartition(",p=")
    salted = hashlib.pbkdf2_hmac("sha256", "pässword".encode(), salt, 5000)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    signed = f"{bare},{first},{final}".encode()
    signature = hmac.digest(stored, signed, "sha256")
    recovered = bytes(a ^ b for a, b in zip(base64.b64decode(proof), signature, strict=True))
    assert hashlib.sha256(recovered).digest() == stored
    verifier = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), signed, "sha256")
    client.respond(b"v=" + base64.b64encode(verifier))
    assert client.is_proven


@pytest.mark.parametrize(
    ("offered", "name"),
    [
        ({"PLAIN", "LOGIN", "SCRAM-SHA-256"}, "SCRAM-SHA-256"),
        ({"LOGIN", "PLAIN"}, "PLAIN"),
        ({"LOGIN", "GSSAPI"}, "LOGIN"),
    ],
)
def test_the_best_mechanism_is_taken(offered: set[str], name: str) -> None:
    client = choose(offered)
    assert client is not None
    assert client.name == name


def test_the_password_is_not_revealed_where_somebody_may_listen() -> None:
    assert choose({"PLAIN", "LOGIN"}, may_reveal=False) is None
    assert choose({"PLAIN", "SCRAM-SHA-256"}, may_reveal=False) is not None
    assert choose({"CRAM-MD5"}) is None


def test_plain_says_everything_at_once() -> None:
    client = choose({"PLAIN"})
    assert client is not None
    assert client.start() == b"\0user\0pencil"
    assert client.is_proven()
    with pytest.raises(SaslError):
        client.respond(b"more?")


def test_login_answers_two_prompts_whatever_they_say() -> None:
    client = choose({"LOGIN"})
    assert client is not None
    assert client.start() is None
    assert [client.respond(b"User Name\0"), client.respond(b"Passwort:")] == [b"user", b"pencil"]
    with pytest.raises(SaslError):
        client.respond(b"again?")


def test_a_scram_error_is_a_sasl_error() -> None:
    client = choose({"SCRAM-SHA-256"})
    assert client is not None
    client.start()
    with pytest.raises(SaslError):
        client.respond(b"e=other-error")


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        ("user", "user"),
        ("I\u00adX", "IX"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("a\u00a0b", "a b"),
        ("\u0627\u0628", "\u0627\u0628"),
    ],
)
def test_passwords_are_prepared_as_in_rfc_4013(text: str, prepared: str) -> None:
    assert prepare(text) == prepared


@pytest.mark.parametrize("text", ["\u0007", "\u0627\u0031", "a\u0627", "\u200e", "\ue000"])
def test_what_no_password_may_hold_is_refused(text: str) -> None:
    with pytest.raises(PrepError):
        prepare(text)
    with pytest.raises(SaslError):
        choose({"PLAIN"}, password=text)
