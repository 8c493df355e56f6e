"""`posthouse init`: a commented configuration, a data directory, and in it the domain with its first account.

Never overwrites anything. The configuration is written last: until it is there `init` can be called again.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from posthouse.app.account_tools import open_account_tools
from posthouse.config.describe import render_example
from posthouse.config.reader import parse
from posthouse.config.settings import Settings
from posthouse.ports.directory import DirectoryError
from posthouse.ports.directory_admin import AccountChange, DirectoryRefusal


class InitError(Exception):
    """Nothing was written, or not all; the message says what is in the way."""


@dataclass(frozen=True, slots=True)
class Written:
    """`password` is shown once; "" when the account was there before."""

    file: str
    data: str
    account: str
    password: str


def initialise(file: str, hostname: str, domain: str, data: str) -> Written:
    """Raises InitError, ConfigError when a name is not valid."""
    data = os.path.abspath(data)
    runtime = "/run/posthouse" if os.geteuid() == 0 else os.path.join(data, "run")
    text = render_example(hostname, domain, data, runtime)
    settings = parse(text, file)
    if os.path.lexists(file):
        raise InitError(f"{file} is already there; it is not overwritten")
    account = f"admin@{domain}"
    try:
        if not os.path.isdir(data):
            os.makedirs(data, 0o700)
        before = os.umask(0o077)
        try:
            password = _make_admin(settings, domain, account)
        finally:
            os.umask(before)
        os.makedirs(os.path.dirname(os.path.abspath(file)), exist_ok=True)
        with open(file, "x", encoding="utf-8") as stream:
            stream.write(text)
        os.chmod(file, 0o644)
    except OSError as error:
        raise InitError(f"{error.filename}: {error.strerror}") from None
    except (DirectoryError, DirectoryRefusal) as error:
        raise InitError(str(error)) from None
    return Written(file, data, account, password)


def _make_admin(settings: Settings, domain: str, account: str) -> str:
    with open_account_tools(settings) as tools:
        if tools.admin.find_domain(domain) is None:
            tools.domains.add(domain)
        if tools.accounts.knows(account):
            return ""
        return tools.add_account(account, AccountChange(is_admin=True))
