"""What the demo prints."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from posthouse.app.demo_doors import Door
from posthouse.app.demo_judge import Boxes, Outcome
from posthouse.app.demo_mail import BOB, SENDER
from posthouse.app.demo_server import NAMING, Mailserver


def _mark(is_fine: bool) -> Text:
    return Text("yes", "green") if is_fine else Text("NO", "bold red")


def draw_doors(doors: Sequence[Door], outcomes: Sequence[Outcome]) -> Table:
    """One message through each, read back by each way to read."""
    readers = list(outcomes[0].problems) if outcomes else []
    table = Table(title="In by every door, read back by every door", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("in by", "at", *readers):
        table.add_column(column, overflow="fold")
    for door, outcome in zip(doors, outcomes, strict=True):
        table.add_row(door.name, door.where, *(_mark(not outcome.problems[name]) for name in readers))
    return table


def draw_outcomes(outcomes: Sequence[Outcome]) -> Table:
    table = Table(title="What becomes of mail", box=box.SIMPLE_HEAD)
    for column in ("message", "to", "", "where it went"):
        table.add_column(column, overflow="fold", no_wrap=column == "to")
    previous = None
    for outcome in outcomes:
        title = outcome.mail.title if outcome.mail is not previous else ""
        table.add_row(title, outcome.fate.recipient, _mark(outcome.is_fine), outcome.text)
        previous = outcome.mail
    return table


def draw_people(servers: Sequence[Mailserver], boxes: Boxes) -> Table:
    table = Table(title="Accounts", box=box.SIMPLE_HEAD)
    for column in ("user name", "password", "mailboxes"):
        table.add_column(column, overflow="fold", no_wrap=column != "mailboxes")  # to be copied whole
    for server in servers:
        for address, password in server.passwords.items():
            counted = (
                f"{place.removeprefix(f'{address}/')} {len(found)}"
                for place, found in boxes.items()
                if place.startswith(f"{address}/")
            )
            table.add_row(address, password, ", ".join(counted))
    return table


def make_program_words(server: Mailserver) -> str:
    """As it was called, to be typed anywhere: `make demo` runs it from a directory that is in nobody's PATH."""
    program = os.path.abspath(sys.argv[0]) if "/" in sys.argv[0] else "posthouse"
    return f"{program} -c {server.config}"


def explain(console: Console, sending: Mailserver, receiving: Mailserver) -> None:
    here, there, ports = make_program_words(sending), make_program_words(receiving), sending.ports
    lines = (
        f"To send, a mail program takes {sending.address} for Alice and {receiving.address} for all others, port",
        f"{ports.submission} (STARTTLS) or {ports.submissions} (TLS), and a user name and password from above.",
        f"To read, it takes the same address, IMAP port {ports.imap} (STARTTLS) or {ports.imaps} (TLS), or POP3 port",
        f"{ports.pop3} (STARTTLS) or {ports.pop3s} (TLS). The certificates are self-signed; the program will ask.",
        "What Alice's program puts into her Outbox is sent (docs/sending-by-imap.md).",
        f"In a browser: {sending.url} for Alice, {receiving.url} for all others; programs of JMAP take the same.",
        "To see mail and its story from another terminal:",
        f"  {there} export {BOB} bob-mail",
        "  cat bob-mail/cur/*",
        f"  {there} trace {BOB}",
        f"  {here} trace {SENDER}",
        "More to try:",
        f"  {here} sendmail -f {SENDER} carol@recipient.example < FILE",
        f"  {there} account list",
        f"  {there} alias add news@recipient.example {BOB}",
        f"  {here} queue list",
        f"SMTP: {sending.address}:{ports.smtp} and {receiving.address}:{ports.smtp}; DNS: {NAMING}:{ports.smtp}.",
    )
    console.print("\nBoth servers run until Ctrl-C.", style="bold")
    for line in lines:
        console.print(line, soft_wrap=True, markup=False)
