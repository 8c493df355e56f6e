"""`posthouse domain`, `account` and `alias`, on the files of a data directory."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from posthouse.adapters.passwords import Argon2Hash
from posthouse.adapters.sqlite.directory_admin import open_directory
from posthouse.adapters.sqlite.directory_credentials import SqliteCredentials
from posthouse.adapters.sqlite.directory_factors import SqliteSecondFactors
from posthouse.adapters.sqlite.directory_web import DirectoryWriter
from posthouse.message.instant import Instant
from posthouse.message.mailbox import AccountId
from posthouse.ports.credentials import NEW
from posthouse.ports.login import Scope
from posthouse.trust.secrets import keyed_hash
from tests.app.cli_kit import Shell


class AccountShell(Shell):
    @property
    def path(self) -> str:
        return str(self.directory / "data" / "directory.db")

    def secret(self, account: int, number: int) -> str:
        directory = open_directory(self.path)
        credentials = SqliteCredentials(directory, self.path)
        found = credentials.list_for(AccountId(account))[number].secret
        credentials.close()
        directory.close()
        return found


@pytest.fixture
def shell(tmp_path: Path) -> AccountShell:
    made = AccountShell(tmp_path)
    made.do("domain", "add", "example.org")
    return made


def test_a_day_of_an_administrator(shell: AccountShell) -> None:
    shell.do("domain", "add", "bücher.example", "--alias-of", "example.org")
    shell.do(
        "account", "add", "alice@example.org", "--password-stdin", "--quota", "10G", "--name", "Alice", typed="pw\n"
    )
    shell.do("account", "add", "bob@example.org", "--admin")
    shell.do("alias", "add", "team@example.org", "alice@example.org", "bob@example.org", "x@remote.example")
    shell.do("alias", "add", "@example.org", "bob@example.org")
    assert [(row["domain"], row["alias_of"]) for row in shell.rows("domain", "list")] == [
        ("example.org", None),
        ("bücher.example", "example.org"),
    ]
    alice, bob = shell.rows("account", "list")
    assert (alice["quota"], alice["name"], bob["admin"], bob["quota"]) == (10 << 30, "Alice", True, None)
    assert [row["address"] for row in shell.rows("alias", "list")] == ["@example.org", "team@example.org"]
    assert "10G" in shell.do("account", "list")
    assert "x@remote.example" in shell.do("alias", "list", "--domain", "example.org")
    assert "bücher.example" in shell.do("domain", "list")


def test_a_given_password_is_not_shown_and_a_made_one_is_shown_once(shell: AccountShell) -> None:
    given = shell.do("account", "add", "alice@example.org", "--password-stdin", typed="correct horse\n")
    assert "correct horse" not in given
    assert Argon2Hash().verify(shell.secret(1, 0), "correct horse")
    shown = shell.do("account", "password", "alice@example.org").strip()
    assert Argon2Hash().verify(shell.secret(1, 0), shown.rpartition(" ")[2])


def test_an_account_whose_password_is_refused_does_not_stay(shell: AccountShell) -> None:
    result = shell.run("account", "add", "alice@example.org", "--password-stdin", typed="\x07\n")
    assert result.exit_code == 1
    assert shell.rows("account", "list") == []
    assert shell.rows("account", "list", "--removed") == []


def test_app_passwords_have_names_and_scopes(shell: AccountShell) -> None:
    shell.do("account", "add", "alice@example.org")
    shown = shell.do("account", "app-password", "add", "alice@example.org", "Phone", "--scope", "read", "--no-dedupe")
    main_row, phone = shell.rows("account", "app-password", "list", "alice@example.org")
    assert (main_row["kind"], phone["name"], phone["scopes"], phone["deduplicates"]) == (
        "main",
        "Phone",
        ["read"],
        False,
    )
    directory = open_directory(shell.path)
    credentials = SqliteCredentials(directory, shell.path)
    assert shell.secret(1, 1) == keyed_hash(credentials.server_secret(), shown.strip().rpartition(" ")[2])
    credentials.close()
    directory.close()
    assert "another credential" in shell.fails("account", "app-password", "add", "alice@example.org", "Phone")
    assert "scopes are" in shell.fails("account", "app-password", "add", "alice@example.org", "Mac", "--scope", "fly")
    assert "save-sent is" in shell.fails("account", "app-password", "add", "alice@example.org", "M", "--save-sent", "x")
    shell.do("account", "app-password", "remove", "alice@example.org", "Phone")
    assert "there is no app password" in shell.fails("account", "app-password", "remove", "alice@example.org", "Phone")


def test_accounts_change_go_and_come_back(shell: AccountShell) -> None:
    shell.do("account", "add", "alice@example.org", "--quota", "1G")
    shell.do("account", "disable", "alice@example.org")
    shell.do("account", "set", "alice@example.org", "--quota", "none", "--quota-emails", "7", "--admin")
    (row,) = shell.rows("account", "list")
    assert (row["disabled"], row["quota"], row["quota_emails"], row["admin"]) == (True, None, 7, True)
    shell.do("account", "enable", "alice@example.org")
    shell.do("account", "address", "add", "alice@example.org", "al@example.org", "--primary")
    shell.do("account", "address", "remove", "al@example.org", "alice@example.org")
    shell.do("alias", "add", "info@example.org", "al@example.org")
    assert "Aliases that still name it: info@example.org" in shell.do("account", "remove", "al@example.org")
    assert [row["address"] for row in shell.rows("account", "list", "--removed")] == ["al@example.org"]
    assert "there is no account" in shell.fails("account", "password", "al@example.org")
    shell.do("account", "undelete", "al@example.org")
    assert [row["disabled"] for row in shell.rows("account", "list")] == [False]


def test_what_cannot_be_done_is_exit_code_1_with_a_reason(shell: AccountShell) -> None:
    assert "not hosted here" in shell.fails("account", "add", "alice@remote.example")
    assert "domain" in shell.fails("account", "add", "alice")
    assert "would lead to nobody" in shell.fails("alias", "add", "a@example.org", "b@example.org")
    assert "there is no alias" in shell.fails("alias", "remove", "a@example.org")
    assert "is an address, not a domain" in shell.fails("domain", "add", "[192.0.2.1]")
    assert "no password on standard input" in shell.fails("account", "add", "alice@example.org", "--password-stdin")
    shell.do("account", "add", "alice@example.org")
    assert "has 1 accounts" in shell.fails("domain", "remove", "example.org")
    assert shell.run("account", "add", "b@example.org", "--quota", "much").exit_code == 2


def test_empty_lists_say_so(shell: AccountShell) -> None:
    assert shell.do("alias", "list") == "There are no aliases.\n"
    assert shell.do("account", "list") == "There are no accounts.\n"
    shell.do("domain", "remove", "example.org")
    assert shell.do("domain", "list") == "No domain is hosted.\n"


def test_fsck_looks_at_the_directory(shell: AccountShell) -> None:
    shell.do("account", "add", "alice@example.org")
    shell.do("alias", "add", "info@example.org", "alice@example.org")
    assert "as it should be" in shell.do("fsck")
    shell.do("account", "remove", "alice@example.org")
    assert shell.rows("fsck") == [
        {
            "shard": "directory",
            "what": "dead alias",
            "detail": "info@example.org: nobody is alice@example.org",
            "repaired": False,
        }
    ]


def test_the_mail_of_an_account_is_forwarded_until_it_is_not(shell: AccountShell) -> None:
    shell.do("account", "add", "alice@example.org")
    assert shell.do("account", "forward", "alice@example.org") == "alice@example.org is not forwarded\n"
    told = shell.do("account", "forward", "alice@example.org", "a@remote.example", "b@remote.example", "--copy")
    assert told == "alice@example.org is forwarded to a@remote.example, b@remote.example; a copy stays\n"
    assert shell.do("account", "forward", "alice@example.org") == told
    assert "no copy stays" in shell.do("account", "forward", "alice@example.org", "a@remote.example")
    assert "does not exist" in shell.fails("account", "forward", "alice@example.org", "nobody@example.org")
    assert shell.do("account", "forward", "alice@example.org", "--off") == "alice@example.org is not forwarded\n"


def test_somebody_who_lost_the_second_factor_signs_in_with_the_password_alone(shell: AccountShell) -> None:
    shell.do("account", "add", "alice@example.org", "--password-stdin", typed="correct horse\n")
    alice = AccountId(1)

    async def switch_on() -> None:
        directory, writer = open_directory(shell.path), DirectoryWriter(shell.path)
        credentials = SqliteCredentials(directory, shell.path)
        factors = SqliteSecondFactors(directory, writer)
        await factors.propose_totp(alice, b"secret", Instant(1.0))
        assert await factors.switch_on(alice, 1, [b"recovery"])
        main = credentials.list_for(alice)[0]
        await credentials.add(replace(main, id=NEW, scopes=frozenset({Scope.MANAGE})))
        credentials.close()
        writer.close()
        directory.close()

    asyncio.run(switch_on())
    assert shell.rows("account", "app-password", "list", "alice@example.org")[0]["scopes"] == ["manage"]
    assert "password alone" in shell.do("account", "reset-factors", "alice@example.org")
    assert shell.rows("account", "app-password", "list", "alice@example.org")[0]["scopes"] == ["manage", "read", "send"]
    assert shell.secret(1, 0).startswith("$argon2id$")
    directory = open_directory(shell.path)
    assert directory.query("SELECT count(*) FROM totp") == [(0,)]
    assert directory.query("SELECT count(*) FROM recovery_code") == [(0,)]
    directory.close()
