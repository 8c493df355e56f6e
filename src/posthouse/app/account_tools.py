"""What the commands about accounts work with: the directory open for writing, and its passwords."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass

from posthouse.adapters.clock import SystemClock
from posthouse.adapters.compute import ThreadCompute
from posthouse.adapters.passwords import Argon2Hash
from posthouse.adapters.sqlite.directory_credentials import SqliteCredentials
from posthouse.adapters.sqlite.directory_factors import SqliteSecondFactors
from posthouse.adapters.sqlite.directory_web import DirectoryWriter, SqliteWebSessions
from posthouse.app.directory import directory_path, open_for_admin
from posthouse.config.settings import Settings
from posthouse.manage.accounts import (
    AccountOperations,
    AliasOperations,
    AppPasswordOptions,
    DomainOperations,
    PasswordOperations,
    Plain,
)
from posthouse.manage.web_passwords import OwnPasswords, reset_factors
from posthouse.ports.directory_admin import AccountChange, DirectoryAdmin
from posthouse.ports.second_factors import SecondFactors


@dataclass(frozen=True, slots=True)
class AccountTools:
    admin: DirectoryAdmin
    domains: DomainOperations
    aliases: AliasOperations
    accounts: AccountOperations
    passwords: PasswordOperations
    own: OwnPasswords
    factors: SecondFactors

    def add_account(self, address: str, new: AccountChange, password: str = "") -> str:
        """The password. An account whose password is refused does not stay."""
        account = self.accounts.add(address, new)
        try:
            return asyncio.run(self.passwords.set_main(account.id, password))
        except BaseException:
            self.admin.remove_account(account.id)
            self.admin.forget_account(account.id)
            raise

    def set_password(self, login: str, password: str = "") -> str:
        return asyncio.run(self.passwords.set_main(self.accounts.find(login).id, password))

    def add_app_password(self, login: str, name: str, options: AppPasswordOptions) -> str:
        return asyncio.run(self.passwords.add_app(self.accounts.find(login).id, name, options))

    def list_passwords(self, login: str) -> list[Plain]:
        return self.passwords.list_all(self.accounts.find(login).id)

    def remove_app_password(self, login: str, name: str) -> None:
        asyncio.run(self.passwords.remove_app(self.accounts.find(login).id, name))

    def reset_factors(self, login: str) -> None:
        asyncio.run(reset_factors(self.own, self.factors, self.accounts.find(login).id))


@contextlib.contextmanager
def open_account_tools(settings: Settings) -> Iterator[AccountTools]:
    """Raises DirectoryError."""
    with contextlib.ExitStack() as stack:
        admin = open_for_admin(settings)
        stack.callback(admin.close)
        credentials = SqliteCredentials(admin.directory, directory_path(settings))
        stack.callback(credentials.close)
        compute = ThreadCompute()
        stack.callback(compute.close)
        passwords = PasswordOperations(credentials, Argon2Hash(), compute, SystemClock(), secrets.token_bytes)
        accounts = AccountOperations(admin, admin.directory)
        writer = DirectoryWriter(directory_path(settings))
        stack.callback(writer.close)
        own = OwnPasswords(passwords, SqliteWebSessions(admin.directory, writer))
        factors = SqliteSecondFactors(admin.directory, writer)
        domains, aliases = DomainOperations(admin), AliasOperations(admin)
        yield AccountTools(admin, domains, aliases, accounts, passwords, own, factors)
