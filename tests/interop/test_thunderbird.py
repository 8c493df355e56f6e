"""Thunderbird on a screen that nobody sees: it reads, flags, moves, deletes and sends, and hears of new mail.

One program for all tests, with a profile that is prepared: the account, its password, and an exception for the server's
own certificate.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.interop.lab import Lab, Server, wait_until
from tests.interop.marionette import Marionette
from tests.interop.office import PASSWORD, Stored
from tests.interop.reading import HOSTNAME, World, be_on, open_world, write_letter

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180)]

ACTIONS = Path(__file__).with_name("thunderbird.js").read_text()
PORT = 2828
COUNT = 6


def make_preferences(account: str) -> dict[str, str | int | bool]:
    server, sending, identity = "mail.server.server1.", "mail.smtpserver.smtp1.", "mail.identity.id1."
    return {
        "marionette.port": PORT,
        "app.update.enabled": False,
        "datareporting.policy.dataSubmissionPolicyBypassNotification": True,
        "mail.rights.version": 9,
        "mail.provider.suppress_dialog_on_startup": True,
        "mail.shell.checkDefaultClient": False,
        "mail.spotlight.firstRunDone": True,
        "mailnews.start_page.enabled": False,
        "mail.accountmanager.accounts": "account1",
        "mail.accountmanager.defaultaccount": "account1",
        "mail.account.account1.identities": "id1",
        "mail.account.account1.server": "server1",
        identity + "fullName": "A Reader",
        identity + "useremail": account,
        identity + "smtpServer": "smtp1",
        identity + "valid": True,
        server + "type": "imap",
        server + "hostname": HOSTNAME,
        server + "port": 993,
        server + "socketType": 3,  # TLS from the start
        server + "authMethod": 3,  # a password
        server + "userName": account,
        server + "name": account,
        server + "login_at_startup": False,  # it would ask about the certificate
        "mail.smtpservers": "smtp1",
        "mail.smtp.defaultserver": "smtp1",
        sending + "hostname": HOSTNAME,
        sending + "port": 465,
        sending + "try_ssl": 3,
        sending + "authMethod": 3,
        sending + "username": account,
    }


@dataclass
class Thunderbird:
    world: World
    account: str
    friend: str
    program: Marionette

    def stored(self, subject: str, name: str = "INBOX", account: str = "") -> list[Stored]:
        found = self.world.read(account or self.account, name)
        return [each for each in found if each.message["Subject"] == subject]

    def wait_stored(self, subject: str, name: str = "INBOX", account: str = "") -> list[Stored]:
        return wait_until(lambda: self.stored(subject, name, account), f"{subject} in {name}")

    def wait_idle(self) -> None:
        """In the inbox."""
        wait_until(lambda: "idle in INBOX" in self.world.server.command("sessions", "list"), "IDLE")

    def wait_flag(self, subject: str, flag: str) -> None:
        wait_until(lambda: flag in self.stored(subject)[0].flags, f"{flag} of {subject}")


@pytest.fixture(scope="module")
def thunderbird(lab: Lab) -> Iterator[Thunderbird]:
    world = open_world(lab)
    account, friend = world.open_outbox(), world.take_account()
    world.fill(account, [write_letter(f"Letter {number}", "Schöne Grüße.\r\n") for number in range(COUNT)])
    client = start_program(lab, world, account)
    program = Thunderbird(world, account, friend, client)
    lines = world.certificate.read_text().split("\n")
    client.act("trust", HOSTNAME, [993, 465], "".join(lines[1 : lines.index("-----END CERTIFICATE-----")]))
    client.act("keepPassword", HOSTNAME, account, PASSWORD)
    yield program
    client.close()


def start_program(lab: Lab, world: World, account: str) -> Marionette:
    profile = world.path("profile")
    profile.mkdir()
    preferences = make_preferences(account).items()
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in preferences]
    (profile / "user.js").write_text("".join(lines))
    screen = Server(world.client, ["Xvfb", "-displayfd", "1", "-screen", "0", "1080x720x24", "-nolisten", "tcp"])
    lab.stop_at_end(screen.stop)
    number = wait_until(lambda: [line for line in screen.read_log().splitlines() if line.isdigit()], "a screen")[0]
    command = ["/usr/lib/thunderbird/thunderbird", "--no-remote", "--profile", str(profile)]
    command += ["--marionette", "--remote-allow-system-access"]
    environment = {"HOME": str(profile), "DISPLAY": f":{number}", "LANG": "C.UTF-8"}
    program = Server(world.client, command, environment)
    lab.stop_at_end(program.stop)
    world.client.wait_port(PORT, timeout=60)
    with be_on(world.client):
        return Marionette(("127.0.0.1", PORT), ACTIONS)


def test_it_finds_the_folders_and_their_uses(thunderbird: Thunderbird) -> None:
    act = thunderbird.program.act
    folders = act("listFolders")
    assert isinstance(folders, list)
    assert {"Archive", "Drafts", "Junk", "Outbox", "Sent", "Trash"} <= set(folders)
    assert [act("useOf", name) for name in ("Archive", "Drafts", "Junk", "Sent", "Trash")] == [
        ["archive"], ["drafts"], ["junk"], ["sent"], ["trash"]
    ]  # fmt: skip


def test_what_it_shows_is_seen(thunderbird: Thunderbird) -> None:
    assert "Schöne Grüße." in str(thunderbird.program.act("read", "INBOX", "Letter 1"))
    thunderbird.wait_flag("Letter 1", "\\Seen")
    assert "\\Seen" not in thunderbird.stored("Letter 0")[0].flags


def test_it_flags(thunderbird: Thunderbird) -> None:
    thunderbird.program.act("flag", "INBOX", "Letter 2")
    thunderbird.wait_flag("Letter 2", "\\Flagged")


def test_it_moves_and_deletes(thunderbird: Thunderbird) -> None:
    thunderbird.program.act("move", "INBOX", "Letter 3", "Archive")
    thunderbird.wait_stored("Letter 3", "Archive")
    thunderbird.program.act("remove", "INBOX", "Letter 4")
    thunderbird.wait_stored("Letter 4", "Trash")
    for letter, name in (("Letter 3", "Archive"), ("Letter 4", "Trash")):
        assert len(thunderbird.stored(letter, name)) == 1
        assert not thunderbird.stored(letter)


def test_new_mail_shows_while_it_waits(thunderbird: Thunderbird) -> None:
    thunderbird.program.act("read", "INBOX", "Letter 0")
    thunderbird.wait_idle()  # before, it is told with a command's answer, and looks when it looks again
    thunderbird.world.server.submit("ann@there.test", [thunderbird.account], write_letter("Just now"))
    thunderbird.program.act("waitShown", "Just now")


def test_it_sends_and_there_is_one_copy(thunderbird: Thunderbird) -> None:
    thunderbird.program.act("send", thunderbird.friend, "", "Sent by SMTP", "Schöne Grüße.\n")
    thunderbird.wait_stored("Sent by SMTP", account=thunderbird.friend)
    copies = thunderbird.wait_stored("Sent by SMTP", "Sent")
    assert len(copies) == 1
    assert "\\Seen" in copies[0].flags


def test_a_draft_that_is_moved_to_the_outbox_is_sent(thunderbird: Thunderbird) -> None:
    act, friend = thunderbird.program.act, thunderbird.friend
    hidden = thunderbird.world.take_account()
    act("draft", friend, hidden, "By the Outbox", "Schöne Grüße.\n")
    thunderbird.wait_stored("By the Outbox", "Drafts")
    act("move", "Drafts", "By the Outbox", "Outbox")
    for reader in (friend, hidden):
        (letter,) = thunderbird.wait_stored("By the Outbox", "INBOX", reader)
        names = {name.lower() for name in letter.message}
        assert names.isdisjoint({"bcc", "fcc", "x-identity-key", "x-mozilla-draft-info"})
    (copy,) = thunderbird.stored("By the Outbox", "Sent")
    assert copy.message["Bcc"] == hidden
    assert not thunderbird.stored("By the Outbox", "Drafts")


def test_the_picture(thunderbird: Thunderbird) -> None:
    thunderbird.program.act("read", "INBOX", "Just now")
    path = thunderbird.world.path("thunderbird.png")
    thunderbird.program.take_picture(path)
    assert path.read_bytes().startswith(b"\x89PNG")
