"""The ways in that the demo uses: each takes one message to a server as a program of its kind would."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from posthouse.app.demo_mail import SENDER, DemoMail
from posthouse.app.demo_server import PATIENCE_S, Mailserver, run_command
from posthouse.app.sockets import connect_unix

STRANGER = "127.0.0.5"


@dataclass(frozen=True, slots=True)
class Door:
    """`where` is for people. `send` returns when the server has taken the message; `files_sent`: it keeps a copy."""

    name: str
    where: str
    send: Callable[[DemoMail], Awaitable[None]]
    files_sent: bool = False


def trust(server: Mailserver) -> ssl.SSLContext:
    """Its own certificate and no other; the name in it is not looked at, because we connect to an address."""
    context = ssl.create_default_context(cafile=str(server.certificate))
    context.check_hostname = False
    return context


def _send(client: smtplib.SMTP, mail: DemoMail) -> None:
    options = ["SMTPUTF8", "BODY=8BITMIME"] if mail.needs_utf8 else []
    client.sendmail(SENDER, mail.recipients, mail.message.as_bytes(), options)


def send_by_smtp(server: Mailserver, mail: DemoMail) -> None:
    """As the server of a stranger."""
    with smtplib.SMTP(
        server.address, server.ports.smtp, "mail.stranger.example", PATIENCE_S, source_address=(STRANGER, 0)
    ) as client:
        client.starttls(context=trust(server))
        _send(client, mail)


def send_by_submission(server: Mailserver, mail: DemoMail) -> None:
    """As Alice's mail program."""
    with smtplib.SMTP(server.address, server.ports.submission, "laptop.example", PATIENCE_S) as client:
        client.starttls(context=trust(server))
        client.login(SENDER, server.passwords[SENDER])
        _send(client, mail)


def send_by_submissions(server: Mailserver, mail: DemoMail) -> None:
    with smtplib.SMTP_SSL(
        server.address, server.ports.submissions, "phone.example", timeout=PATIENCE_S, context=trust(server)
    ) as client:
        client.login(SENDER, server.passwords[SENDER])
        _send(client, mail)


def send_by_lmtp(server: Mailserver, mail: DemoMail) -> None:
    """As Postfix or Exim in front of us."""
    with smtplib.LMTP("", local_hostname="front.example", timeout=PATIENCE_S) as client:
        client.sock = connect_unix(str(server.lmtp))
        client.sock.settimeout(PATIENCE_S)
        code, text = client.getreply()
        if code != 220:
            raise smtplib.SMTPConnectError(code, text)
        _send(client, mail)


async def send_by_sendmail(server: Mailserver, mail: DemoMail) -> None:
    """As a script on the machine."""
    await run_command(server, "sendmail", "-i", "-f", SENDER, *mail.recipients, given=mail.message.as_bytes())
