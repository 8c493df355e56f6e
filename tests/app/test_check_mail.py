"""`posthouse check`: people who cannot log in, role addresses that lead nowhere, quotas, shards, submission."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from posthouse.adapters.sqlite.glance import DirectoryGlance
from posthouse.app.account_tools import open_account_tools
from posthouse.app.check_mail import check_logins, check_mail, judge_quotas
from posthouse.app.directory import lend_admin
from posthouse.app.privileges import find_identity
from posthouse.config import Settings, parse
from posthouse.manage.accounts import read_address
from posthouse.ports.directory_admin import AccountChange, NewAccount


def make_settings(data: Path, text: str = "") -> Settings:
    return parse(f'hostname = "mail.example.org"\ndata = "{data}"\n{text}', "/p.toml")


def check(settings: Settings) -> list[str]:
    return [f"{each.level}: {each.text}" for each in check_mail(settings, find_identity(None))]


def make_site(data: Path, *, is_admin: bool = True) -> Settings:
    settings = make_settings(data)
    with open_account_tools(settings) as tools:
        tools.domains.add("example.org")
        tools.add_account("ann@example.org", AccountChange(is_admin=is_admin), "a good password")
    return settings


def test_a_site_as_init_makes_it_is_fine(tmp_path: Path) -> None:
    assert check(make_site(tmp_path)) == []


def test_nothing_is_made_where_nothing_is(tmp_path: Path) -> None:
    assert check(make_settings(tmp_path)) == []
    assert list(tmp_path.iterdir()) == []


def test_an_account_without_a_password_is_named(tmp_path: Path) -> None:
    settings = make_site(tmp_path)
    with lend_admin(settings) as admin:
        made = admin.add_account(NewAccount(read_address("bob@example.org")))
    assert check(settings) == ["warning: no password: bob@example.org (posthouse account password ADDRESS)"]
    with_others = make_settings(tmp_path, '[login]\nldap_url = "ldaps://ldap.example.org"\nldap_base = "dc=example"\n')
    assert check(with_others) == []
    with lend_admin(settings) as admin:
        admin.change_account(made.id, AccountChange(is_disabled=True))
    assert check(settings) == []


def test_role_addresses_that_nobody_reads_are_named(tmp_path: Path) -> None:
    settings = make_site(tmp_path, is_admin=False)
    [told] = check(settings)
    assert told.startswith("warning: nobody gets mail for abuse@example.org, postmaster@example.org: it is held.")


@pytest.mark.parametrize(
    ("postmaster", "count"), [("ann@example.org", 0), ("p@elsewhere.example", 0), ("gone@example.org", 1)]
)
def test_a_postmaster_who_exists_takes_the_role_addresses(tmp_path: Path, postmaster: str, count: int) -> None:
    make_site(tmp_path, is_admin=False)
    settings = parse(f'hostname = "mail.example.org"\ndata = "{tmp_path}"\npostmaster = "{postmaster}"\n')
    assert len(check(settings)) == count


def test_quotas_beyond_the_disk_are_told() -> None:
    people = DirectoryGlance(quota_octets=3 << 20)
    [told] = judge_quotas(people, 2 << 20)
    assert told.text == "quotas add up to 3 MiB, the disk has 2: it may be full before they are"
    assert list(judge_quotas(people, 3 << 20)) == []
    assert list(judge_quotas(people, None)) == []


def make_shard(data: Path, number: int, version: int = 1) -> Path:
    (data / "store").mkdir(exist_ok=True)
    path = data / "store" / f"{number}.db"
    with apsw.Connection(str(path)) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    return path


def test_shards_that_can_be_read_are_counted(tmp_path: Path) -> None:
    settings = make_site(tmp_path)
    make_shard(tmp_path, 0)
    assert check(settings) == ["ok: 1 shard can be read"]


def test_shards_that_cannot_be_used_are_errors(tmp_path: Path) -> None:
    settings = make_site(tmp_path)
    make_shard(tmp_path, 0, version=999)
    make_shard(tmp_path, 1).write_bytes(b"nonsense" * 1000)
    newer, damaged = check(settings)
    assert "written by a newer version (schema 999" in newer
    assert damaged.startswith(f"error: {tmp_path}/store/1.db cannot be read:")


def test_a_shard_whose_disk_failed_is_an_error(tmp_path: Path) -> None:
    settings = make_site(tmp_path)
    make_shard(tmp_path, 0)
    (tmp_path / "store" / "0.lock").write_bytes(bytes(8) + b"\1" + bytes(100))
    assert check(settings)[0] == "error: shard 0: its disk has failed; it is copied at the next start"


def test_a_shard_of_accounts_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    wide = make_settings(tmp_path, "[store]\nshards = 3\n")
    with open_account_tools(wide) as tools:
        tools.domains.add("example.org")
        for name in "abc":
            tools.add_account(f"{name}@example.org", AccountChange(is_admin=True), "a good password")
    assert check(wide) == []
    narrow = make_settings(tmp_path, "[store]\nshards = 1\n")
    assert check(narrow) == ["error: accounts lie in shard 2, which is not there: restore it"]
    make_shard(tmp_path, 2)
    assert check(narrow) == ["ok: 1 shard can be read"]


def test_a_snapshot_of_an_upgrade_is_told_because_it_keeps_bodies(tmp_path: Path) -> None:
    settings = make_site(tmp_path)
    make_shard(tmp_path, 0)
    (tmp_path / "store" / "0.db.before-2").write_bytes(b"")
    assert check(settings)[0].startswith("warning: 0.db.before-2 of an upgrade: while it is there no body is removed")


@pytest.mark.parametrize(
    ("bind", "tls", "count"),
    [("0.0.0.0:587", "off", 1), ("0.0.0.0:587", "starttls", 0), ("127.0.0.1:587", "off", 0), ("[::1]:587", "off", 0)],
)
@pytest.mark.parametrize("service", ["submission", "imap", "pop3"])
def test_logins_without_tls_are_told_unless_they_are_for_this_machine(
    service: str, bind: str, tls: str, count: int
) -> None:
    text = f'[[listener]]\nservice = "{service}"\nbind = "{bind}"\ntls = "{tls}"\n'
    assert len(list(check_logins(make_settings(Path("/d"), text)))) == count
