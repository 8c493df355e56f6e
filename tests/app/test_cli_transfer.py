"""`posthouse import`, `export`, `undelete` and `fsck` of the store, on the files of a data directory."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from posthouse.app.transfer import open_office
from posthouse.config import load
from posthouse.message.mailbox import Role
from posthouse.ports.store import FlagEdit, FlagMode
from tests.app.cli_kit import Shell
from tests.manage.transfer_kit import make_letter

ALICE = "alice@example.org"
FROM = b"From ann@example.com Tue Nov 14 22:13:20 2023\n"


class ImportShell(Shell):
    def mbox(self, name: str, count: int) -> str:
        file = self.directory / name
        file.write_bytes(b"".join(FROM + make_letter(number) + b"\n" for number in range(count)))
        return str(file)

    def expunge_all(self) -> None:
        async def work() -> None:
            async with open_office(load(str(self.file)), ALICE) as office:
                messages, box = office.store.messages, await office.store.mailboxes.open_role(office.id, Role.INBOX)
                snapshot = await messages.snapshot(office.id, box.id)
                from posthouse.ms.uidsets import from_sorted

                edit = FlagEdit(FlagMode.ADD, frozenset({"\\Deleted"}))
                await messages.set_flags(office.id, box.id, from_sorted(snapshot.uids), edit)
                await messages.expunge(office.id, box.id)

        asyncio.run(work())


@pytest.fixture
def shell(tmp_path: Path) -> ImportShell:
    made = ImportShell(tmp_path, "[store]\nshards = 2\n")
    made.do("domain", "add", "example.org")
    made.do("account", "add", ALICE, "--password-stdin", typed="pw\n")
    return made


def test_mail_in_and_out_again(shell: ImportShell, tmp_path: Path) -> None:
    assert "Work.mbox: 3 imported" in shell.do("import", ALICE, "mbox", shell.mbox("Work.mbox", 3))
    assert "0 imported (0B), 3 there already" in shell.do("import", ALICE, "mbox", shell.mbox("Work.mbox", 3))
    assert shell.rows("import", ALICE, "mbox", shell.mbox("x", 2), "--mailbox", "Old/Box")[0]["imported"] == 2
    out = str(tmp_path / "out")
    assert "5 exported" in shell.do("export", ALICE, out)
    assert "not empty" in shell.run("export", ALICE, out).output
    [told] = shell.rows("import", ALICE, "maildir", out, "--mailbox", "Again")
    assert (told["imported"], told["bad"], told["troubles"]) == (5, 0, [])
    assert shell.rows("export", ALICE, str(tmp_path / "boxes"), "--format", "mbox")[0]["exported"] == 10
    assert (tmp_path / "boxes" / "Again" / "Old" / "Box.mbox").exists()


def test_the_outbox_is_opened_and_shut_and_told(shell: ImportShell) -> None:
    assert "is off" in shell.do("account", "outbox", ALICE)
    assert "is on" in shell.do("account", "outbox", ALICE, "on")
    assert "is on" in shell.do("account", "outbox", ALICE)
    shell.do("account", "outbox", ALICE, "off")
    assert "is off" in shell.do("account", "outbox", ALICE)


def test_a_quota_stops_an_import_with_exit_code_1(shell: ImportShell) -> None:
    shell.do("account", "set", ALICE, "--quota-emails", "2")
    result = shell.run("import", ALICE, "mbox", shell.mbox("INBOX", 5))
    assert result.exit_code == 1
    assert "--ignore-quota" in result.output
    assert "3 imported" in shell.do("import", ALICE, "mbox", str(shell.directory / "INBOX"), "--ignore-quota")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["import", "nobody@example.org", "mbox", "{file}"], 1, "no account nobody@example.org"),
        (["import", ALICE, "mbox", "/nowhere/at/all"], 2, "does not exist"),
        (["import", ALICE, "mbox", "{config}"], 1, "no mbox"),
        (["import", ALICE, "maildir", "{directory}"], 1, "no Maildir"),
        (["import", ALICE, "imap", "127.0.0.1:1", "bob", "--password-file", "{config}"], 1, "127.0.0.1"),
        (
            ["import", ALICE, "imap", "192.0.2.1", "bob", "--password-file", "{config}", "--tls", "off"],
            2,
            "this machine",
        ),
        (["import", ALICE, "imap", "a b", "bob", "--password-file", "{config}"], 2, "imap.example.org"),
        (["export", "nobody@example.org", "{directory}/out"], 1, "no account"),
        (["undelete", ALICE, "--since", "soon"], 2, "soon"),
    ],
)
def test_what_goes_wrong_is_one_line(shell: ImportShell, arguments: list[str], code: int, said: str) -> None:
    (shell.directory / "empty").mkdir()
    names = {"file": shell.mbox("box", 1), "config": str(shell.file), "directory": str(shell.directory / "empty")}
    result = shell.run(*[each.format(**names) for each in arguments])
    assert result.exit_code == code, result.output
    assert said in result.output
    assert "Traceback" not in result.output


def test_removed_mail_is_listed_and_brought_back(shell: ImportShell) -> None:
    shell.do("import", ALICE, "mbox", shell.mbox("INBOX", 3))
    assert "Nothing" in shell.do("undelete", ALICE)
    shell.expunge_all()
    rows = shell.rows("undelete", ALICE)
    assert [(row["mailbox"], row["subject"]) for row in rows] == [("INBOX", f"number {n}") for n in range(3)]
    assert "number 2" in shell.do("undelete", ALICE, "--since", "1h", "--mailbox", "INBOX")
    assert shell.rows("undelete", ALICE, "--mailbox", "Work") == []
    assert "1 brought back" in shell.do("undelete", ALICE, str(rows[1]["id"]))
    assert "2 brought back" in shell.do("undelete", ALICE, "--all")
    assert shell.run("undelete", ALICE, "--all").exit_code == 1


def test_fsck_looks_at_the_store_too(shell: ImportShell) -> None:
    shell.do("import", ALICE, "mbox", shell.mbox("INBOX", 3))
    assert "as it should be" in shell.do("fsck", "--deep")
    shard = next(path.parent for path in (shell.directory / "data" / "store").glob("*.bodies"))
    for tmp in shard.glob("*.tmp"):
        (tmp / "left").write_bytes(b"")
    rows = [json.loads(line) for line in shell.run("fsck", "--json").output.splitlines()]
    assert {(row["shard"], row["what"]) for row in rows} == {("store/0", "leftover"), ("store/1", "leftover")}
    assert shell.run("fsck").exit_code == 1
    assert shell.run("fsck", "--repair").exit_code == 0
    assert "as it should be" in shell.do("fsck")
