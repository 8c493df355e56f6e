"""Mail programs of the terminal, neomutt and aerc: they read, flag, move, and send by the Outbox, as
docs/sending-by-imap.md says. Keys are typed in tmux.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.lab import Host, Lab, LabError, wait_until
from tests.interop.office import PASSWORD
from tests.interop.reading import HOSTNAME, World, open_world, write_letter

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

MANUAL = Path(__file__).resolve().parents[2] / "docs" / "sending-by-imap.md"
NEOMUTT = """
set imap_user = "{account}"
set imap_pass = "{password}"
set folder = "imaps://{account}@{hostname}/"
set spoolfile = "+INBOX"
set ssl_ca_certificates_file = "{certificate}"
set certificate_file = "{certificate}"
set record = "=Outbox"
set sendmail = "/bin/true"
set from = "{account}"
set editor = true
set abort_unmodified = no
set confirmappend = no
set delete = yes
set askbcc = yes
set imap_idle = yes
set timeout = 1
set mail_check = 1
"""
AERC = """
[here]
source = imaps://{user}@{hostname}:993
source-cred-cmd = echo {password}
outgoing = /bin/true
default = INBOX
from = Reader <{account}>
copy-to = Outbox
"""


class Terminal:
    def __init__(self, host: Host, socket: Path, command: str, **environment: str) -> None:
        self._host, self._tmux = host, ["tmux", "-S", str(socket), "-f", "/dev/null"]
        values = [f"{name}={value}" for name, value in {"TERM": "screen", "LANG": "C.UTF-8", **environment}.items()]
        size = ["-x", "120", "-y", "40"]
        host.must("env", *values, *self._tmux, "new-session", "-d", *size, f"{command}; sleep 1000")

    def close(self) -> None:
        self._host.run(*self._tmux, "kill-server")

    def look(self) -> str:
        return self._host.must(*self._tmux, "capture-pane", "-p")

    def wait(self, text: str) -> None:
        try:
            wait_until(lambda: text in self.look(), f"{text!r} on the screen")
        except LabError as error:
            raise LabError(f"{error}:\n{self.look()}") from None

    def type(self, text: str, *keys: str) -> None:
        """`keys` by their names."""
        if text:
            self._host.must(*self._tmux, "send-keys", "-l", text)
        if keys:
            self._host.must(*self._tmux, "send-keys", *keys)


@pytest.fixture(scope="module")
def world(lab: Lab) -> World:
    return open_world(lab)


@pytest.fixture
def account(world: World) -> str:
    account = world.open_outbox()
    world.fill(account, [write_letter(f"Letter {number}") for number in range(4)])
    return account


def answer_question(terminal: Terminal, question: str, key: str) -> None:
    """A program that has just drawn its question may not listen yet."""
    terminal.wait(question)
    for _ in range(10):
        terminal.type(key)
        with contextlib.suppress(LabError):
            wait_until(lambda: question not in terminal.look(), f"the answer to {question!r}", 2.0)
            return
    raise LabError(f"no answer to {question!r} is taken:\n{terminal.look()}")


def wait_flags(world: World, account: str, subject: str, flag: str) -> None:
    def look() -> bool:
        return any(each.message["Subject"] == subject and flag in each.flags for each in world.read(account))

    wait_until(look, f"{flag} of {subject}")


# -- neomutt


@pytest.fixture
def neomutt_rc(world: World, account: str) -> Path:
    values = {"account": account, "password": PASSWORD, "hostname": HOSTNAME, "certificate": world.certificate}
    return world.write("neomuttrc", NEOMUTT.format(**values))


@pytest.fixture
def neomutt(world: World, neomutt_rc: Path) -> Iterator[Terminal]:
    home = str(world.client.directory)
    terminal = Terminal(world.client, world.path("tmux"), f"neomutt -n -F {neomutt_rc}", HOME=home)
    yield terminal
    terminal.close()


def test_neomutt_reads_flags_moves_and_deletes(world: World, account: str, neomutt: Terminal) -> None:
    neomutt.wait("Letter 3")
    neomutt.type("", "Home", "Enter")
    neomutt.wait("Subject: Letter 0")
    neomutt.type("q")
    neomutt.type("2", "Enter")
    neomutt.type("F")
    neomutt.type("3", "Enter")
    neomutt.type("s")
    neomutt.wait("Save to mailbox")
    neomutt.type("", "C-u")
    neomutt.type("=Archive", "Enter")
    neomutt.wait("Archive")
    neomutt.type("4", "Enter")
    neomutt.type("d$")
    wait_until(lambda: len(world.read(account)) == 2, "two that are left")
    wait_flags(world, account, "Letter 0", "\\Seen")
    wait_flags(world, account, "Letter 1", "\\Flagged")
    assert [each.message["Subject"] for each in world.read(account, "Archive")] == ["Letter 2"]
    world.server.submit("ann@there.test", [account], write_letter("Just now"))
    neomutt.wait("Just now")


def test_neomutt_sends_by_its_copy(world: World, account: str, neomutt: Terminal) -> None:
    friend, hidden = world.take_account(), world.take_account()
    neomutt.wait("Letter 3")
    neomutt.type("m")
    for prompt, text in (("To:", friend), ("Bcc:", hidden), ("Subject:", "By neomutt")):
        neomutt.wait(prompt)
        neomutt.type(text, "Enter")
    neomutt.wait("y:Send")
    neomutt.type("y")
    for reader in (friend, hidden):
        assert world.server.find_stored(reader, "By neomutt").message["Bcc"] is None
    assert world.server.find_stored(account, "By neomutt", "Sent").message["Bcc"] == hidden
    assert len(world.read(account, "Sent")) == 1


def test_neomutt_sends_from_scripts_by_the_program_in_the_manual(world: World, account: str, neomutt_rc: Path) -> None:
    friend, hidden = world.take_account(), world.take_account()
    script = read_script().replace("mail.example.org", HOSTNAME).replace("alice@example.org", account)
    path = world.write("posthouse-outbox", script.replace("#!/usr/bin/env python3", f"#!{sys.executable}"))
    path.chmod(0o700)
    settings = ["-e", f"set sendmail={path}", "-e", 'set record=""']
    environment = [f"HOME={world.client.directory}", f"MAIL_PASSWORD={PASSWORD}", f"SSL_CERT_FILE={world.certificate}"]
    command = [
        "env",
        *environment,
        "neomutt",
        "-n",
        "-F",
        str(neomutt_rc),
        *settings,
        "-s",
        "By a script",
        "-b",
        hidden,
        friend,
    ]
    world.client.must(*command, data="Hello.\n")
    for reader in (friend, hidden):
        stored = world.server.find_stored(reader, "By a script")
        assert b"Hello." in stored.octets and stored.message["Bcc"] is None
    assert world.server.find_stored(account, "By a script", "Sent").message["Bcc"] == hidden
    assert len(world.read(account, "Sent")) == 1


def read_script() -> str:
    lines = iter(MANUAL.read_text().splitlines())
    found = [next(line for line in lines if line.strip() == "#!/usr/bin/env python3")]
    for line in lines:
        if line and not line.startswith("    "):
            break
        found.append(line)
    return "\n".join(line.removeprefix("    ") for line in found)


# -- aerc


@pytest.fixture
def aerc(world: World, account: str) -> Iterator[Terminal]:
    home = world.path("aerc")
    settings = home / ".config" / "aerc"
    settings.mkdir(parents=True)
    user = account.replace("@", "%40")
    text = AERC.format(user=user, account=account, password=PASSWORD, hostname=HOSTNAME)
    (settings / "accounts.conf").write_text(text)
    (settings / "accounts.conf").chmod(0o600)
    environment = {"HOME": str(home), "SSL_CERT_FILE": str(world.certificate), "EDITOR": "true"}
    terminal = Terminal(world.client, world.path("tmux"), "aerc", **environment)
    yield terminal
    terminal.close()


def test_aerc_reads_flags_moves_and_sends_by_its_copy(world: World, account: str, aerc: Terminal) -> None:
    friend = world.take_account()
    aerc.wait("Letter 3")
    subject = re.findall(r"Letter \d", aerc.look())[0]  # the topmost is chosen
    aerc.type(":flag", "Enter")
    wait_flags(world, account, subject, "\\Flagged")
    aerc.type(":read", "Enter")
    wait_flags(world, account, subject, "\\Seen")
    aerc.type(":mv Archive", "Enter")
    moved = world.server.find_stored(account, subject, "Archive")
    assert moved.flags == {"\\Flagged", "\\Seen"}
    assert len(world.read(account)) == 3
    aerc.type(f':compose -H "To: {friend}" -H "Subject: By aerc" Hello', "Enter")
    answer_question(aerc, "Send this email?", "y")
    world.server.find_stored(friend, "By aerc")
    assert len(world.server.wait_stored(account, name="Sent")) == 1
