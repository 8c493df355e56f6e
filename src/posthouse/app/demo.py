"""`posthouse demo`: two servers, a DNS server between them, real messages, and where each went.

    alice@sender.example -> 127.0.0.2 --MX from the demo's DNS (127.0.0.4)--> 127.0.0.3 -> Maildirs

Both servers are the ordinary `posthouse serve` with a configuration that is printed; only loopback is used. All of
it lives in one temporary directory that goes when the demo ends. `--check` verifies every outcome and ends with 0
or 1; without it the servers stay until Ctrl-C.
"""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
import functools
import json
import shutil
import signal
import smtplib
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from posthouse.app.demo_dns import DnsServer, Zones
from posthouse.app.demo_mail import SENDER, DemoMail, make_demo_mail

SENDING, RECEIVING, NAMING = "127.0.0.2", "127.0.0.3", "127.0.0.4"
PREFERRED_PORT = 2525
POLL_S = 0.05
PROGRAM = "from posthouse.app.cli import main; main()"
PATIENCE_S = 30.0
PEOPLE = {
    "sender.example": ("alice",),
    "recipient.example": ("bob", "carol", "josé"),
    "third.example": ("dave",),
}
ZONES = {
    "sender.example": f"@ MX 10 mail\nmail A {SENDING}",
    "recipient.example": f"@ MX 10 mail\nmail A {RECEIVING}",
    "third.example": "@ MX 10 mail.recipient.example.",
}


class DemoError(Exception):
    """The demo could not run; the text is for the user."""


@dataclass(frozen=True, slots=True)
class Mailserver:
    """One of the two servers: where it listens and where its files are."""

    title: str
    hostname: str
    address: str
    domains: tuple[str, ...]
    directory: Path

    @property
    def config(self) -> Path:
        return self.directory / "posthouse.toml"

    @property
    def log(self) -> Path:
        return self.directory / "server.log"

    def find_maildir(self, address: str) -> Path:
        local, _, domain = address.partition("@")
        return self.directory / "mail" / domain / encode_segment(local)

    def name_maildir(self, address: str) -> str:
        """Its place within the demo's directory."""
        return str(self.find_maildir(address).relative_to(self.directory.parent))

    def make_command(self, *words: str) -> list[str]:
        return [sys.executable, "-c", PROGRAM, "-c", str(self.config), *words]


def encode_segment(text: str) -> str:
    """As the Maildir route writes a local part: octets beyond ASCII as %XX."""
    return "".join(chr(octet) if octet < 0x80 else f"%{octet:02X}" for octet in text.encode())


def make_config(server: Mailserver, port: int) -> str:
    routes = "".join(
        f'\n[[route]]\ndomain = "{domain}"\nto = "maildir:{server.directory}/mail/{{domain}}/{{local}}"\n'
        f'accept = "anyone"\nrecipients = {json.dumps(PEOPLE[domain], ensure_ascii=False)}\n'
        for domain in server.domains
    )
    return f"""hostname = "{server.hostname}"
data = "{server.directory}/data"
runtime = "{server.directory}/run"
workers = 1
postmaster = "{PEOPLE[server.domains[0]][0]}@{server.domains[0]}"

[[listener]]
service = "smtp"
bind = "{server.address}:{port}"
tls = "starttls"

[dns]
servers = ["{NAMING}:{port}"]

[smtp]
trusted_networks = ["{server.address}/32"]

[outbound]
source = ["{server.address}"]
ipv6 = false

[queue]
mx_port = {port}
{routes}"""


def choose_port() -> int:
    """One port that is free on all three addresses, by UDP and TCP."""
    for wanted in (PREFERRED_PORT, 0, 0, 0, 0):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            first = stack.enter_context(socket.create_server((SENDING, wanted)))
            port: int = first.getsockname()[1]
            for address in (RECEIVING, NAMING):
                stack.enter_context(socket.create_server((address, port)))
            udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            udp.bind((NAMING, port))
            return port
    raise DemoError("no port is free on 127.0.0.2 to 127.0.0.4")


@contextlib.asynccontextmanager
async def running(server: Mailserver, port: int) -> AsyncIterator[None]:
    """The server from when it answers until it has ended."""
    (server.directory / "mail").mkdir(parents=True)
    server.config.write_text(make_config(server, port))
    with server.log.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *server.make_command("serve"), stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        await wait_greeting(server, port, process)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def wait_greeting(server: Mailserver, port: int, process: asyncio.subprocess.Process) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection(server.address, port)
            greeting = await reader.readline()
            writer.close()
            if greeting.startswith(b"220"):
                return
        if process.returncode is not None or time.monotonic() > deadline:
            raise DemoError(f"{server.hostname} does not answer:\n{server.log.read_text(errors='replace')[-2000:]}")
        await asyncio.sleep(POLL_S)


def send_mail(mail: DemoMail, server: Mailserver, port: int) -> None:
    options = ["SMTPUTF8", "BODY=8BITMIME"] if mail.needs_utf8 else []
    with smtplib.SMTP(
        server.address, port, "client.sender.example", timeout=PATIENCE_S, source_address=(server.address, 0)
    ) as client:
        client.sendmail(SENDER, mail.recipients, mail.message.as_bytes(), options)


def read_maildir(path: Path) -> Iterator[EmailMessage]:
    for file in sorted(path.glob("new/*")):
        yield email.message_from_bytes(file.read_bytes(), policy=email.policy.default)


def is_delivered(mail: DemoMail, address: str, server: Mailserver) -> bool:
    return any(found["Message-ID"] == mail.message_id for found in read_maildir(server.find_maildir(address)))


def is_unchanged(mail: DemoMail, address: str, server: Mailserver) -> bool:
    """The text and every attachment arrived as they were sent."""

    def list_parts(message: EmailMessage) -> list[bytes]:
        parts = (part for part in message.walk() if not part.is_multipart())
        return [bytes(part.get_payload(decode=True) or b"").replace(b"\r\n", b"\n") for part in parts]

    found = [m for m in read_maildir(server.find_maildir(address)) if m["Message-ID"] == mail.message_id]
    return [list_parts(message) for message in found] == [list_parts(mail.message)]


def is_bounced(address: str, sending: Mailserver) -> bool:
    reports = [m for m in read_maildir(sending.find_maildir(SENDER)) if m.get_content_type() == "multipart/report"]
    return any(address in report.as_string() and "Action: failed" in report.as_string() for report in reports)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one recipient: `is_fine` as it must be."""

    mail: DemoMail
    recipient: str
    is_fine: bool
    text: str


def judge(mail: DemoMail, address: str, sending: Mailserver, receiving: Mailserver) -> Outcome:
    if address in mail.bounces:
        bounced = is_bounced(address, sending)
        where = sending.name_maildir(SENDER)
        return Outcome(mail, address, bounced, f"came back, {where}" if bounced else "no report came")
    if not is_delivered(mail, address, receiving):
        return Outcome(mail, address, False, "did not arrive")
    if not is_unchanged(mail, address, receiving):
        return Outcome(mail, address, False, "arrived changed, or more than once")
    return Outcome(mail, address, True, receiving.name_maildir(address))


async def wait_outcomes(mails: list[DemoMail], sending: Mailserver, receiving: Mailserver) -> list[Outcome]:
    """Every recipient of every message, as soon as all are fine or patience ends."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        outcomes = [judge(mail, address, sending, receiving) for mail in mails for address in mail.recipients]
        if all(outcome.is_fine for outcome in outcomes) or time.monotonic() > deadline:
            return outcomes
        await asyncio.sleep(POLL_S)


async def run_command(server: Mailserver, *words: str) -> str:
    """The output of one of our own commands, asked of the running server."""
    process = await asyncio.create_subprocess_exec(
        *server.make_command(*words), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise DemoError(f"posthouse {' '.join(words)}: {output.decode(errors='replace')}")
    return output.decode(errors="replace")


def draw_outcomes(outcomes: list[Outcome], took_s: float) -> Table:
    table = Table(title=f"{len(outcomes)} recipients, {took_s:.1f} s from the first connection to the last mailbox")
    for column in ("message", "recipient", "", "where it went"):
        table.add_column(column, overflow="fold", no_wrap=column == "recipient")
    previous = None
    for outcome in outcomes:
        title = outcome.mail.title if outcome.mail is not previous else ""
        mark = Text("yes", "green") if outcome.is_fine else Text("NO", "bold red")
        table.add_row(title, outcome.recipient, mark, outcome.text)
        previous = outcome.mail
    return table


def explain(console: Console, sending: Mailserver, receiving: Mailserver, port: int) -> None:
    # As it was called: `make demo` runs it from a directory that is in nobody's PATH.
    mine = f"{sys.argv[0] if '/' in sys.argv[0] else 'posthouse'} -c {sending.config}"
    console.print("\nBoth servers run until Ctrl-C. To look around, in another terminal:", style="bold")
    console.print(f"  {mine} trace {SENDER}", soft_wrap=True)
    console.print(f"  {mine} queue list", soft_wrap=True)
    console.print(f"  {mine} sendmail -f {SENDER} carol@recipient.example < FILE", soft_wrap=True)
    console.print(f"Mail is read in {receiving.directory}/mail, bounces in {sending.directory}/mail.", soft_wrap=True)
    console.print(f"SMTP: {sending.address}:{port} and {receiving.address}:{port}; DNS: {NAMING}:{port}.")


async def wait_interrupt() -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    await stopped.wait()


async def play(console: Console, directory: Path, *, stays: bool) -> bool:
    """The whole demo; true when everything went as it must."""
    port = choose_port()
    sending = Mailserver("sender's", "mail.sender.example", SENDING, ("sender.example",), directory / "sender")
    domains = ("recipient.example", "third.example")
    receiving = Mailserver("recipient's", "mail.recipient.example", RECEIVING, domains, directory / "recipient")
    names = DnsServer(Zones(ZONES), NAMING, port)
    await names.start()
    try:
        async with running(sending, port), running(receiving, port):
            console.print(
                f"{sending.hostname} and {receiving.hostname} are up, their files in {directory}.", soft_wrap=True
            )
            mails, start = make_demo_mail(), time.monotonic()
            for mail in mails:
                await asyncio.to_thread(functools.partial(send_mail, mail, sending, port))
            outcomes = await wait_outcomes(mails, sending, receiving)
            console.print(draw_outcomes(outcomes, time.monotonic() - start))
            console.print("\nThe last message, as the sender's server tells it:", style="bold")
            console.print(await run_command(sending, "trace", mails[-1].message_id), soft_wrap=True, markup=False)
            is_empty = not (await run_command(sending, "queue", "list", "--json")).strip()
            console.print(f"The sender's queue is {'empty' if is_empty else 'not empty'}.")
            if stays:
                explain(console, sending, receiving, port)
                await wait_interrupt()
            return is_empty and all(outcome.is_fine for outcome in outcomes)
    finally:
        await names.stop()


def run_demo(*, check: bool) -> int:
    """The command: 0 when all went well, else 1."""
    console = Console(soft_wrap=False)
    directory = Path(tempfile.mkdtemp(prefix="posthouse-demo-"))
    try:
        is_fine = asyncio.run(play(console, directory, stays=not check))
    except (DemoError, OSError) as error:
        console.print(f"The demo could not run: {error}", style="red", markup=False)
        return 1
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    if check:
        console.print("demo: all as it must be" if is_fine else "demo: NOT as it must be")
    return 0 if is_fine else 1
