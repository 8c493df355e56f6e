"""mbsync (isync): a Maildir of 5,000 messages goes up and comes down again; changes of both sides find each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.interop.lab import Lab
from tests.interop.office import PASSWORD
from tests.interop.reading import HOSTNAME, World, make_maildir, must, open_world, write_letter

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180)]

COUNT = 5_000
FLAGS = {"D": "\\Draft", "F": "\\Flagged", "P": "$Forwarded", "R": "\\Answered", "S": "\\Seen", "T": "\\Deleted"}
RC = """
FSync no

IMAPAccount here
Host {hostname}
Port {port}
User {account}
Pass "{password}"
SSLType {tls}
CertificateFile {certificate}
AuthMechs {mechanism}

IMAPStore far
Account here

MaildirStore near
Inbox {maildir}/INBOX
Path {maildir}/
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Remove Both
Expunge Both
SyncState *
"""


class Mbsync:
    """A Maildir and the state of its synchronisation."""

    def __init__(self, world: World, account: str, *, port: int = 993, mechanism: str = "*") -> None:
        self.world = world
        self.maildir = world.path("maildir")
        make_maildir(self.maildir / "INBOX")
        self._rc = world.write(
            "mbsyncrc",
            RC.format(
                hostname=HOSTNAME,
                port=port,
                account=account,
                password=PASSWORD,
                tls="IMAPS" if port == 993 else "STARTTLS",
                certificate=world.certificate,
                mechanism=mechanism,
                maildir=self.maildir,
            ),
        )

    def run(self) -> None:
        self.world.client.must("mbsync", "--quiet", "--quiet", "--config", str(self._rc), "all", timeout=120)

    def add(self, subject: str, flags: str = "", name: str = "INBOX", body: str = "Hello.\n") -> None:
        folder = self.maildir / name / ("cur" if flags else "new")
        (folder / f"{subject.replace(' ', '-')}.host:2,{flags}").write_bytes(in_lines(write_letter(subject, body)))

    def find(self, subject: str, name: str = "INBOX") -> Path:
        return self.files(name)[subject]

    def files(self, name: str = "INBOX") -> dict[str, Path]:
        """By subject."""
        found = [path for folder in ("cur", "new") for path in (self.maildir / name / folder).iterdir()]
        return {find_subject(path.read_bytes()): path for path in found}

    def letters(self, name: str = "INBOX") -> dict[bytes, set[str]]:
        """Flags by what was written."""
        return {drop_token(path.read_bytes()): read_flags(path) for path in self.files(name).values()}

    def mark(self, subject: str, flags: str) -> None:
        path = self.find(subject)
        path.rename(path.parent.parent / "cur" / f"{path.name.partition(':')[0]}:2,{flags}")


def in_lines(message: bytes) -> bytes:
    return message.replace(b"\r\n", b"\n")


def find_subject(message: bytes) -> str:
    start = message.index(b"Subject: ") + 9
    return message[start : message.index(b"\n", start)].strip().decode()


def drop_token(message: bytes) -> bytes:
    """Without the field that mbsync puts in to find its upload again."""
    start = message.find(b"X-TUID: ")
    return message if start < 0 else message[:start] + message[message.index(b"\n", start) + 1 :]


def read_flags(path: Path) -> set[str]:
    return {FLAGS[letter] for letter in path.name.partition(":2,")[2]}


def far_letters(world: World, account: str, name: str = "INBOX") -> dict[bytes, set[str]]:
    stored = world.read(account, name)
    found = {drop_token(in_lines(each.octets)): set(each.flags) & set(FLAGS.values()) for each in stored}
    assert len(found) == len(stored)
    return found


def modseq(world: World, account: str) -> Sequence[object]:
    with world.open_imap(account) as imap:
        return must(imap.status("INBOX", "(MESSAGES UIDNEXT HIGHESTMODSEQ)"))


@pytest.fixture(scope="module")
def world(lab: Lab) -> World:
    return open_world(lab)


def test_five_thousand_messages_go_up_and_come_down_again(world: World) -> None:
    account = world.take_account()
    first, second = Mbsync(world, account), Mbsync(world, account)
    for number in range(COUNT):
        flags = "".join(letter for bit, letter in enumerate("DFPRS") if number >> bit & 1)
        first.add(f"Letter {number}", flags, body="Schöne Grüße.\n" * (number % 100) + ".\n")
    written = first.letters()
    first.run()
    assert len(written) == COUNT
    assert far_letters(world, account) == written
    second.run()
    assert second.letters() == written
    before, files, others = modseq(world, account), first.files(), second.files()
    first.run()
    second.run()
    assert (modseq(world, account), first.files(), second.files()) == (before, files, others)


@pytest.mark.parametrize("port", [143, 993])
def test_changes_of_both_sides(world: World, port: int) -> None:
    account = world.take_account()
    first, second = Mbsync(world, account, port=port), Mbsync(world, account, port=port)
    for number in range(60):
        first.add(f"Letter {number}", "S" if number % 2 else "")
    for program in (first, second):
        program.run()
    for number, letter in enumerate("DFPRST"):  # a program each way; T goes and is expunged
        first.mark(f"Letter {number}", letter)
        second.mark(f"Letter {number + 10}", letter)
    first.mark("Letter 21", "")  # read, and now not
    second.mark("Letter 23", "FR")
    first.find("Letter 30").unlink()
    second.find("Letter 31").unlink()
    first.add("From the first", "F")
    second.add("From the second", "RS")
    for program in (first, second, first):
        program.run()
    assert first.letters() == second.letters() == far_letters(world, account)
    assert len(first.letters()) == 60 - 4 + 2
    for number, letter in enumerate("DFPRS"):
        assert read_flags(first.find(f"Letter {number + 10}")) == {FLAGS[letter]}
        assert read_flags(second.find(f"Letter {number}")) == {FLAGS[letter]}
    assert read_flags(second.find("Letter 21")) == set()
    assert read_flags(first.find("Letter 23")) == {"\\Flagged", "\\Answered"}
    assert set(first.files()).isdisjoint({"Letter 5", "Letter 15", "Letter 30", "Letter 31"})


def test_what_another_program_did_comes_down(world: World) -> None:
    account = world.take_account()
    world.fill(account, [write_letter(f"Letter {number}") for number in range(10)])
    program = Mbsync(world, account)
    program.run()
    with world.open_imap(account) as imap:
        must(imap.create("B&APw-cher"))
        must(imap.select())
        must(imap.store("1", "+FLAGS", "(\\Seen $Forwarded)"))
        must(imap.uid("MOVE", "2:3", "Archive"))
        must(imap.store("2", "+FLAGS", "\\Deleted"))
        must(imap.expunge())
        must(imap.append("INBOX", "\\Flagged", "", write_letter("New")))
    program.run()
    assert program.letters() == far_letters(world, account)
    assert (program.maildir / "B&APw-cher" / "cur").is_dir()  # it leaves names as they are on the wire
    assert set(program.files("Archive")) == {"Letter 1", "Letter 2"}
    assert set(program.files()) == {"Letter 0", "New", *(f"Letter {number}" for number in range(4, 10))}


def test_mailboxes_are_made_and_taken_away_on_both_sides(world: World) -> None:
    account = world.take_account()
    program = Mbsync(world, account)
    program.run()
    make_maildir(program.maildir / "Lists")
    make_maildir(program.maildir / "Lists" / "Dev")
    program.add("To the list", "S", name="Lists/Dev")
    program.run()
    assert far_letters(world, account, "Lists/Dev") == program.letters("Lists/Dev")
    with world.open_imap(account) as imap:
        must(imap.create("Other"))
        must(imap.select("Lists/Dev"))
        must(imap.store("1", "+FLAGS", "\\Deleted"))
        must(imap.close())
    program.run()  # it takes none away that is not empty
    with world.open_imap(account) as imap:
        must(imap.delete("Lists/Dev"))
    program.run()
    assert (program.maildir / "Other" / "cur").is_dir()
    assert not (program.maildir / "Lists" / "Dev").exists()


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "LOGIN"])
def test_the_ways_to_log_in(world: World, mechanism: str) -> None:
    account = world.take_account()
    program = Mbsync(world, account, mechanism=mechanism)
    program.add("Up")
    program.run()
    assert len(world.read(account)) == 1
