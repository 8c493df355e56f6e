"""How the demo reads mail as its users' programs would, by IMAP and POP3, and sends by IMAP: with what Python brings.

Python's clients block: callers run them in threads.
"""

from __future__ import annotations

import email
import email.policy
from collections.abc import Callable, Iterator, Mapping, Sequence
from email.message import EmailMessage
from typing import TYPE_CHECKING, TypeVar

from posthouse.app.demo_doors import trust
from posthouse.app.demo_mail import SENDER, DemoMail
from posthouse.app.demo_server import PATIENCE_S, DemoError, Mailserver

if TYPE_CHECKING:
    import imaplib
    import poplib

T = TypeVar("T")


# -- IMAP


def read_by_imap(server: Mailserver, account: str) -> Sequence[EmailMessage]:
    with _connect(server) as client:
        _expect(client.starttls(trust(server)))
        return list(_read_imap(client, account, server.passwords[account]))


def read_by_imaps(server: Mailserver, account: str) -> Sequence[EmailMessage]:
    import imaplib

    address, ports = server.address, server.ports
    with imaplib.IMAP4_SSL(address, ports.imaps, ssl_context=trust(server), timeout=PATIENCE_S) as client:
        return list(_read_imap(client, account, server.passwords[account]))


def send_by_outbox(server: Mailserver, mail: DemoMail) -> None:
    """As Alice's mail program does that knows of IMAP only: what is put into the Outbox is sent."""
    with _connect(server) as client:
        _expect(client.starttls(trust(server)))
        _expect(client.login(SENDER, server.passwords[SENDER]))
        _expect(client.append("Outbox", "", "", mail.message.as_bytes()))


def _connect(server: Mailserver) -> imaplib.IMAP4:
    import imaplib

    return imaplib.IMAP4(server.address, server.ports.imap, PATIENCE_S)


def _read_imap(client: imaplib.IMAP4, account: str, password: str) -> Iterator[EmailMessage]:
    _expect(client.login(account, password))
    _expect(client.select("INBOX", readonly=True))
    [found] = _expect(client.search(None, "ALL"))
    numbers = (found or b"").decode().replace(" ", ",")
    for part in _expect(client.fetch(numbers, "(BODY.PEEK[])")) if numbers else ():
        if isinstance(part, tuple):
            yield parse(part[1])


def _expect(answer: tuple[str, Sequence[T]]) -> Sequence[T]:
    status, data = answer
    if status != "OK":
        raise DemoError(f"IMAP: {status} {data!r}")
    return data


# -- POP3


def read_by_pop3(server: Mailserver, account: str) -> Sequence[EmailMessage]:
    import poplib

    client = poplib.POP3(server.address, server.ports.pop3, PATIENCE_S)
    client.stls(trust(server))
    return _read_pop3(client, account, server.passwords[account])


def read_by_pop3s(server: Mailserver, account: str) -> Sequence[EmailMessage]:
    import poplib

    client = poplib.POP3_SSL(server.address, server.ports.pop3s, timeout=PATIENCE_S, context=trust(server))
    return _read_pop3(client, account, server.passwords[account])


def _read_pop3(client: poplib.POP3, account: str, password: str) -> Sequence[EmailMessage]:
    client.user(account)
    client.pass_(password)
    count, _ = client.stat()
    found = [parse(b"\r\n".join(client.retr(number)[1]) + b"\r\n") for number in range(1, count + 1)]
    client.quit()
    return found


def parse(octets: bytes) -> EmailMessage:
    return email.message_from_bytes(octets, policy=email.policy.default)


READING_DOORS: Mapping[str, Callable[[Mailserver, str], Sequence[EmailMessage]]] = {
    "IMAP": read_by_imap,
    "IMAPS": read_by_imaps,
    "POP3": read_by_pop3,
    "POP3S": read_by_pop3s,
}  # what lies in the INBOX of an account
