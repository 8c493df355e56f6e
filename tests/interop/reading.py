"""Our server with IMAP and submission, accounts to read, and a host for the mail programs that read them."""

from __future__ import annotations

import ctypes
import imaplib
import itertools
import os
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.interop.lab import SUBMISSION, Host, Lab
from tests.interop.office import PASSWORD, PostOffice, Stored

HOSTNAME = "mx.here.test"  # known to programs that `Host.run` starts
ACCOUNTS = [f"reader{number}@here.test" for number in range(12)]
COMMANDS = ("domain add here.test", *[f"account add {address} --password-stdin" for address in ACCOUNTS])
IMAP = """
[[listener]]
service = "imap"
bind = "0.0.0.0:143"
tls = "starttls"

[[listener]]
service = "imap"
bind = "0.0.0.0:993"
tls = "implicit"
"""
CLONE_NEWNET = 0x40000000

_numbers = itertools.count(1)
_c_library = ctypes.CDLL(None, use_errno=True)


@dataclass
class World:
    server: PostOffice
    client: Host
    unused: list[str] = field(default_factory=lambda: list(ACCOUNTS))

    @property
    def address(self) -> str:
        return self.server.host.ipv4

    @property
    def certificate(self) -> Path:
        return self.server.host.directory / "cert.pem"

    def take_account(self) -> str:
        """One that nobody has used."""
        return self.unused.pop()

    def open_outbox(self) -> str:
        """An account whose Outbox sends."""
        account = self.take_account()
        self.server.command("account", "outbox", account, "on")
        return account

    def read(self, account: str, name: str = "INBOX") -> list[Stored]:
        return self.server.read_mailbox(account, name)

    def path(self, name: str) -> Path:
        return self.client.directory / f"{next(_numbers)}-{name}"

    def write(self, name: str, text: str) -> Path:
        path = self.path(name)
        path.write_text(text)
        path.chmod(0o600)
        return path

    @contextmanager
    def open_imap(self, account: str) -> Iterator[imaplib.IMAP4_SSL]:
        """Logged in, by TLS."""
        with be_on(self.client), imaplib.IMAP4_SSL(self.address, ssl_context=make_context(), timeout=30) as imap:
            imap.login(account, PASSWORD)
            yield imap

    def fill(self, account: str, messages: list[bytes], name: str = "INBOX") -> None:
        with self.open_imap(account) as imap:
            for message in messages:
                must(imap.append(name, "", "", message))


def open_world(lab: Lab, *, tables: str = "") -> World:
    host, client = lab.add_host("server"), lab.add_host("client")
    server = PostOffice(lab, host, HOSTNAME, COMMANDS, tables=IMAP + SUBMISSION + tables)
    host.wait_port(993)
    names = f"127.0.0.1 localhost {socket.gethostname()}\n{host.ipv4} {HOSTNAME}\n"  # there is no DNS to wait for
    (Path("/etc/netns") / client.namespace / "hosts").write_text(names)
    return World(server, client)


def make_context() -> ssl.SSLContext:
    """Takes the server's certificate for what it is: its own."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def must(answer: tuple[str, Sequence[object]]) -> Sequence[object]:
    """The data of an answer of imaplib that says OK."""
    assert answer[0] == "OK", answer
    return answer[1]


@contextmanager
def be_on(host: Host) -> Iterator[None]:
    """This thread opens its connections, and starts its programs, on that host."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{host.namespace}", os.O_RDONLY)
    try:
        _enter(there)
        yield
    finally:
        _enter(home)
        os.close(home)
        os.close(there)


def _enter(namespace: int) -> None:
    if _c_library.setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def write_letter(
    subject: str, body: str = "Hello.\r\n", to: str = "bob@here.test", sender: str = "ann@there.test"
) -> bytes:
    """Names of its own Message-ID come from the subject."""
    name = subject.replace(" ", "-").lower()
    return (
        f"From: {sender}\r\nTo: {to}\r\nSubject: {subject}\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\n"
        f"Message-ID: <{name}@there.test>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Transfer-Encoding: 8bit\r\n\r\n{body}"
    ).encode()


def make_maildir(path: Path) -> Path:
    for name in ("cur", "new", "tmp"):
        (path / name).mkdir(parents=True)
    return path
