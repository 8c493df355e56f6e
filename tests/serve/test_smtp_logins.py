"""Logins over a real socket with TLS: what the driver tells the mechanisms, with smtplib and scramp as clients."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import smtplib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from scramp import ScramClient  # type: ignore[import-untyped]

from posthouse.adapters.net.tls import make_server_context, read_end_point
from posthouse.message.peer import Peer
from posthouse.message.reply import Reply
from posthouse.ports.clock import FakeClock
from posthouse.ports.login import Login, Mechanisms, Scope
from posthouse.ports.observe import FakeFigure, FakeLog
from posthouse.protocol.smtp.server import AuthData, AuthStarted, Hello, MailFrom, MessageEnd, RcptTo
from posthouse.protocol.smtp.server_settings import ServerSettings
from posthouse.serve.admission import Admission, AdmissionLimits
from posthouse.serve.connection import DoorFigures
from posthouse.serve.smtp import Answer, SmtpService, SmtpServiceSettings
from posthouse.trust.login import Accepted, SaslConversation, Turn, Turning, smtp_reply
from tests.trust.test_login import Rig

OK = Reply(250, "2.0.0", "ok")
ALICE = "alice@example.org"


class Submission:
    """The least of a role with logins."""

    def __init__(self, rig: Rig, peer: Peer, logins: list[Login | None]) -> None:
        self.conversation = SaslConversation(rig.authenticator, peer, Scope.SEND)
        self.logins = logins

    def mechanisms(self) -> Mechanisms:
        return self.conversation.mechanisms()

    def auth(self, event: AuthStarted) -> Answer:
        return self._answer(self.conversation.begin(event.mechanism, event.initial))

    def auth_data(self, event: AuthData) -> Answer:
        return self._answer(self.conversation.step(event.data))

    def _answer(self, turning: Turning) -> Answer:
        if isinstance(turning, asyncio.Future):
            return asyncio.ensure_future(self._wait(turning))
        return self._note(turning)

    async def _wait(self, turning: asyncio.Future[Turn]) -> Reply:
        return self._note(await turning)

    def _note(self, turn: Turn) -> Reply:
        if isinstance(turn, Accepted):
            self.logins.append(turn.login)
        return smtp_reply(turn)

    def forget_login(self) -> None:
        self.logins.append(None)

    def hello(self, event: Hello) -> Answer:
        return OK

    def mail(self, event: MailFrom) -> Answer:
        return OK

    def rcpt(self, event: RcptTo) -> Answer:
        return OK

    def data(self) -> Answer:
        return Reply(354, "", "go on")

    def body(self, piece: bytes) -> asyncio.Future[None] | None:
        return None

    def end(self, event: MessageEnd) -> Answer:
        return OK

    def etrn(self, domain: str) -> Answer:
        return OK

    def reset(self) -> None:
        pass

    def closed(self) -> None:
        pass


@dataclass
class House:
    port: int
    client: ssl.SSLContext
    authority: trustme.CA
    certificate: bytes  # DER
    logins: list[Login | None] = field(default_factory=list)


@contextlib.asynccontextmanager
async def open_house(directory: Path) -> AsyncIterator[House]:
    rig, authority, logins = Rig(), trustme.CA(), list[Login | None]()
    await rig.add()
    issued = authority.issue_cert("localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(directory / "server.pem")
    authority.cert_pem.write_to_path(directory / "ca.pem")
    context = make_server_context(
        str(directory / "server.pem"), str(directory / "server.pem"), client_ca=str(directory / "ca.pem")
    )
    service = SmtpService(
        settings=SmtpServiceSettings(ServerSettings("mx.example.org", auth=True)),
        make_role=lambda peer: Submission(rig, peer, logins),
        admission=Admission(AdmissionLimits()),
        clock=FakeClock(),
        log=FakeLog(),
        figures=DoorFigures(*(FakeFigure() for _ in range(5))),
        tls=context,
    )
    server = await asyncio.get_running_loop().create_server(service, "127.0.0.1", 0)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    certificate = x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes())
    fingerprint = certificate.fingerprint(hashes.SHA256())
    try:
        yield House(server.sockets[0].getsockname()[1], client, authority, fingerprint, logins)
    finally:
        server.close()
        service.abort()
        await asyncio.sleep(0)


def connect(house: House) -> smtplib.SMTP:
    smtp = smtplib.SMTP("localhost", house.port, timeout=10)
    smtp.starttls(context=house.client)
    smtp.ehlo()
    return smtp


def try_smtplib(house: House) -> None:
    with connect(house) as smtp:
        with pytest.raises(smtplib.SMTPAuthenticationError) as error:
            smtp.login(ALICE, "wrong")
        assert error.value.smtp_code == 535
        smtp.user, smtp.password = ALICE, "right"
        assert smtp.auth("PLAIN", smtp.auth_plain)[0] == 235
        assert smtp.docmd("AUTH", "PLAIN")[0] == 503
        assert smtp.sendmail(ALICE, ["bob@example.org"], "Subject: x\r\n\r\nx\r\n") == {}
    for initial_response in (False, True):
        with connect(house) as smtp:
            smtp.user, smtp.password = ALICE, "right"
            assert smtp.auth("LOGIN", smtp.auth_login, initial_response_ok=initial_response)[0] == 235


def say(smtp: smtplib.SMTP, text: str) -> tuple[int, str]:
    code, answer = smtp.docmd(text)
    return code, base64.b64decode(answer).decode() if code == 334 else ""


def encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode("ascii")


def try_scram_plus(house: House, binding: bytes) -> int:
    with connect(house) as smtp:
        offered = smtp.esmtp_features["auth"].split()
        assert offered[:2] == ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]
        client = ScramClient(
            [name for name in offered if "SCRAM" in name],
            ALICE,
            "right",
            channel_binding=("tls-server-end-point", binding),
        )
        assert client.mechanism_name == "SCRAM-SHA-256-PLUS"
        _, first = say(smtp, f"AUTH SCRAM-SHA-256-PLUS {encode(client.get_client_first())}")
        client.set_server_first(first)
        code, final = say(smtp, encode(client.get_client_final()))
        if code != 334:
            return code
        client.set_server_final(final)
        return say(smtp, "")[0]


def try_certificate(house: House, directory: Path) -> None:
    issued = house.authority.issue_cert(ALICE)
    issued.private_key_and_cert_chain_pem.write_to_path(directory / "client.pem")
    house.client.load_cert_chain(directory / "client.pem")
    with connect(house) as smtp:
        assert "EXTERNAL" in smtp.esmtp_features["auth"].split()
        assert say(smtp, "AUTH EXTERNAL =")[0] == 235


async def test_smtplib_logs_in_over_starttls(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        await asyncio.to_thread(try_smtplib, house)
        assert [login.mechanism if login is not None else "-" for login in house.logins] == [
            "-",
            "PLAIN",
            "-",
            "LOGIN",
            "-",
            "LOGIN",
        ]


async def test_scramp_binds_to_the_certificate_of_the_server(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        assert await asyncio.to_thread(try_scram_plus, house, house.certificate) == 235
        assert await asyncio.to_thread(try_scram_plus, house, b"of somebody in the middle") == 535
        assert read_end_point(str(tmp_path / "server.pem")) == house.certificate


async def test_a_client_certificate_is_enough(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        await asyncio.to_thread(try_certificate, house, tmp_path)
        assert [login.name for login in house.logins if login is not None] == [ALICE]
