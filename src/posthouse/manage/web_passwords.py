"""What people change about their own passwords at the page: the main one, app passwords, the second factor.

A new main password ends the other sessions of the page and those of mail programs that use it (they see that their
credential is gone); SCRAM verifiers are made with it, as always. While codes are on, the main password is good for the
page alone: mail programs cannot ask for a code, so they use app passwords. That is written in its scopes.

Crashes: each step is one commit. Between a new password and the end of the other sessions there is nothing to mend:
they hang on the old one. Between switching codes on and the new scopes the main password still opens the mailbox by
IMAP; `settle_main` is called at each sign-in and makes up for it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from posthouse.manage.accounts import (
    AppPasswordOptions,
    PasswordOperations,
    Plain,
    show_credential,
)
from posthouse.message.mailbox import AccountId
from posthouse.ports.credentials import NEW, Credential, CredentialId, CredentialKind
from posthouse.ports.directory_admin import DirectoryRefusal
from posthouse.ports.login import Scope
from posthouse.ports.second_factors import SecondFactors
from posthouse.ports.web_sessions import NO_SESSION, WebSessionId, WebSessions

MIN_PASSWORD = 8
MAX_APP_PASSWORDS = 100
_WITH_CODES = frozenset({Scope.MANAGE})


@dataclass(frozen=True, slots=True)
class OwnPasswords:
    passwords: PasswordOperations
    sessions: WebSessions

    def find_main(self, account: AccountId) -> Credential | None:
        rows = self.passwords.credentials.list_for(account)
        return next((row for row in rows if row.kind is CredentialKind.MAIN), None)

    async def change(self, account: AccountId, new: str, session: WebSessionId) -> None:
        """`session` goes on, all others end. Raises DirectoryRefusal."""
        check_new(new)
        if self.find_main(account) is None:
            raise DirectoryRefusal("The password of this account is kept elsewhere, and is changed there")
        await self.passwords.set_main(account, new)
        await self._move(account, session)

    async def settle_main(self, account: AccountId, session: WebSessionId, *, has_codes: bool) -> None:
        """The main password's scopes as they should be. Other sessions end when that changes something."""
        main, scopes = self.find_main(account), _WITH_CODES if has_codes else frozenset(Scope)
        if main is None or main.scopes == scopes:
            return
        await self.passwords.credentials.add(replace(main, id=NEW, scopes=scopes))
        await self._move(account, session)

    async def _move(self, account: AccountId, session: WebSessionId) -> None:
        main = self.find_main(account)
        if session and main is not None:
            await self.sessions.hang_on(session, main.id)
        await self.sessions.end_all(account, session)

    # -- app passwords

    def list_apps(self, account: AccountId) -> list[Plain]:
        rows = self.passwords.credentials.list_for(account)
        return [show_app(row) for row in rows if row.kind is CredentialKind.APP]

    async def add_app(self, account: AccountId, name: str, scopes: list[str]) -> tuple[Plain, str]:
        """The row, and the password, which cannot be read again."""
        if len(self.list_apps(account)) >= MAX_APP_PASSWORDS:
            raise DirectoryRefusal(f"an account has at most {MAX_APP_PASSWORDS} app passwords")
        password = await self.passwords.add_app(account, name.strip(), AppPasswordOptions(scopes=scopes))
        made = next(row for row in self.list_apps(account) if row["name"] == name.strip())
        return made, password

    async def remove_app(self, account: AccountId, number: int) -> bool:
        rows = self.passwords.credentials.list_for(account)
        if not any(row.id == number and row.kind is CredentialKind.APP for row in rows):
            return False
        return await self.passwords.credentials.remove(account, CredentialId(number))


def check_new(password: str) -> None:
    if len(password) < MIN_PASSWORD:
        raise DirectoryRefusal(f"A password has at least {MIN_PASSWORD} characters")


def show_app(row: Credential) -> Plain:
    return {"id": str(row.id), **show_credential(row)}


async def reset_factors(own: OwnPasswords, factors: SecondFactors, account: AccountId) -> None:
    """For somebody who has lost them: codes and passkeys go, sessions of the page end, and mail programs may use the
    main password again.
    """
    await factors.switch_off(account)
    for passkey in factors.passkeys(account):
        await factors.remove_passkey(account, passkey.id)
    await own.settle_main(account, NO_SESSION, has_codes=False)
    await own.sessions.end_all(account)
