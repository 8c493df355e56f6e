"""Administration by the HTTP API, of what the directory holds: domains, accounts, aliases. The objects are those of the
command line's --json. The guard has looked at the caller's account before each call.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from posthouse.app.web_api_desk import ApiDesk
from posthouse.app.web_api_session import Short
from posthouse.app.web_api_table import Access, ApiCall, Endpoint, Parameter
from posthouse.manage.accounts import AccountOperations, AliasOperations, DomainOperations, show_account
from posthouse.manage.web_admin import (
    MAX_PAGE,
    ListQuery,
    check_own,
    check_password,
    check_removal,
    list_accounts,
    list_aliases,
)
from posthouse.manage.web_passwords import check_new, reset_factors
from posthouse.message.mailbox import AccountId
from posthouse.ports.directory import Account, DirectoryError
from posthouse.ports.directory_admin import AccountChange, DirectoryAdmin, DirectoryRefusal
from posthouse.serve.http_messages import refuse

_PAGE = 200
Quota = Annotated[int, msgspec.Meta(ge=0, le=1 << 60)]


class DomainShown(msgspec.Struct, frozen=True):
    domain: str
    alias_of: str | None
    accounts: int
    aliases: int


class NewDomain(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    domain: Short
    alias_of: Short | None = None


class AdminAccount(msgspec.Struct, frozen=True):
    """Quotas in octets and messages; null: without limit."""

    id: int
    address: str
    name: str
    addresses: list[str]
    quota: int | None
    quota_emails: int | None
    disabled: bool
    admin: bool
    shard: int


class AccountPage(msgspec.Struct, frozen=True):
    items: list[AdminAccount]
    more: bool


class AccountDetails(AdminAccount, frozen=True):
    used: int
    used_emails: int
    has_password: bool
    second_factors: list[str]
    app_passwords: int
    web_sessions: int


class NewAdminAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Without a password one is made, and told once."""

    address: Short
    password: Short = ""
    name: Short = ""
    quota: Quota | None = None
    quota_emails: Quota | None = None
    admin: bool = False


class AccountMade(AdminAccount, frozen=True):
    password: str | None


class AccountPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is left out stays; null takes a limit away."""

    name: Short | UnsetType = UNSET
    quota: Quota | UnsetType | None = UNSET
    quota_emails: Quota | UnsetType | None = UNSET
    disabled: bool | UnsetType = UNSET
    admin: bool | UnsetType = UNSET


class PasswordSet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    password: Short = ""


class PasswordTold(msgspec.Struct, frozen=True):
    """The one that was made; null when one was given."""

    password: str | None


class AccountGone(msgspec.Struct, frozen=True):
    """Aliases that now lead there in vain."""

    aliases: list[str]


class RemovedShown(msgspec.Struct, frozen=True):
    id: int
    address: str
    shard: int
    removed: str


class NewAddress(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    address: Short
    primary: bool = False


class AliasShown(msgspec.Struct, frozen=True):
    address: str
    targets: list[str]


class AliasPage(msgspec.Struct, frozen=True):
    items: list[AliasShown]
    more: bool


class NewAlias(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`@domain` is the catch-all of a domain."""

    address: Short
    targets: Annotated[list[Short], msgspec.Meta(min_length=1, max_length=1000)]


_DOMAIN = Parameter("domain", "Only of this domain.")
_LISTED = (
    _DOMAIN,
    Parameter("q", "What a name must contain."),
    Parameter("after", "The last address of the page before."),
    Parameter("limit", f"At most so many, up to {MAX_PAGE}."),
)


class AdminApi:
    def __init__(self, desk: ApiDesk) -> None:
        self._desk = desk

    def endpoints(self) -> list[Endpoint]:
        return [
            *self._domain_endpoints(),
            *self._account_endpoints(),
            *self._one_account_endpoints(),
            *self._access_endpoints(),
            *self._address_endpoints(),
            *self._alias_endpoints(),
        ]

    def _domain_endpoints(self) -> list[Endpoint]:
        base = "/api/admin/domains"
        return [
            Endpoint("GET", base, "Domains hosted here.", self.list_domains, Access.ADMIN, gives=list[DomainShown]),
            Endpoint(
                "POST",
                base,
                "Host a domain, or the alias of one.",
                self.add_domain,
                Access.ADMIN,
                takes=NewDomain,
                gives=DomainShown,
                status=201,
                statuses=(409,),
            ),
            Endpoint(
                "DELETE", f"{base}/{{name}}", "No longer host it.", self.remove_domain, Access.ADMIN, statuses=(409,)
            ),
        ]

    def _account_endpoints(self) -> list[Endpoint]:
        base = "/api/admin/accounts"
        return [
            Endpoint("GET", base, "Accounts.", self.list_accounts, Access.ADMIN, gives=AccountPage, query=_LISTED),
            Endpoint(
                "POST",
                base,
                "Make an account.",
                self.add_account,
                Access.ADMIN,
                takes=NewAdminAccount,
                gives=AccountMade,
                status=201,
                statuses=(409,),
            ),
            Endpoint(
                "GET",
                "/api/admin/removed-accounts",
                "Accounts that can be brought back.",
                self.list_removed,
                Access.ADMIN,
                gives=list[RemovedShown],
            ),
        ]

    def _one_account_endpoints(self) -> list[Endpoint]:
        one = "/api/admin/accounts/{address}"
        return [
            Endpoint(
                "GET", one, "One of them.", self.show_account, Access.ADMIN, gives=AccountDetails, statuses=(404,)
            ),
            Endpoint(
                "PATCH",
                one,
                "Change an account. Disabling ends its sessions.",
                self.change_account,
                Access.ADMIN,
                takes=AccountPatch,
                gives=AdminAccount,
                statuses=(409,),
            ),
            Endpoint(
                "DELETE",
                one,
                "Remove an account. It can be brought back for a while.",
                self.remove_account,
                Access.ADMIN,
                gives=AccountGone,
                statuses=(409,),
            ),
            Endpoint(
                "POST",
                f"{one}/undelete",
                "Bring back the account that was removed last under this address.",
                self.undelete_account,
                Access.ADMIN,
                gives=AdminAccount,
                statuses=(409,),
            ),
        ]

    def _access_endpoints(self) -> list[Endpoint]:
        one = "/api/admin/accounts/{address}"
        return [
            Endpoint(
                "POST",
                f"{one}/password",
                "Set its password, or make one. Its sessions end.",
                self.set_password,
                Access.ADMIN,
                takes=PasswordSet,
                gives=PasswordTold,
                statuses=(409,),
            ),
            Endpoint(
                "DELETE",
                f"{one}/second-factor",
                "Take codes and passkeys away from somebody who has lost them. Sessions end.",
                self.drop_factors,
                Access.ADMIN,
                statuses=(409,),
            ),
        ]

    def _address_endpoints(self) -> list[Endpoint]:
        one = "/api/admin/accounts/{address}"
        return [
            Endpoint(
                "POST",
                f"{one}/addresses",
                "Give it another address.",
                self.add_address,
                Access.ADMIN,
                takes=NewAddress,
                gives=AdminAccount,
                statuses=(409,),
            ),
            Endpoint(
                "DELETE",
                f"{one}/addresses/{{other}}",
                "Take an address away.",
                self.remove_address,
                Access.ADMIN,
                gives=AdminAccount,
                statuses=(409,),
            ),
        ]

    def _alias_endpoints(self) -> list[Endpoint]:
        aliases = "/api/admin/aliases"
        return [
            Endpoint("GET", aliases, "Aliases.", self.list_aliases, Access.ADMIN, gives=AliasPage, query=_LISTED),
            Endpoint(
                "POST",
                aliases,
                "Add targets to an alias, or make one.",
                self.add_alias,
                Access.ADMIN,
                takes=NewAlias,
                gives=AliasShown,
                status=201,
                statuses=(409,),
            ),
            Endpoint(
                "DELETE",
                f"{aliases}/{{address}}",
                "Remove an alias, or one target of it.",
                self.remove_alias,
                Access.ADMIN,
                query=(Parameter("target", "Only this target."),),
                statuses=(409,),
            ),
        ]

    # -- domains

    async def list_domains(self, call: ApiCall) -> object:
        return await self._desk.with_admin(lambda admin: DomainOperations(admin).list_all())

    async def add_domain(self, call: ApiCall) -> object:
        wanted = call.take(NewDomain)
        made = await self._desk.with_admin(
            lambda admin: DomainOperations(admin).add(wanted.domain, wanted.alias_of or "")
        )
        self._note(call, "domain added", wanted.domain)
        return {**made, "accounts": 0, "aliases": 0}

    async def remove_domain(self, call: ApiCall) -> object:
        name = call.parameter("name")
        await self._desk.with_admin(lambda admin: DomainOperations(admin).remove(name))
        self._note(call, "domain removed", name)
        return None

    # -- accounts

    async def list_accounts(self, call: ApiCall) -> object:
        query = _read_query(call)
        return await self._desk.with_admin(lambda admin: list_accounts(admin, query))

    async def add_account(self, call: ApiCall) -> object:
        wanted, desk = call.take(NewAdminAccount), self._desk
        if wanted.password:
            check_new(wanted.password)
            check_password(wanted.password)
        change = AccountChange(wanted.name, wanted.quota, wanted.quota_emails, None, wanted.admin)
        made = await desk.with_admin(lambda admin: self._open(admin).add(wanted.address, change))
        try:
            password = await desk.passwords.set_main(made.id, wanted.password)
        except (DirectoryRefusal, DirectoryError):  # without a password it does not stay
            await desk.with_admin(lambda admin: _forget(admin, made.id))
            raise
        self._note(call, "account added", made.address)
        return {**show_account(made), "password": None if wanted.password else password}

    async def show_account(self, call: ApiCall) -> object:
        account, desk = await self._find(call), self._desk
        usage = await desk.store.quotas.usage(account.id)
        factors = ["totp"] if desk.has_codes(account.id) else []
        return {
            **show_account(account),
            "used": usage.octets,
            "used_emails": usage.emails,
            "has_password": desk.own.find_main(account.id) is not None,
            "second_factors": [*factors, *(["passkey"] if desk.factors.passkeys(account.id) else [])],
            "app_passwords": len(desk.own.list_apps(account.id)),
            "web_sessions": sum(map(desk.logins.is_alive, desk.sessions.list_for(account.id))),
        }

    async def change_account(self, call: ApiCall) -> object:
        wanted, account = call.take(AccountPatch), await self._find(call)
        change = AccountChange(
            wanted.name or "" if wanted.name is not UNSET else None,
            wanted.quota or 0 if wanted.quota is not UNSET else None,
            wanted.quota_emails or 0 if wanted.quota_emails is not UNSET else None,
            None if wanted.disabled is UNSET else wanted.disabled,
            None if wanted.admin is UNSET else wanted.admin,
        )
        check_own(account, call.owner, change)
        changed = await self._desk.with_admin(lambda admin: self._open(admin).change(account.address, change))
        if change.is_disabled:
            await self._desk.sessions.end_all(account.id)
        self._note(call, "account changed", account.address)
        return changed

    async def remove_account(self, call: ApiCall) -> object:
        account = await self._find(call)
        check_removal(account, call.owner)
        aliases = await self._desk.with_admin(lambda admin: self._open(admin).remove(account.address))
        await self._desk.sessions.end_all(account.id)
        self._note(call, "account removed", account.address)
        return AccountGone(aliases)

    async def set_password(self, call: ApiCall) -> object:
        wanted, account, desk = call.take(PasswordSet), await self._find(call), self._desk
        if wanted.password:
            check_new(wanted.password)
        password = await desk.passwords.set_main(account.id, wanted.password)
        await desk.sessions.end_all(account.id)
        self._note(call, "password set", account.address)
        return PasswordTold(None if wanted.password else password)

    async def undelete_account(self, call: ApiCall) -> object:
        address = call.parameter("address")
        back = await self._desk.with_admin(lambda admin: self._open(admin).undelete(address))
        self._note(call, "account brought back", address)
        return back

    async def drop_factors(self, call: ApiCall) -> object:
        account, desk = await self._find(call), self._desk
        await reset_factors(desk.own, desk.factors, account.id)
        self._note(call, "second factors taken away", account.address)
        return None

    async def add_address(self, call: ApiCall) -> object:
        wanted, login = call.take(NewAddress), call.parameter("address")
        changed = await self._desk.with_admin(
            lambda admin: self._open(admin).add_address(login, wanted.address, is_primary=wanted.primary)
        )
        self._note(call, "address added", wanted.address)
        return changed

    async def remove_address(self, call: ApiCall) -> object:
        login, address = call.parameter("address"), call.parameter("other")
        changed = await self._desk.with_admin(lambda admin: self._open(admin).remove_address(login, address))
        self._note(call, "address removed", address)
        return changed

    async def list_removed(self, call: ApiCall) -> object:
        return await self._desk.with_admin(lambda admin: self._open(admin).list_removed())

    def _open(self, admin: DirectoryAdmin) -> AccountOperations:
        return AccountOperations(admin, self._desk.accounts)

    async def _find(self, call: ApiCall) -> Account:
        """Raises HttpRefused."""
        address = call.parameter("address")
        found = self._desk.accounts.find(address)
        if found is None:
            raise refuse(404, "Not Found", f"There is no account {address}")
        return found

    # -- aliases

    async def list_aliases(self, call: ApiCall) -> object:
        query = _read_query(call)
        return await self._desk.with_admin(lambda admin: list_aliases(admin, query))

    async def add_alias(self, call: ApiCall) -> object:
        wanted = call.take(NewAlias)
        made = await self._desk.with_admin(lambda admin: AliasOperations(admin).add(wanted.address, wanted.targets))
        self._note(call, "alias added", wanted.address)
        return made

    async def remove_alias(self, call: ApiCall) -> object:
        address, target = call.parameter("address"), call.word("target")
        targets = [target] if target else []
        await self._desk.with_admin(lambda admin: AliasOperations(admin).remove(address, targets))
        self._note(call, "alias removed", address)
        return None

    def _note(self, call: ApiCall, what: str, of: str) -> None:
        """What administrators do is in the log."""
        self._desk.log.info("administration", what=what, administrator=call.login.name, of=of)


def _forget(admin: DirectoryAdmin, account: AccountId) -> None:
    admin.remove_account(account)
    admin.forget_account(account)


def _read_query(call: ApiCall) -> ListQuery:
    return ListQuery(call.word("domain"), call.word("q"), call.word("after"), call.number("limit", _PAGE, MAX_PAGE))
