"""Settings of one's own account by the HTTP API: the password, app passwords, the Outbox, forwarding."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from posthouse.app.web_api_desk import ApiDesk
from posthouse.app.web_api_session import Short, confirm_password, read_number
from posthouse.app.web_api_table import ApiCall, Endpoint, not_found
from posthouse.manage.forwarding import ForwardingOperations
from posthouse.msa.outbox import ENTRY, ON
from posthouse.ports.login import Scope
from posthouse.ports.sending import SendRefused
from posthouse.ports.web_sessions import WebSessionId
from posthouse.serve.http_messages import refuse


class PasswordChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    old: Short
    new: Short


class NewAppPassword(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    scopes: list[Literal["read", "send", "manage"]] = []


class AppPasswordShown(msgspec.Struct, frozen=True, rename="camel"):
    id: str
    name: str
    scopes: list[str]
    created: str
    last_used: str | None


class AppPasswordMade(msgspec.Struct, frozen=True, rename="camel"):
    """The password is shown this once."""

    id: str
    name: str
    scopes: list[str]
    password: str


class OutboxDoor(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Whether mail put into the mailbox Outbox by IMAP is sent."""

    is_on: bool


class ForwardingShown(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Without targets nothing is forwarded."""

    targets: Annotated[list[Short], msgspec.Meta(max_length=100)]
    keeps_copy: bool = True


class SettingsApi:
    def __init__(self, desk: ApiDesk) -> None:
        self._desk = desk

    def endpoints(self) -> list[Endpoint]:
        return [*self._password_endpoints(), *self._mail_endpoints()]

    def _password_endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                "POST",
                "/api/password",
                "Change the password. All other sessions end.",
                self.change_password,
                takes=PasswordChange,
                statuses=(401, 409, 429),
            ),
            Endpoint(
                "GET",
                "/api/app-passwords",
                "Passwords of programs.",
                self.list_apps,
                gives=list[AppPasswordShown],
            ),
            Endpoint(
                "POST",
                "/api/app-passwords",
                "A new one. Without scopes it is good for everything.",
                self.add_app,
                takes=NewAppPassword,
                gives=AppPasswordMade,
                status=201,
                statuses=(409,),
            ),
            Endpoint("DELETE", "/api/app-passwords/{id}", "Remove one.", self.remove_app, statuses=(404,)),
        ]

    def _mail_endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("GET", "/api/outbox", "Whether the Outbox sends.", self.show_outbox, gives=OutboxDoor),
            Endpoint(
                "PUT",
                "/api/outbox",
                "Open or shut it.",
                self.turn_outbox,
                takes=OutboxDoor,
                gives=OutboxDoor,
                statuses=(403,),
            ),
            Endpoint(
                "GET",
                "/api/forwarding",
                "Where mail of the account goes on to.",
                self.show_forwarding,
                gives=ForwardingShown,
            ),
            Endpoint(
                "PUT",
                "/api/forwarding",
                "Forward mail, with or without a copy here.",
                self.set_forwarding,
                takes=ForwardingShown,
                gives=ForwardingShown,
                statuses=(409,),
            ),
        ]

    async def change_password(self, call: ApiCall) -> object:
        wanted = call.take(PasswordChange)
        await confirm_password(self._desk, call, wanted.old)
        await self._desk.own.change(call.owner, wanted.new, WebSessionId(call.session))
        self._desk.log.info("password changed", login=call.login.name)
        return None

    async def list_apps(self, call: ApiCall) -> object:
        return [
            AppPasswordShown(
                str(row["id"]),
                str(row["name"]),
                [*map(str, row["scopes"] if isinstance(row["scopes"], list) else [])],
                str(row["created"]),
                None if row["last_used"] is None else str(row["last_used"]),
            )
            for row in self._desk.own.list_apps(call.owner)
        ]

    async def add_app(self, call: ApiCall) -> object:
        wanted = call.take(NewAppPassword)
        row, password = await self._desk.own.add_app(call.owner, wanted.name, list(wanted.scopes))
        scopes: list[str] = [*sorted(wanted.scopes or Scope)]
        return AppPasswordMade(str(row["id"]), str(row["name"]), scopes, password)

    async def remove_app(self, call: ApiCall) -> object:
        number = read_number(call.parameter("id"), "app password")
        if not await self._desk.own.remove_app(call.owner, number):
            raise not_found("app password")
        return None

    # -- the Outbox (sending.md rule 10)

    async def show_outbox(self, call: ApiCall) -> object:
        return OutboxDoor(await self._desk.sending.is_outbox_on(call.owner))

    async def turn_outbox(self, call: ApiCall) -> object:
        wanted, desk = call.take(OutboxDoor), self._desk
        value = ON if wanted.is_on else None
        try:
            desk.sending.check_annotation(call.login, ENTRY, value)
        except SendRefused as refused:
            raise refuse(403, "Forbidden", refused.text) from None
        await desk.store.annotations.write(call.owner, None, call.owner, {ENTRY: value})
        await desk.sending.note_annotation(call.owner, ENTRY)
        return OutboxDoor(await desk.sending.is_outbox_on(call.owner))

    # -- forwarding

    async def show_forwarding(self, call: ApiCall) -> object:
        return await self._desk.with_admin(lambda admin: ForwardingOperations(admin).read(call.owner))

    async def set_forwarding(self, call: ApiCall) -> object:
        wanted = call.take(ForwardingShown)
        self._desk.log.info("forwarding changed", login=call.login.name, targets=len(wanted.targets))
        return await self._desk.with_admin(
            lambda admin: ForwardingOperations(admin).write(call.owner, wanted.targets, keeps_copy=wanted.keeps_copy)
        )
