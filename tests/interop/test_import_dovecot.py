"""Mail of a Dovecot comes over: its Maildir as it lies there, and by IMAP over TLS; and what we export it reads."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from posthouse.adapters.imap_client import ImapClient, ImapServer
from posthouse.adapters.imap_source import ImapChoice, ImapSource
from posthouse.adapters.maildir_reader import MaildirSource
from posthouse.adapters.maildir_writer import MaildirSink
from posthouse.ports.transfer import TransferError
from tests.interop.lab import make_certificate, wait_until
from tests.manage.transfer_kit import Kept, make_letter, open_depot, wire

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

IMAP = "/usr/lib/dovecot/imap"
CONFIG = """base_dir = {base}/run
log_path = {base}/log
ssl = required
ssl_cert = <{base}/cert.pem
ssl_key = <{base}/key.pem
protocols = imap
mail_location = maildir:{mail}
first_valid_uid = 0
default_internal_user = nobody
default_login_user = nobody
default_internal_group = nogroup
service anvil {{
  chroot =
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    address = 127.0.0.1
    port = 0
  }}
  inet_listener imaps {{
    address = 127.0.0.1
    port = {port}
    ssl = yes
  }}
}}
passdb {{
  driver = static
  args = password=secret
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={base}/home
}}
namespace inbox {{
  inbox = yes
  separator = .
  mailbox Gesendet {{
    special_use = \\Sent
  }}
}}
"""


@dataclass
class Dovecot:
    base: Path
    port: int

    @property
    def mail(self) -> Path:
        return self.base / "mail"

    @property
    def config(self) -> str:
        return str(self.base / "dovecot.conf")

    def talk(self, *commands: bytes, mail: Path | None = None) -> bytes:
        """By the imap process itself, logged in already."""
        lines = b"".join(b"a%d %s\r\n" % (number, each) for number, each in enumerate(commands))
        done = subprocess.run(
            [IMAP, "-c", self.config, "-o", f"mail_location=maildir:{mail or self.mail}"],
            input=lines + b"z LOGOUT\r\n",
            capture_output=True,
            env={"USER": "bob", "HOME": str(self.base)},
            user="nobody",
            group="nogroup",
            extra_groups=[],
            check=True,
        )
        assert b"z OK" in done.stdout
        return done.stdout

    def connect(self) -> ImapClient:
        client = ImapClient(ImapServer("localhost", self.port, ca=str(self.base / "cert.pem")), 1 << 20)
        client.log_in("bob", "secret")
        return client


def give_to_nobody(path: Path) -> None:
    for each in (path, *path.rglob("*")):
        shutil.chown(each, "nobody", "nogroup")


@pytest.fixture(scope="module")
def dovecot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dovecot]:
    base = tmp_path_factory.mktemp("dovecot")
    for parent in (base, *base.parents):
        if parent.owner() == "root" and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    made = Dovecot(base, port)
    make_certificate(base, "localhost")
    Path(made.config).write_text(CONFIG.format(base=base, mail=made.mail, port=port))
    for name in ("home", "mail"):
        (base / name).mkdir()
        shutil.chown(base / name, "nobody", "nogroup")
    server = subprocess.Popen(["/usr/sbin/dovecot", "-F", "-c", made.config], stdin=subprocess.DEVNULL)
    try:
        wait_until(lambda: is_listening(port), "Dovecot")
        fill(made)
        yield made
    finally:
        server.terminate()
        server.wait(20)


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def append(mailbox: str, octets: bytes, flags: str, date: str) -> bytes:
    return f'APPEND "{mailbox}" ({flags}) "{date}" {{{len(octets)}+}}\r\n'.encode() + octets


MAIL = {
    "INBOX": [
        Kept(wire(make_letter(1)), frozenset({"\\Seen"}), 1_000_000_000.0, 0),
        Kept(wire(make_letter(2, "to the\nend of the line")), frozenset({"\\Flagged", "Project"}), 1_000_000_060.0),
        Kept(wire(make_letter(3, "large\n" * 30_000)), frozenset(), 1_000_000_120.0),
    ],
    "Sent": [Kept(wire(make_letter(4)), frozenset({"\\Answered", "\\Draft", "$Forwarded"}), 1_000_000_180.0)],
    "Work": [],
    "Work/Überblick & mehr": [Kept(wire(make_letter(5)), frozenset({"\\Deleted", "Other"}), 1_000_000_240.0)],
}
NAMES = {"INBOX": "INBOX", "Sent": "Gesendet", "Work": "Work", "Work/Überblick & mehr": "Work.&ANw-berblick &- mehr"}
DATES = iter(("01", "02", "03", "04", "05"))


def fill(dovecot: Dovecot) -> None:
    commands = [f'CREATE "{name}"'.encode() for name in NAMES.values() if name != "INBOX"]
    minute = 46
    for mailbox, messages in MAIL.items():
        for message in messages:
            date = f"09-Sep-2001 01:{minute:02}:40 +0000"
            commands.append(append(NAMES[mailbox], message.octets, " ".join(message.flags), date))
            minute += 1
    answer = dovecot.talk(*commands)
    assert b" NO " not in answer, answer
    assert b" BAD " not in answer, answer


async def test_a_maildir_of_dovecot_comes_with_its_flags(dovecot: Dovecot, tmp_path: Path) -> None:
    async with open_depot(tmp_path) as depot:
        result = await depot.bring(MaildirSource(str(dovecot.mail), limit=1 << 20))
        assert (result.imported, result.bad) == (5, 0)
        found = await depot.everything()
        assert found == {("Gesendet" if name == "Sent" else name): mail for name, mail in MAIL.items()}


async def test_all_mailboxes_come_by_imap(dovecot: Dovecot, tmp_path: Path) -> None:
    async with open_depot(tmp_path) as depot:
        result = await depot.bring(ImapSource("bob", dovecot.connect, ImapChoice()))
        assert (result.imported, result.bad) == (5, 0)
        assert await depot.everything() == MAIL
        again = await depot.bring(ImapSource("bob", dovecot.connect, ImapChoice()))
        assert (again.imported, again.already) == (0, 5)
        await depot.bring(
            ImapSource("bob", dovecot.connect, ImapChoice(only=("Work/Überblick & mehr",), below=("Old",)))
        )
        assert (await depot.everything())["Old/Work/Überblick & mehr"] == MAIL["Work/Überblick & mehr"]


def test_a_wrong_password_and_a_strange_certificate_are_told(dovecot: Dovecot) -> None:
    server = ImapServer("localhost", dovecot.port, ca=str(dovecot.base / "cert.pem"))
    client = ImapClient(server, 1 << 20)
    with pytest.raises(TransferError, match="localhost"):
        client.log_in("bob", "wrong")
    client.close()
    with pytest.raises(TransferError, match="certificate"):
        ImapClient(replace(server, ca=None), 1 << 20)


async def test_dovecot_reads_what_was_exported(dovecot: Dovecot, tmp_path: Path) -> None:
    target = dovecot.base / "exported"
    async with open_depot(tmp_path) as depot:
        await depot.bring(ImapSource("bob", dovecot.connect, ImapChoice()))
        await depot.take(MaildirSink(str(target), "1"))
    give_to_nobody(target)
    wanted = [message for mail in MAIL.values() for message in mail]
    answer = dovecot.talk(
        *[
            line
            for name in (b"INBOX", b"Sent", b'"Work.&ANw-berblick &- mehr"')
            for line in (b"EXAMINE " + name, b"UID FETCH 1:* (FLAGS INTERNALDATE BODY.PEEK[])")
        ],
        mail=target,
    )
    missing = [message.octets[:300] for message in wanted if message.octets not in answer]
    assert not missing, answer[-3000:]
    flags = [frozenset(each.split()) - {b"\\Recent"} for each in re.findall(rb"FLAGS \(([^)]*)\) INTERNALDATE", answer)]
    assert flags == [frozenset(flag.encode() for flag in message.flags) for message in wanted]
    assert answer.count(b'INTERNALDATE "09-Sep-2001') == len(wanted)
    assert os.path.exists(target / "dovecot.index.log")
