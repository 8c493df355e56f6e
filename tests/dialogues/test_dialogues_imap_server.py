"""Those IMAP dialogues that say `with server`, against a running one: real sockets under TLS, the store on disk.

Each script has an account of its own, whose mail is brought by APPEND.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

import pytest

from posthouse.app.account_tools import open_account_tools
from posthouse.config import load
from posthouse.ports.directory_admin import AccountChange
from tests.crash.server_under_load import Server, free_port
from tests.dialogues.imap_player import LETTERS, PASSWORD
from tests.dialogues.imap_script import SCRIPTS, Ear, ImapScript, Step, read_script

ON_SERVER = [script for script in map(read_script, SCRIPTS) if "server" in script.abilities]
_ALICE = "alice@example.org"
_SECRET = "Zw3i-schnelle-Esel"
_PATIENCE_S = 20.0


def account_of(script: ImapScript) -> str:
    return f"{script.name.replace('_', '-')}@example.org"


class MailHost(Server):
    def configure(self, workers: int) -> None:
        super().configure(workers)
        self.imap = free_port()
        base = self.config.read_text().replace("[limits]", '[smtp]\nerror_delay = "0s"\n[limits]')
        self.config.write_text(
            f'postmaster = "{account_of(ON_SERVER[0])}"\n{base}'
            f'[[listener]]\nservice = "imap"\nbind = "127.0.0.1:{self.imap}"\ntls = "implicit"\n'
        )
        with open_account_tools(load(str(self.config))) as tools:
            tools.domains.add("example.org")
            for script in ON_SERVER:
                tools.add_account(account_of(script), AccountChange(), _SECRET)

    def connect(self) -> socket.socket:
        context = ssl.create_default_context(cafile=str(self.base / "data" / "self-signed.pem"))
        context.check_hostname = False
        plain = socket.create_connection(("127.0.0.1", self.imap), _PATIENCE_S)
        return context.wrap_socket(plain)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailHost]:
    server = MailHost(tmp_path_factory.mktemp("imap"), workers=1)
    try:
        server.start()
        yield server
    finally:
        server.close()


class Line:
    """A client of a script, which calls Alice by the name of the script's account."""

    def __init__(self, host: MailHost, script: ImapScript) -> None:
        self._socket = host.connect()
        self._file = self._socket.makefile("rb")
        self._account = account_of(script)

    def send(self, octets: bytes) -> None:
        octets = octets.replace(_ALICE.encode(), self._account.encode())
        self._socket.sendall(octets.replace(f" {PASSWORD}\r\n".encode(), f" {_SECRET}\r\n".encode()))

    def add(self, letter: bytes, date: str) -> None:
        self._socket.sendall(f'add APPEND INBOX "{date}" {{{len(letter)}+}}\r\n'.encode() + letter + b"\r\n")
        self._hear("add")

    def next_line(self) -> str | None:
        line = self._file.readline()
        return line.removesuffix(b"\r\n").decode("utf-8", "backslashreplace") if line else None

    def ask(self, command: str) -> None:
        self.send(f"ask {command}\r\n".encode())
        self._hear("ask")

    def _hear(self, tag: str) -> None:
        line = self.next_line()
        while line is not None and not line.startswith(f"{tag} "):
            line = self.next_line()
        assert line is not None and line.startswith(f"{tag} OK"), line

    def log_in(self, mailbox: str) -> None:
        self.next_line()
        self.ask(f"LOGIN {_ALICE} {PASSWORD}")
        if mailbox:
            self.ask(f"SELECT {mailbox}")

    def close(self) -> None:
        self._file.close()
        self._socket.close()


def deliver(host: MailHost, script: ImapScript) -> None:
    if not script.letters:
        return
    line = Line(host, script)
    line.log_in("")
    for number in script.letters:
        line.add(LETTERS[number - 1], f"{16 + number}-Jul-1996 02:44:25 -0700")
    line.close()


def open_lines(host: MailHost, script: ImapScript) -> list[Line]:
    lines = [Line(host, script) for _ in script.people or ("nobody",)]
    for line in lines if script.people else ():
        line.log_in(script.mailbox)
    return lines


def play_step(lines: list[Line], ear: Ear, step: Step) -> None:
    line = lines[step.client - 1]
    match step.kind:
        case "C":
            line.send(step.octets(ear.values))
        case "S":
            while not ear.hears(step, None if step.text == "**" else line.next_line()):
                pass
        case "END":
            assert line.next_line() is None, ear.where(step)
        case _:
            raise AssertionError(f"{ear.where(step)}: not of a running server")


@pytest.mark.parametrize("script", ON_SERVER, ids=[script.name for script in ON_SERVER])
def test_a_dialogue_with_a_running_server(host: MailHost, script: ImapScript) -> None:
    deliver(host, script)
    lines = open_lines(host, script)
    ear = Ear(script)
    try:
        for step in script.steps:
            play_step(lines, ear, step)
    finally:
        for line in lines:
            line.close()
