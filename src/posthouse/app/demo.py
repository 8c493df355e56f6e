"""`posthouse demo`: two servers, a DNS server between them, accounts on both, and what became of real messages.

    alice's mail program -> 127.0.0.2 --MX from the demo's DNS (127.0.0.4)--> 127.0.0.3 -> mailboxes

Both servers are the ordinary `posthouse serve`, and only loopback is used. One message goes through every door and is
read back by every other; then come the cases: an alias, a forward, a bounce, a full mailbox and so on. All of it
lives in one temporary directory that goes when the demo ends. `--check` ends with 0 or 1; without it the servers stay
until Ctrl-C.
"""

from __future__ import annotations

import asyncio
import functools
import shutil
import signal
import smtplib
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

from rich.console import Console

from posthouse.app.demo_dns import DnsServer, Zones
from posthouse.app.demo_doors import (
    Door,
    send_by_lmtp,
    send_by_sendmail,
    send_by_smtp,
    send_by_submission,
    send_by_submissions,
)
from posthouse.app.demo_fetch import READING_DOORS, send_by_outbox
from posthouse.app.demo_jmap import read_by_jmap, send_by_jmap
from posthouse.app.demo_judge import Boxes, Outcome, Seen, find_sent_problem, judge_all
from posthouse.app.demo_mail import (
    BOB,
    SENDER,
    TINY,
    TINY_QUOTA,
    DemoMail,
    make_demo_mail,
    make_door_mail,
    make_large_mail,
)
from posthouse.app.demo_reading import StoreReader, export_inbox, find_ends, reading
from posthouse.app.demo_server import (
    NAMING,
    PATIENCE_S,
    POLL_S,
    RECEIVING,
    SENDING,
    DemoError,
    Mailserver,
    People,
    Person,
    choose_ports,
    run_command,
    running,
    settle_people,
)
from posthouse.app.demo_show import draw_doors, draw_outcomes, draw_people, explain

STORE = "store"
ZONES = {
    "sender.example": f"@ MX 10 mail\nmail A {SENDING}",
    "recipient.example": f"@ MX 10 mail\nmail A {RECEIVING}",
    "third.example": "@ MX 10 mail.recipient.example.",
}
AT_SENDER = People(("sender.example",), (Person(SENDER, "Alice"),))
AT_RECIPIENT = People(
    ("recipient.example", "third.example"),
    (
        Person(BOB, "Bob"),
        Person("carol@recipient.example", "Carol"),
        Person("josé@recipient.example", "José"),
        Person(TINY, "Tiny", TINY_QUOTA),
        Person("dave@third.example", "Dave"),
    ),
    {
        "team@recipient.example": (BOB, "carol@recipient.example"),
        "moved@recipient.example": (SENDER,),
        "@third.example": ("dave@third.example",),
    },
    {BOB: "lists"},
)


@dataclass(frozen=True, slots=True)
class Scene:
    """Both servers at work, and what reads their mail."""

    sending: Mailserver
    receiving: Mailserver
    readers: Sequence[StoreReader]

    @property
    def servers(self) -> tuple[Mailserver, Mailserver]:
        return self.sending, self.receiving

    def list_doors(self) -> list[Door]:
        """Those of the sender's server need the name and password of an account, or to be on its machine."""
        here, there = self.sending, self.receiving
        return [
            Door("SMTP", f"{there.address}:{there.ports.smtp}", beside(send_by_smtp, there)),
            Door("LMTP", "run/lmtp.sock", beside(send_by_lmtp, there)),
            self.submission,
            Door("submissions", f"{here.address}:{here.ports.submissions}", beside(send_by_submissions, here), True),
            Door("IMAP Outbox", f"{here.address}:{here.ports.imap}", beside(send_by_outbox, here), True),
            Door("JMAP", f"{here.address}:{here.ports.http}", beside(send_by_jmap, here), True),
            Door("sendmail", "the command", functools.partial(send_by_sendmail, here)),
        ]

    @property
    def submission(self) -> Door:
        here = self.sending
        where = f"{here.address}:{here.ports.submission}"
        return Door("submission", where, beside(send_by_submission, here), True)

    async def look(self, mails: Sequence[DemoMail]) -> Seen:
        boxes: dict[str, Sequence[EmailMessage]] = {}
        for reader in self.readers:
            boxes.update(await reader.read_all())
        ends = await asyncio.to_thread(find_ends, self.servers, [mail.message_id for mail in mails])
        return Seen({STORE: boxes}, ends)

    async def read_inbox(self, address: str) -> dict[str, Boxes]:
        """As every program of the user's sees it, by reading door."""
        server, place = self.receiving, f"{address}/INBOX"
        seen: dict[str, Boxes] = {"export": await export_inbox(server, address)}
        for name, read in {**READING_DOORS, "JMAP": read_by_jmap}.items():
            seen[name] = {place: await asyncio.to_thread(read, server, address)}
        return seen

    async def wait_outcomes(self, mails: Sequence[DemoMail]) -> tuple[Seen, list[Outcome]]:
        """Every recipient of every message, as soon as all are fine or patience ends."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            seen = await self.look(mails)
            outcomes = judge_all(mails, seen)
            if all(outcome.is_fine for outcome in outcomes) or time.monotonic() > deadline:
                return seen, outcomes
            await asyncio.sleep(POLL_S)

    async def is_put_off(self, mail: DemoMail, reply: str) -> bool:
        ends = await asyncio.to_thread(find_ends, (self.sending,), [mail.message_id])
        return any(end.startswith(reply) for end in ends[mail.message_id])

    async def has_empty_queues(self) -> bool:
        return not any([await run_command(server, "queue", "list", "--json") for server in self.servers])


def beside(send: Callable[[Mailserver, DemoMail], None], server: Mailserver) -> Callable[[DemoMail], Awaitable[None]]:
    """smtplib blocks: it runs in a thread."""

    async def run(mail: DemoMail) -> None:
        await asyncio.to_thread(send, server, mail)

    return run


async def act(console: Console, scene: Scene) -> bool:
    """Send, wait, show; true when everything is as it must be."""
    doors = scene.list_doors()
    by_doors, cases, large = [make_door_mail(door.name) for door in doors], make_demo_mail(), make_large_mail()
    for door, mail in zip(doors, by_doors, strict=True):
        await door.send(mail)
    cases.append(large)
    for mail in cases:
        await scene.submission.send(mail)
    await make_room(scene, large)
    seen, outcomes = await scene.wait_outcomes([*by_doors, *cases])
    by_door = judge_all(by_doors, Seen({**seen.boxes, **await scene.read_inbox(BOB)}, seen.ends))
    console.print(draw_doors(doors, by_door))
    console.print(draw_outcomes(outcomes[len(doors) :]))
    logged_in = [mail for door, mail in zip(doors, by_doors, strict=True) if door.files_sent]
    problem = find_sent_problem([*logged_in, *cases], seen.boxes[STORE])
    console.print(problem or "What Alice submitted is in her Sent, each message once.")
    await show_forward(console, scene, next(mail for mail in cases if mail.title == "forward"))
    is_empty = await wait_until(scene.has_empty_queues)  # a message leaves a moment after its last recipient
    console.print(f"The queues are {'empty' if is_empty else 'NOT empty'}.")
    console.print(draw_people(scene.servers, seen.boxes[STORE]))
    return is_empty and not problem and all(outcome.is_fine for outcome in (*by_door, *outcomes))


async def make_room(scene: Scene, large: DemoMail) -> None:
    """Once the full mailbox has put it off, as an administrator would."""
    [fate] = large.fates
    await wait_until(lambda: scene.is_put_off(large, fate.first_reply))
    await run_command(scene.receiving, "account", "set", fate.recipient, "--quota", "1M")
    await run_command(scene.sending, "queue", "retry", "--all")


async def wait_until(condition: Callable[[], Awaitable[bool]]) -> bool:
    """Whether it came true before patience ended."""
    deadline = time.monotonic() + PATIENCE_S
    while not await condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(POLL_S)
    return True


async def show_forward(console: Console, scene: Scene, mail: DemoMail) -> None:
    console.print("\nThe forwarded message, as both servers tell it (posthouse trace):", style="bold")
    for server in scene.servers:
        console.print(server.hostname, style="dim")
        console.print((await run_command(server, "trace", mail.message_id)).rstrip(), soft_wrap=True, markup=False)


async def wait_interrupt() -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    await stopped.wait()


async def play(console: Console, directory: Path, *, stays: bool) -> bool:
    """The whole demo; true when everything went as it must."""
    ports = choose_ports()
    sending = Mailserver("mail.sender.example", SENDING, directory / "sender", ports, AT_SENDER)
    receiving = Mailserver("mail.recipient.example", RECEIVING, directory / "recipient", ports, AT_RECIPIENT)
    names = DnsServer(Zones(ZONES), NAMING, ports.smtp)
    async with AsyncExitStack() as stack:
        await names.start()
        stack.push_async_callback(names.stop)
        readers = []
        for server in (sending, receiving):
            await asyncio.to_thread(settle_people, server)
            await stack.enter_async_context(running(server))
            readers.append(await stack.enter_async_context(reading(server)))
            await readers[-1].make_mailboxes()
        await run_command(sending, "account", "outbox", SENDER, "on")
        console.print(
            f"{sending.hostname} and {receiving.hostname} are up, their files in {directory}.", soft_wrap=True
        )
        is_fine = await act(console, Scene(sending, receiving, readers))
        if stays:
            explain(console, sending, receiving)
            await wait_interrupt()
        return is_fine


def run_demo(*, check: bool) -> int:
    """The command: 0 when all went well, else 1."""
    console = Console(soft_wrap=False, highlight=False)
    directory = Path(tempfile.mkdtemp(prefix="posthouse-demo-"))
    try:
        is_fine = asyncio.run(play(console, directory, stays=not check))
    except (DemoError, OSError, smtplib.SMTPException) as error:
        console.print(f"The demo could not run: {error}", style="red", markup=False)
        return 1
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    if check:
        console.print("demo: all as it must be" if is_fine else "demo: NOT as it must be")
    return 0 if is_fine else 1
