"""SASL as a server: published examples, every malformed thing, and `scramp` and our own client on the other side."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scramp import ScramClient as PeerClient  # type: ignore[import-untyped]

from posthouse.protocol.sasl.scram import ScramClient
from posthouse.protocol.sasl.server import (
    WRONG,
    Challenge,
    CheckCertificate,
    CheckPassword,
    CheckToken,
    ExternalServer,
    Failed,
    FetchVerifiers,
    LoginServer,
    OauthBearerServer,
    PlainServer,
    Proven,
    ServerMechanism,
    Xoauth2Server,
)
from posthouse.protocol.sasl.server_scram import END_POINT, ScramOffer, ScramServer, derive_keys

SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
OFFER = ScramOffer(SALT, 4096, [derive_keys("sha256", "pencil", SALT, 4096)])
BINDINGS = {END_POINT: b"hash of the certificate"}


def is_malformed(step: object) -> bool:
    return isinstance(step, Failed) and not step.is_guess


def test_plain_with_the_example_of_rfc_4616() -> None:
    assert PlainServer().respond(b"\0tim\0tanstaaftanstaaf") == CheckPassword("", "tim", "tanstaaftanstaaf")
    assert PlainServer().respond(b"Ursel\0Kurt\0xipj3plmq") == CheckPassword("Ursel", "Kurt", "xipj3plmq")
    waiting = PlainServer()
    assert waiting.respond(None) == Challenge(b"")
    assert waiting.respond(b"\0tim\0x") == CheckPassword("", "tim", "x")


@pytest.mark.parametrize(
    "said",
    [b"", b"\0", b"\0\0", b"\0tim\0", b"\0\0secret", b"tim\0secret", b"\0tim\0a\0b", b"\0tim\0\xff", b"\xff\0a\0b"],
)
def test_plain_that_is_not_plain(said: bytes) -> None:
    assert is_malformed(PlainServer().respond(said))


def test_plain_of_any_length_is_bounded() -> None:
    assert is_malformed(PlainServer().respond(b"\0" + b"a" * 256 + b"\0b"))
    assert is_malformed(PlainServer().respond(b"\0a\0" + b"b" * 1025))


def test_names_and_passwords_come_out_prepared_and_what_cannot_be_is_only_wrong() -> None:
    assert PlainServer().respond("\0ti\u00adm\0\u2168".encode()) == CheckPassword("", "tim", "IX")
    assert PlainServer().respond("\0tim\0a\u0007b".encode()) == WRONG
    assert PlainServer().respond("\0\u00ad\0b".encode()) == WRONG


def test_login_asks_for_name_and_password() -> None:
    mechanism = LoginServer()
    assert mechanism.respond(None) == Challenge(b"Username:")
    assert mechanism.respond(b"tim") == Challenge(b"Password:")
    assert mechanism.respond(b"secret") == CheckPassword("", "tim", "secret")


def test_login_with_the_name_as_initial_response() -> None:
    mechanism = LoginServer()
    assert mechanism.respond(b"tim") == Challenge(b"Password:")
    assert mechanism.respond(b"secret") == CheckPassword("", "tim", "secret")


def test_external_with_and_without_a_name() -> None:
    assert ExternalServer().respond(b"") == CheckCertificate("")
    assert ExternalServer().respond(b"fred@example.com") == CheckCertificate("fred@example.com")
    assert ExternalServer().respond(None) == Challenge(b"")
    assert is_malformed(ExternalServer().respond(b"a\0b"))


def test_oauthbearer_with_the_example_of_rfc_7628() -> None:
    said = (
        b"n,a=user@example.com,\x01host=server.example.com\x01port=143\x01"
        b"auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01"
    )
    mechanism = OauthBearerServer("mail")
    assert mechanism.respond(said) == CheckToken("user@example.com", "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==")
    refusal = json.loads(mechanism.refuse().data)
    assert refusal == {"status": "invalid_token", "schemes": "bearer", "scope": "mail"}
    assert mechanism.respond(b"\x01") == WRONG


def test_xoauth2() -> None:
    mechanism = Xoauth2Server()
    step = mechanism.respond(b"user=someuser@example.com\x01auth=Bearer ya29.vF9dft4qmTc2\x01\x01")
    assert step == CheckToken("someuser@example.com", "ya29.vF9dft4qmTc2")
    assert json.loads(mechanism.refuse().data)["status"] == "401"
    assert mechanism.respond(b"") == WRONG


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\x01",
        b"n,,\x01\x01",
        b"p=tls-unique,,\x01auth=Bearer x\x01\x01",
        b"n,b=x,\x01auth=Bearer x\x01\x01",
        b"n,,\x01auth=Basic x\x01\x01",
        b"n,,\x01auth=Bearer x",
        b"n,,\x01auth=Bearer x\x01auth=Bearer y\x01\x01",
        b"n,,\x01auth=Bearer x y\x01\x01",
        b"n,,\x01auth=Bearer " + b"x" * 9000 + b"\x01\x01",
        b"user=a\x01auth=Bearer x\x01\x01",
    ],
)
def test_oauthbearer_that_is_not(said: bytes) -> None:
    assert is_malformed(OauthBearerServer().respond(said))


def test_scram_with_the_example_of_rfc_7677() -> None:
    server = ScramServer("SCRAM-SHA-256", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", {}, offers_plus=False)
    assert server.respond(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO") == FetchVerifiers("sha256", "", "user")
    assert server.offer(OFFER).data == (
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    )
    final = (
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    assert server.respond(final) == Proven(0, b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")


def test_scram_with_the_example_of_rfc_5802() -> None:
    salt = base64.b64decode("QSXCR+Q6sek8bf92")
    server = ScramServer("SCRAM-SHA-1", "3rfcNHYJY1ZVvWVs7j", {}, offers_plus=False)
    assert server.respond(b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL") == FetchVerifiers("sha1", "", "user")
    server.offer(ScramOffer(salt, 4096, [derive_keys("sha1", "pencil", salt, 4096)]))
    final = b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="
    assert server.respond(final) == Proven(0, b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=")


def talk(server: ScramServer, password: str, offer: ScramOffer = OFFER) -> object:
    client = ScramClient("user", password, "nonce", {})
    assert isinstance(server.respond(client.first_message()), FetchVerifiers)
    return server.respond(client.respond(server.offer(offer).data))


def test_each_password_of_an_account_proves_itself() -> None:
    keys = [derive_keys("sha256", password, SALT, 4096) for password in ("one", "two", "three")]
    for index, password in enumerate(("one", "two", "three")):
        step = talk(ScramServer("SCRAM-SHA-256", "x", {}, offers_plus=False), password, ScramOffer(SALT, 4096, keys))
        assert isinstance(step, Proven)
        assert step.index == index


def test_a_wrong_password_is_wrong() -> None:
    assert talk(ScramServer("SCRAM-SHA-256", "x", {}, offers_plus=False), "pencils") == WRONG


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"n=user,r=x",
        b"n,,n=,r=x",
        b"n,,n=user,r=",
        b"n,,m=ext,n=user,r=x",
        b"n,,n=us=er,r=x",
        b"n,,n=us=2c,r=x",
        b"n,,n=user,r=x\x00",
        b"n,,n=user,r=" + b"x" * 600,
        b"n,,n=\xff,r=x",
        b"p=tls-server-end-point,,n=user,r=x",
        b"n,,n=user,r=x" + b",a=b" * 2000,
    ],
)
def test_a_first_message_that_is_not(first: bytes) -> None:
    assert is_malformed(ScramServer("SCRAM-SHA-256", "x", {}, offers_plus=False).respond(first))


@pytest.mark.parametrize(
    "final", [b"", b"c=biws,r=nonce,p=AAAA", b"c=biws,r=noncex", b"c=biws,r=noncex,p=A", b"r=noncex"]
)
def test_a_final_message_that_is_not(final: bytes) -> None:
    server = ScramServer("SCRAM-SHA-256", "x", {}, offers_plus=False)
    server.respond(b"n,,n=user,r=nonce")
    server.offer(OFFER)
    assert is_malformed(server.respond(final))


def test_a_name_with_comma_and_equals_sign() -> None:
    step = ScramServer("SCRAM-SHA-256", "x", {}, offers_plus=False).respond(b"n,a=b=2Cc,n=a=2Cb=3D2C,r=x")
    assert step == FetchVerifiers("sha256", "b,c", "a,b=2C")


def test_a_client_that_was_told_we_cannot_bind_has_been_lied_to() -> None:
    first = b"y,,n=user,r=x"
    assert is_malformed(ScramServer("SCRAM-SHA-256", "x", BINDINGS, offers_plus=True).respond(first))
    assert isinstance(ScramServer("SCRAM-SHA-256", "x", {}, offers_plus=False).respond(first), FetchVerifiers)


@pytest.mark.parametrize("flag", [b"n", b"y", b"p=tls-unique", b"p=tls-exporter"])
def test_plus_wants_a_binding_that_is_there(flag: bytes) -> None:
    server = ScramServer("SCRAM-SHA-256-PLUS", "x", BINDINGS, offers_plus=True)
    assert is_malformed(server.respond(flag + b",,n=user,r=x"))


@pytest.mark.parametrize(("algorithm", "name"), [("sha256", "SCRAM-SHA-256"), ("sha1", "SCRAM-SHA-1")])
@pytest.mark.parametrize("is_bound", [False, True])
@pytest.mark.parametrize("password", ["pencil", "wrong", "pässwörd"])
def test_scramp_as_the_client(algorithm: str, name: str, is_bound: bool, password: str) -> None:
    binding = (END_POINT, BINDINGS[END_POINT]) if is_bound else None
    mechanism = name + "-PLUS" * is_bound
    client = PeerClient([mechanism], "user", password, channel_binding=binding)
    server = ScramServer(mechanism, "servers", BINDINGS, offers_plus=is_bound)
    server.respond(client.get_client_first().encode())
    right = "pencil" if password == "wrong" else password
    offer = server.offer(ScramOffer(SALT, 4096, [derive_keys(algorithm, right, SALT, 4096)]))
    client.set_server_first(offer.data.decode())
    step = server.respond(client.get_client_final().encode())
    if password == "wrong":
        assert step == WRONG
        return
    assert isinstance(step, Proven)
    client.set_server_final(step.final.decode())


def test_another_certificate_in_the_middle_is_noticed() -> None:
    client = PeerClient(["SCRAM-SHA-256-PLUS"], "user", "pencil", channel_binding=(END_POINT, b"of the impostor"))
    server = ScramServer("SCRAM-SHA-256-PLUS", "servers", BINDINGS, offers_plus=True)
    server.respond(client.get_client_first().encode())
    client.set_server_first(server.offer(OFFER).data.decode())
    assert server.respond(client.get_client_final().encode()) == WRONG


MAKERS = [
    PlainServer,
    LoginServer,
    ExternalServer,
    OauthBearerServer,
    Xoauth2Server,
    lambda: ScramServer("SCRAM-SHA-256", "x", {}, offers_plus=False),
    lambda: ScramServer("SCRAM-SHA-1-PLUS", "x", BINDINGS, offers_plus=True),
]


@given(
    st.sampled_from(MAKERS),
    st.lists(
        st.one_of(st.none(), st.binary(max_size=60), st.text("=,npyarc2CD\0\x01", max_size=30).map(str.encode)),
        max_size=4,
    ),
)
def test_whatever_is_said_comes_out_as_a_step(make: object, said: list[bytes | None]) -> None:
    mechanism: ServerMechanism = make()  # type: ignore[operator]
    for data in said:
        step = mechanism.respond(data)
        if isinstance(step, FetchVerifiers):
            assert isinstance(mechanism, ScramServer)
            mechanism.offer(OFFER)
        elif not isinstance(step, Challenge):
            break
