"""Opening a connection: which addresses are tried, what their greetings mean, TLS and its fallback, logging in."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from posthouse.message.outcome import Deferred, Refused
from posthouse.message.reply import Reply
from posthouse.mta.outbound import (
    Attempt,
    ConnectFailed,
    Connection,
    HopPlan,
    Mode,
    PlaintextTable,
    SmtpAuth,
    TlsPolicy,
    plan_attempts,
)
from posthouse.ports.clock import FakeClock
from posthouse.ports.stream import Endpoint, ScriptedStream, StreamError, StreamTimeout, TlsCheck, TlsFacts, scripted
from tests.mta.outbound_kit import EHLO, GREETING, MX1, MX2, Step, hello, make_connector

PLAIN = HopPlan([MX1, MX2], tls=TlsPolicy.OFF)
UNREACHABLE = StreamError("connect", "Connection refused")
STARTTLS: Step = (b"STARTTLS\r\n", b"220 go ahead\r\n")


def good(*extensions: str) -> ScriptedStream:
    return scripted(GREETING, [hello(*extensions)])


async def open_plan(
    plan: HopPlan, *peers: ScriptedStream | StreamError
) -> tuple[Connection | ConnectFailed, list[str]]:
    """What came of it and the addresses that were dialed."""
    connector, dialer = make_connector(*peers)
    opened = await connector.open(plan)
    return opened, [each.address for each in dialer.dialed]


# Which addresses, in which order


async def test_the_first_address_that_works_is_taken() -> None:
    opened, dialed = await open_plan(PLAIN, good("PIPELINING"))
    assert isinstance(opened, Connection)
    assert opened.remote == "mx1.example[192.0.2.1]:25"
    assert opened.extensions.pipelining
    assert opened.tls is None
    assert opened.is_reusable
    assert dialed == ["192.0.2.1"]


@pytest.mark.parametrize(
    "broken",
    [
        UNREACHABLE,
        StreamTimeout("connect", "too slow"),
        scripted(b"554 5.3.2 go away\r\n", []),
        scripted(b"421 4.3.2 busy\r\n", []),
        scripted(b"", []),
        scripted(b"", [(b"never", b"")]),
        scripted(b"SSH-2.0-OpenSSH\r\n", []),
        scripted(b"250 wrong code\r\n", []),
        scripted(GREETING, [(EHLO, b"421 4.3.2 busy\r\n")]),
        scripted(GREETING, [(EHLO, b"")]),
        scripted(GREETING, [(EHLO, b"550 no\r\n"), (b"HELO me.example\r\n", b"550 no\r\n")]),
    ],
)
async def test_a_host_that_fails_before_mail_is_followed_by_the_next(broken: ScriptedStream | StreamError) -> None:
    opened, dialed = await open_plan(PLAIN, broken, good())
    assert isinstance(opened, Connection)
    assert dialed == ["192.0.2.1", "192.0.2.2"]
    if isinstance(broken, ScriptedStream):
        assert broken.closed


async def test_a_server_without_ehlo_is_spoken_to_with_helo() -> None:
    old = scripted(GREETING, [(EHLO, b"502 5.5.1 what\r\n"), (b"HELO me.example\r\n", b"250 hello\r\n")])
    opened, _ = await open_plan(PLAIN, old)
    assert isinstance(opened, Connection)
    assert not opened.extensions.pipelining


async def test_when_no_host_works_the_mail_waits_even_if_all_said_5xx() -> None:
    opened, _ = await open_plan(PLAIN, UNREACHABLE, scripted(b"554 5.3.2 go away\r\n", []))
    assert isinstance(opened, ConnectFailed)
    said = Reply(554, "5.3.2", "go away")
    assert opened.outcome == Deferred(said, "mx2.example[192.0.2.2]:25", site_failed=True)
    assert opened.attempts[1] == Attempt(MX2, said, spoke=True)
    assert opened.attempts[0].reply == Reply(
        451, "4.4.1", "cannot connect to mx1.example[192.0.2.1]:25: Connection refused"
    )


async def test_what_a_host_said_is_reported_rather_than_that_another_was_silent() -> None:
    opened, _ = await open_plan(PLAIN, scripted(b"421 4.3.2 busy\r\n", []), UNREACHABLE)
    assert isinstance(opened, ConnectFailed)
    assert opened.outcome.reply == Reply(421, "4.3.2", "busy")


async def test_only_when_every_host_says_521_is_it_final() -> None:
    never = b"521 5.3.2 does not accept mail\r\n"
    opened, _ = await open_plan(PLAIN, scripted(never, []), scripted(never, []))
    assert isinstance(opened, ConnectFailed)
    assert isinstance(opened.outcome, Refused)
    opened, _ = await open_plan(PLAIN, scripted(never, []), UNREACHABLE)
    assert isinstance(opened, ConnectFailed)
    assert isinstance(opened.outcome, Deferred)


async def test_our_own_lack_of_descriptors_is_not_blamed_on_the_site() -> None:
    opened, dialed = await open_plan(PLAIN, StreamError("local", "Too many open files"))
    assert isinstance(opened, ConnectFailed)
    assert isinstance(opened.outcome, Deferred)
    assert not opened.outcome.site_failed
    assert len(dialed) == 1


async def test_no_address_at_all_is_a_deferral() -> None:
    opened, _ = await open_plan(HopPlan([]))
    assert isinstance(opened, ConnectFailed)
    assert isinstance(opened.outcome, Deferred)


async def test_a_host_that_refuses_us_is_told_quit() -> None:
    refusing = scripted(b"554 no\r\n", [])
    await open_plan(PLAIN, refusing, good())
    assert refusing.received == b"QUIT\r\n"


def ends(*addresses: str) -> list[Endpoint]:
    return [Endpoint(address, address, 25) for address in addresses]


SIX = ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4", "2001:db8::5", "2001:db8::6"]
FOUR = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5", "192.0.2.6"]


@pytest.mark.parametrize(
    ("addresses", "chosen"),
    [
        (FOUR[:2], FOUR[:2]),
        (FOUR, FOUR[:5]),
        (SIX, SIX[:5]),
        (SIX + FOUR, SIX[:2] + FOUR[:3]),
        (FOUR + SIX, FOUR[:3] + SIX[:2]),
        (SIX + FOUR[:1], SIX[:4] + FOUR[:1]),
        (FOUR + SIX[:1], FOUR[:4] + SIX[:1]),
        ([SIX[0], FOUR[0], SIX[1], FOUR[1], SIX[2], FOUR[2]], [SIX[0], FOUR[0], SIX[1], FOUR[1], FOUR[2]]),
    ],
)
def test_a_broken_ipv6_does_not_use_up_all_tries(addresses: list[str], chosen: list[str]) -> None:
    assert plan_attempts(ends(*addresses), 5) == ends(*chosen)


async def test_no_more_than_max_attempts_addresses_are_dialed() -> None:
    opened, dialed = await open_plan(HopPlan(ends(*SIX, *FOUR)), *[UNREACHABLE] * 5)
    assert isinstance(opened, ConnectFailed)
    assert len(dialed) == 5


# TLS


async def test_starttls_is_used_where_it_is_offered_and_ehlo_is_said_again() -> None:
    peer = scripted(GREETING, [hello("STARTTLS"), STARTTLS, hello("PIPELINING")])
    opened, _ = await open_plan(HopPlan([MX1]), peer)
    assert isinstance(opened, Connection)
    assert opened.tls is not None
    assert opened.extensions.pipelining
    assert not opened.extensions.starttls, "what was announced before the handshake is forgotten"
    assert peer.received == EHLO + b"STARTTLS\r\n" + EHLO


async def test_bytes_sent_behind_the_220_are_discarded() -> None:
    injected = b"220 go ahead\r\n250-evil\r\n250 PIPELINING\r\n"
    peer = scripted(GREETING, [hello("STARTTLS"), (b"STARTTLS\r\n", injected), hello("DSN")])
    opened, _ = await open_plan(HopPlan([MX1]), peer)
    assert isinstance(opened, Connection)
    assert opened.extensions.dsn
    assert not opened.extensions.pipelining


@pytest.mark.parametrize("refusal", [b"454 4.7.0 TLS not available\r\n", b"502 5.5.1 what\r\n"])
async def test_a_refused_starttls_goes_on_in_plaintext_when_opportunistic(refusal: bytes) -> None:
    peer = scripted(GREETING, [hello("STARTTLS", "PIPELINING"), (b"STARTTLS\r\n", refusal)])
    opened, _ = await open_plan(HopPlan([MX1]), peer)
    assert isinstance(opened, Connection)
    assert opened.tls is None
    assert opened.extensions.pipelining


class FailingTls(ScriptedStream):
    """Accepts STARTTLS and then fails or stalls, as `error` says. `asked` is what the handshake was given."""

    error = StreamError("tls", "handshake failed")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.asked: list[tuple[TlsCheck, str, float]] = []

    async def start_tls(self, check: TlsCheck, host: str, timeout_s: float) -> None:  # type: ignore[override]
        self.asked.append((check, host, timeout_s))
        raise self.error


def failing(error: StreamError) -> FailingTls:
    peer = FailingTls(scripted(b"", [hello("STARTTLS"), STARTTLS]).script, GREETING)
    peer.error = error
    return peer


@pytest.mark.parametrize("error", [StreamError("tls", "handshake failed"), StreamTimeout("tls", "too slow")])
async def test_a_failed_or_stalled_handshake_falls_back_to_plaintext_on_the_same_host(error: StreamError) -> None:
    peer = failing(error)
    opened, dialed = await open_plan(HopPlan([MX1, MX2]), peer, good("STARTTLS"))
    assert isinstance(opened, Connection)
    assert opened.tls is None
    assert dialed == ["192.0.2.1", "192.0.2.1"]
    assert peer.closed
    assert peer.asked == [(TlsCheck.ANY, "mx1.example", 60.0)], "the handshake has its own deadline"


async def test_a_connection_that_dies_right_after_the_handshake_falls_back_too() -> None:
    peer = scripted(GREETING, [hello("STARTTLS"), STARTTLS])
    opened, dialed = await open_plan(HopPlan([MX1]), peer, good())
    assert isinstance(opened, Connection)
    assert dialed == ["192.0.2.1"] * 2


async def test_the_fallback_is_remembered_for_a_while() -> None:
    clock = FakeClock()
    connector, dialer = make_connector(
        failing(StreamError("tls", "no")), good(), good("STARTTLS"), failing(UNREACHABLE)
    )
    connector.clock = clock
    connector._plaintext = PlaintextTable(clock, 3600.0)
    plan = HopPlan([MX1])
    assert isinstance(await connector.open(plan), Connection)
    assert isinstance(await connector.open(plan), Connection), "no second handshake"
    assert len(dialer.dialed) == 3
    clock.advance(3601)
    assert not connector._plaintext.has(MX1.address)


def test_the_memory_of_fallbacks_is_bounded() -> None:
    table = PlaintextTable(FakeClock(), 10.0)
    for number in range(5000):
        table.remember(f"192.0.2.{number}")
    assert table.has("192.0.2.4999")
    assert len(table._until) <= 4096


@pytest.mark.parametrize("policy", [TlsPolicy.REQUIRED, TlsPolicy.VERIFY])
@pytest.mark.parametrize(
    "peer",
    [
        scripted(GREETING, [hello("PIPELINING")]),
        scripted(GREETING, [hello("STARTTLS"), (b"STARTTLS\r\n", b"454 4.7.0 no\r\n")]),
        failing(StreamError("tls", "handshake failed")),
        StreamError("connect", "refused"),
    ],
)
async def test_required_tls_that_cannot_be_had_is_never_plaintext(
    policy: TlsPolicy, peer: ScriptedStream | StreamError
) -> None:
    if isinstance(peer, ScriptedStream):
        peer = type(peer)(peer.script.copy(), GREETING)
    opened, dialed = await open_plan(HopPlan([MX1], tls=policy), peer)
    assert isinstance(opened, ConnectFailed)
    assert isinstance(opened.outcome, Deferred)
    assert len(dialed) == 1


async def test_verify_looks_at_the_certificate() -> None:
    peer = failing(StreamError("tls", "certificate: self-signed"))
    opened, _ = await open_plan(HopPlan([MX1], tls=TlsPolicy.VERIFY), peer)
    assert isinstance(opened, ConnectFailed)
    assert opened.outcome.reply.enhanced == "4.7.5"
    assert peer.asked[0][0] is TlsCheck.VERIFIED


class ImplicitTls(ScriptedStream):
    """Greets behind the handshake only."""

    async def start_tls(self, check: TlsCheck, host: str, timeout_s: float) -> TlsFacts:
        facts = await super().start_tls(check, host, timeout_s)
        self._input = GREETING
        return facts


async def test_smtps_begins_with_the_handshake() -> None:
    peer = ImplicitTls(good("STARTTLS").script)
    opened, _ = await open_plan(HopPlan([MX1], Mode.SMTPS, TlsPolicy.OFF), peer)
    assert isinstance(opened, Connection)
    assert opened.tls is not None
    assert peer.received == EHLO


async def test_smtps_has_no_fallback_to_plaintext() -> None:
    opened, dialed = await open_plan(HopPlan([MX1], Mode.SMTPS), StreamError("tls", "no"))
    assert isinstance(opened, ConnectFailed)
    assert opened.outcome.reply.enhanced == "4.7.5"
    assert len(dialed) == 1


async def test_a_unix_socket_is_not_encrypted_unless_it_must_be() -> None:
    lhlo = (b"LHLO me.example\r\n", hello("STARTTLS")[1])
    socket = Endpoint("dovecot", "/run/lmtp", 0)
    opened, _ = await open_plan(HopPlan([socket], Mode.LMTP), scripted(GREETING, [lhlo]))
    assert isinstance(opened, Connection)
    assert opened.tls is None
    assert opened.remote == "unix:/run/lmtp"


async def test_lmtp_has_no_helo() -> None:
    opened, _ = await open_plan(
        HopPlan([MX1], Mode.LMTP), scripted(GREETING, [(b"LHLO me.example\r\n", b"500 what\r\n")])
    )
    assert isinstance(opened, ConnectFailed)


# AUTH

AUTH = SmtpAuth("user", "pencil")
LOGGED_IN = b"235 2.7.0 welcome\r\n"


def encode(text: bytes) -> bytes:
    return base64.b64encode(text) + b"\r\n"


def secured(*steps: Step, offered: str) -> ScriptedStream:
    return scripted(GREETING, [hello("STARTTLS"), STARTTLS, hello(f"AUTH {offered}"), *steps])


async def log_in(*steps: Step, offered: str) -> Connection | ConnectFailed:
    opened, _ = await open_plan(HopPlan([MX1], tls=TlsPolicy.REQUIRED, auth=AUTH), secured(*steps, offered=offered))
    return opened


async def test_plain_is_said_over_tls() -> None:
    opened = await log_in((b"AUTH PLAIN " + encode(b"\0user\0pencil"), LOGGED_IN), offered="PLAIN LOGIN")
    assert isinstance(opened, Connection)


async def test_login_answers_its_prompts() -> None:
    opened = await log_in(
        (b"AUTH LOGIN\r\n", b"334 VXNlcm5hbWU6\r\n"),
        (encode(b"user"), b"334 UGFzc3dvcmQ6\r\n"),
        (encode(b"pencil"), LOGGED_IN),
        offered="LOGIN",
    )
    assert isinstance(opened, Connection)


def scram_steps(*, knows_password: bool = True) -> list[Step]:
    """A SCRAM-SHA-256 server's side, computed from RFC 5802 §3."""
    salted = hashlib.pbkdf2_hmac("sha256", b"pencil", b"salt", 4096)
    first = "r=nonceX,s=" + base64.b64encode(b"salt").decode() + ",i=4096"
    signed = f"n=user,r=nonce,{first},c=biws,r=nonceX".encode()
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    signature = hmac.digest(hashlib.sha256(client_key).digest(), signed, "sha256")
    proof = base64.b64encode(bytes(a ^ b for a, b in zip(client_key, signature, strict=True)))
    server_key = hmac.digest(salted if knows_password else b"guess", b"Server Key", "sha256")
    verifier = base64.b64encode(hmac.digest(server_key, signed, "sha256"))
    return [
        (b"AUTH SCRAM-SHA-256 " + encode(b"n,,n=user,r=nonce"), b"334 " + encode(first.encode())),
        (encode(b"c=biws,r=nonceX,p=" + proof), b"334 " + encode(b"v=" + verifier)),
        (b"\r\n", LOGGED_IN),
    ]


async def test_scram_is_preferred_and_works_without_tls() -> None:
    peer = scripted(GREETING, [hello("AUTH PLAIN SCRAM-SHA-256"), *scram_steps()])
    opened, _ = await open_plan(HopPlan([MX1], auth=AUTH), peer)
    assert isinstance(opened, Connection)
    assert b"pencil" not in peer.received


@pytest.mark.parametrize(
    "steps",
    [
        scram_steps(knows_password=False),
        [scram_steps()[0], (scram_steps()[1][0], LOGGED_IN)],
        [(scram_steps()[0][0], LOGGED_IN)],
    ],
)
async def test_a_server_that_does_not_prove_itself_gets_no_mail(steps: list[Step]) -> None:
    opened = await log_in(*steps, offered="SCRAM-SHA-256")
    assert isinstance(opened, ConnectFailed)


async def test_the_password_is_not_said_in_plaintext() -> None:
    peer = scripted(GREETING, [hello("AUTH PLAIN LOGIN")])
    opened, _ = await open_plan(HopPlan([MX1], auth=AUTH), peer)
    assert isinstance(opened, ConnectFailed)
    assert "not encrypted" in opened.outcome.reply.text
    assert b"AUTH" not in peer.received


async def test_tls_off_by_the_administrator_lets_the_password_go() -> None:
    peer = scripted(GREETING, [hello("AUTH PLAIN"), (b"AUTH PLAIN " + encode(b"\0user\0pencil"), LOGGED_IN)])
    opened, _ = await open_plan(HopPlan([MX1], tls=TlsPolicy.OFF, auth=AUTH), peer)
    assert isinstance(opened, Connection)


async def test_a_wrong_password_defers_because_it_is_ours_to_mend() -> None:
    opened = await log_in((b"AUTH PLAIN " + encode(b"\0user\0pencil"), b"535 5.7.8 wrong\r\n"), offered="PLAIN")
    assert isinstance(opened, ConnectFailed)
    assert isinstance(opened.outcome, Deferred)
    assert opened.outcome.reply.enhanced == "4.7.8"
    assert "pencil" not in opened.outcome.reply.text


@pytest.mark.parametrize("offered", ["GSSAPI", "CRAM-MD5 NTLM"])
async def test_a_smarthost_without_a_mechanism_of_ours_defers(offered: str) -> None:
    assert isinstance(await log_in(offered=offered), ConnectFailed)


async def test_a_smarthost_without_auth_gets_no_mail_from_us() -> None:
    opened, _ = await open_plan(HopPlan([MX1], tls=TlsPolicy.OFF, auth=AUTH), good())
    assert isinstance(opened, ConnectFailed)
    assert "does not offer AUTH" in opened.outcome.reply.text


async def test_a_server_that_asks_for_ever_is_left() -> None:
    endless = [(b"AUTH LOGIN\r\n", b"334 \r\n"), (encode(b"user"), b"334 \r\n"), (encode(b"pencil"), b"334 \r\n")]
    assert isinstance(await log_in(*endless, offered="LOGIN"), ConnectFailed)


async def test_a_challenge_that_is_not_base64_is_left() -> None:
    assert isinstance(await log_in((b"AUTH LOGIN\r\n", b"334 !!\r\n"), offered="LOGIN"), ConnectFailed)


def test_the_password_is_not_in_the_repr() -> None:
    assert "pencil" not in repr(HopPlan([MX1], auth=AUTH))
