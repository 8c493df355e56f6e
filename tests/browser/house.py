"""A running server with a web page, two people and their mail."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from posthouse.app.account_tools import open_account_tools
from posthouse.app.demo_server import Mailserver, People, Person, Ports, make_config, run_command, running
from posthouse.ports.directory_admin import AccountChange
from tests.browser.letters import ANN, ANN_NAME, BOB, BOB_NAME, Letter, list_letters, write_maildir

HOST = "127.0.0.1"
# Time for undoing; a domain whose server never answers, so that mail waits in the queue; one that takes no mail.
_MORE = """
[submission]
undo = "8s"

[[route]]
domain = "silent.example"
to = "smtp://127.0.0.1:1"
accept = "anyone"

[[route]]
domain = "closed.example"
to = "reject:550 5.7.1 They take no mail"
accept = "trusted"
"""


@dataclass(frozen=True, slots=True)
class House:
    server: Mailserver

    @property
    def url(self) -> str:
        return self.server.url.rstrip("/")

    def password(self, address: str = ANN) -> str:
        return self.server.passwords[address]


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server((HOST, 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


def make_server(directory: Path) -> Mailserver:
    people = People(["posthouse.test"], [Person(ANN, ANN_NAME), Person(BOB, BOB_NAME)])
    return Mailserver("mail.posthouse.test", HOST, directory, Ports(*_free_ports(8)), people)


def settle(server: Mailserver) -> None:
    server.directory.mkdir(parents=True)
    config = make_config(server).replace('servers = ["127.0.0.4:', 'servers = ["127.0.0.1:')
    server.config.write_text(config + _MORE)
    with open_account_tools(server.load_settings()) as tools:
        tools.domains.add("posthouse.test")
        for person in server.people.persons:
            change = AccountChange(display_name=person.name, is_admin=person.address == ANN)
            server.passwords[person.address] = tools.add_account(person.address, change)


async def seed(server: Mailserver, letters: Sequence[Letter] | None = None, owner: str = ANN) -> None:
    now = datetime.now(UTC)
    maildir = server.directory / f"maildir-{owner}"
    write_maildir(maildir, now, list(list_letters(now)) if letters is None else letters)
    await run_command(server, "import", owner, "maildir", str(maildir))


@contextlib.asynccontextmanager
async def open_house(directory: Path) -> AsyncIterator[House]:
    server = make_server(directory)
    await asyncio.to_thread(settle, server)
    async with running(server):
        await seed(server)
        yield House(server)


async def _serve(directory: Path) -> None:
    async with open_house(directory) as house:
        over = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):  # the server ends with us
            asyncio.get_running_loop().add_signal_handler(number, over.set)
        print(f"{house.url} {ANN} {house.password()}", flush=True)
        await over.wait()


if __name__ == "__main__":
    import sys

    asyncio.run(_serve(Path(sys.argv[1])))
