"""Accounts of a measurement: u0@dst.test and so on; u0@src.test with a password for those who send."""

from __future__ import annotations

from pathlib import Path

from posthouse.app.account_tools import open_account_tools
from posthouse.config.reader import load
from posthouse.message.address import parse_address
from posthouse.ports.directory_admin import AccountChange, NewAccount

PASSWORD = "pass"


def make_accounts(configuration: Path, count: int, *, with_password: bool) -> None:
    settings = load(str(configuration))
    Path(settings.data).mkdir(mode=0o700, exist_ok=True)
    with open_account_tools(settings) as tools:
        domain = "src.test" if with_password else "dst.test"
        tools.domains.add(domain)
        for number in range(count):
            address = f"u{number}@{domain}"
            if with_password:
                tools.add_account(address, AccountChange(), PASSWORD)
            else:
                tools.admin.add_account(NewAccount(parse_address(address)))
