"""One of the demo's two servers: its configuration, its accounts, and the ordinary `posthouse serve` that runs it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from posthouse.app.account_tools import open_account_tools
from posthouse.config.reader import load
from posthouse.config.settings import Settings
from posthouse.ports.directory_admin import AccountChange

SENDING, RECEIVING, NAMING = "127.0.0.2", "127.0.0.3", "127.0.0.4"
PATIENCE_S = 60.0
POLL_S = 0.05
_PROGRAM = "from posthouse.app.cli import main; main()"


class DemoError(Exception):
    """The demo could not run; the text is for the user."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The same on both servers; the DNS server has that of SMTP."""

    smtp: int
    submission: int
    submissions: int
    imap: int
    imaps: int
    pop3: int
    pop3s: int
    http: int


@dataclass(frozen=True, slots=True)
class Person:
    address: str
    name: str
    quota_octets: int | None = None


@dataclass(frozen=True, slots=True)
class People:
    """Who is at home at a server. `mailboxes` beside the usual ones, by account."""

    domains: Sequence[str]
    persons: Sequence[Person]
    aliases: Mapping[str, Sequence[str]] = field(default_factory=dict)
    mailboxes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Mailserver:
    """Where it listens, where its files are, and the passwords of its accounts."""

    hostname: str
    address: str
    directory: Path
    ports: Ports
    people: People
    passwords: dict[str, str] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        return self.directory / "posthouse.toml"

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.ports.http}/"

    @property
    def log(self) -> Path:
        return self.directory / "server.log"

    @property
    def lmtp(self) -> Path:
        return self.directory / "run" / "lmtp.sock"

    @property
    def journal(self) -> Path:
        return self.directory / "data" / "journal"

    @property
    def certificate(self) -> Path:
        return self.directory / "data" / "self-signed.pem"

    def load_settings(self) -> Settings:
        return load(str(self.config))

    def make_command(self, *words: str) -> list[str]:
        return [sys.executable, "-c", _PROGRAM, "-c", str(self.config), *words]


def make_config(server: Mailserver) -> str:
    ports = server.ports
    return f"""hostname = "{server.hostname}"
data = "{server.directory}/data"
runtime = "{server.directory}/run"
workers = 1
postmaster = "{server.people.persons[0].address}"

[[listener]]
service = "smtp"
bind = "{server.address}:{ports.smtp}"
tls = "starttls"

[[listener]]
service = "submission"
bind = "{server.address}:{ports.submission}"
tls = "starttls"

[[listener]]
service = "submission"
bind = "{server.address}:{ports.submissions}"
tls = "implicit"

[[listener]]
service = "imap"
bind = "{server.address}:{ports.imap}"
tls = "starttls"

[[listener]]
service = "imap"
bind = "{server.address}:{ports.imaps}"
tls = "implicit"

[[listener]]
service = "pop3"
bind = "{server.address}:{ports.pop3}"
tls = "starttls"

[[listener]]
service = "pop3"
bind = "{server.address}:{ports.pop3s}"
tls = "implicit"

[[listener]]
service = "http"
bind = "{server.address}:{ports.http}"

[[listener]]
service = "lmtp"
bind = "unix:{server.lmtp}"

[dns]
servers = ["{NAMING}:{ports.smtp}"]

[smtp]
trusted_networks = []

[outbound]
source = ["{server.address}"]
ipv6 = false

[queue]
mx_port = {ports.smtp}
"""


def choose_ports() -> Ports:
    """The usual ones and 2000 or 2400 more, where they are free on all three addresses, by UDP and TCP."""
    return Ports(*(_choose_port(preferred) for preferred in (2525, 2587, 2465, 2143, 2993, 2110, 2995, 8080)))


def _choose_port(preferred: int) -> int:
    for wanted in (preferred, 0, 0, 0, 0):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            first = stack.enter_context(socket.create_server((SENDING, wanted)))
            port: int = first.getsockname()[1]
            for address in (RECEIVING, NAMING):
                stack.enter_context(socket.create_server((address, port)))
            udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            udp.bind((NAMING, port))
            return port
    raise DemoError("no port is free on 127.0.0.2 to 127.0.0.4")


def settle_people(server: Mailserver) -> None:
    """As `posthouse domain add`, `account add` and `alias add` do it. Passwords are made, and remembered here."""
    server.directory.mkdir(parents=True)
    server.config.write_text(make_config(server))
    with open_account_tools(server.load_settings()) as tools:
        for domain in server.people.domains:
            tools.domains.add(domain)
        for person in server.people.persons:
            new = AccountChange(display_name=person.name, quota_octets=person.quota_octets)
            server.passwords[person.address] = tools.add_account(person.address, new)
        for alias, targets in server.people.aliases.items():
            tools.aliases.add(alias, targets)


@contextlib.asynccontextmanager
async def running(server: Mailserver) -> AsyncIterator[None]:
    """The server from when it answers until it has ended."""
    with server.log.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *server.make_command("serve"), stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        await _wait_greeting(server, process)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _wait_greeting(server: Mailserver, process: asyncio.subprocess.Process) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection(server.address, server.ports.smtp)
            greeting = await reader.readline()
            writer.close()
            if greeting.startswith(b"220"):
                return
        if process.returncode is not None or time.monotonic() > deadline:
            raise DemoError(f"{server.hostname} does not answer:\n{server.log.read_text(errors='replace')[-2000:]}")
        await asyncio.sleep(POLL_S)


async def run_command(server: Mailserver, *words: str, given: bytes = b"") -> str:
    """The output of one of our own commands, run beside the server as anybody would."""
    process = await asyncio.create_subprocess_exec(
        *server.make_command(*words),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate(given)
    if process.returncode:
        raise DemoError(f"posthouse {' '.join(words)}: {output.decode(errors='replace')}")
    return output.decode(errors="replace")
