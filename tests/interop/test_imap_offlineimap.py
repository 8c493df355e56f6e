"""offlineimap3: mail, flags, deletions and mailboxes of both sides find each other.

By TLS from the start: its IMAP library reads and writes a connection from two threads at once, and behind STARTTLS it
was seen to wait for an answer for ever, its reading thread in the TLS layer.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.lab import Lab
from tests.interop.office import PASSWORD
from tests.interop.reading import HOSTNAME, World, make_maildir, must, open_world, write_letter

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

RC = """
[general]
accounts = here
metadata = {place}
ui = quiet
fsync = no

[Account here]
localrepository = near
remoterepository = far

[Repository near]
type = Maildir
localfolders = {maildir}
sep = /

[Repository far]
type = IMAP
remotehost = {hostname}
remoteport = {port}
remoteuser = {account}
remotepass = {password}
ssl = {tls}
starttls = {starttls}
sslcacertfile = {certificate}
maxconnections = 2
usecompression = yes
"""


@pytest.fixture(scope="module")
def world(lab: Lab) -> World:
    return open_world(lab)


def subjects(maildir: Path) -> dict[str, str]:
    """Flags by subject."""
    found = {}
    for path in [*(maildir / "cur").iterdir(), *(maildir / "new").iterdir()]:
        line = next(line for line in path.read_bytes().splitlines() if line.startswith(b"Subject: "))
        found[line[9:].decode()] = path.name.partition(":2,")[2]
    return found


@pytest.mark.parametrize(("port", "count"), [(993, 300)])
def test_offlineimap(world: World, port: int, count: int) -> None:
    account = world.take_account()
    world.fill(account, [write_letter(f"Letter {number}") for number in range(count)])
    maildir, place = world.path("maildir"), world.path("state")
    maildir.mkdir()
    values = {"hostname": HOSTNAME, "port": port, "account": account, "password": PASSWORD}
    values |= {"tls": "yes" if port == 993 else "no", "starttls": "yes" if port == 143 else "no"}
    rc = world.write("rc", RC.format(**values, place=place, maildir=maildir, certificate=world.certificate))

    def run() -> None:
        world.client.must("env", f"HOME={world.client.directory}", "offlineimap", "-c", str(rc), "-o", timeout=100)

    run()
    inbox = maildir / "INBOX"
    assert set(subjects(inbox)) == {f"Letter {number}" for number in range(count)}
    files = {find(inbox, f"Letter {number}"): number for number in range(4)}
    for path, number in files.items():
        if number == 3:
            path.unlink()
        else:
            path.rename(inbox / "cur" / (path.name.partition(":2,")[0] + ":2," + "SFR"[number]))
    (inbox / "new" / "1.new.host").write_bytes(write_letter("From here").replace(b"\r\n", b"\n"))
    make_maildir(maildir / "Mine")
    with world.open_imap(account) as imap:
        must(imap.select())
        must(imap.store("5", "+FLAGS", "\\Flagged"))
        must(imap.uid("MOVE", "6", "Archive"))
        must(imap.append("INBOX", "\\Seen", "", write_letter("From there")))
    run()
    run()
    found, stored = subjects(inbox), {str(each.message["Subject"]): each.flags for each in world.read(account)}
    assert set(found) == set(stored)
    assert len(found) == count - 2 + 2
    assert [stored[f"Letter {number}"] for number in range(3)] == [{"\\Seen"}, {"\\Flagged"}, {"\\Answered"}]
    assert found["Letter 4"] == "F"
    assert found["From there"] == "S"
    assert "Letter 5" in subjects(maildir / "Archive")
    with world.open_imap(account) as imap:
        assert any(b'"Mine"' in line for line in must(imap.list()) if isinstance(line, bytes))


def find(maildir: Path, subject: str) -> Path:
    paths = [*(maildir / "cur").iterdir(), *(maildir / "new").iterdir()]
    return next(path for path in paths if f"Subject: {subject}\n".encode() in path.read_bytes())
