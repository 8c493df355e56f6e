"""The second factor and passkeys by the HTTP API: switching codes on and off, registering passkeys, signing in by one.

A passkey that verified its user is two factors in one: it signs in alone, also where codes are on. Challenges carry our
mark and their time; an answer counts once. Who we are to a browser is the name it came by: its signature is over that
name, so a passkey made here is of no use to a page elsewhere, and one made elsewhere is unknown here.
"""

from __future__ import annotations

import ipaddress
from typing import Annotated

import msgspec

from posthouse.app.web_api_desk import ApiDesk
from posthouse.app.web_api_session import (
    Short,
    SignedInShown,
    begin_session,
    check_page,
    confirm_password,
    read_number,
    refuse_code,
    show_own,
)
from posthouse.app.web_api_table import Access, ApiCall, Endpoint, not_found
from posthouse.manage.accounts import read_text
from posthouse.message.instant import Instant, format_rfc3339
from posthouse.ports.login import Login
from posthouse.ports.second_factors import (
    NEW,
    Party,
    Passkey,
    PasskeyId,
    PasskeyRefused,
    PasskeyUse,
    PasskeyUser,
)
from posthouse.ports.web_sessions import WebSessionId
from posthouse.serve.http_messages import HttpRequest, refuse
from posthouse.trust.web_factors import (
    SECRET_OCTETS,
    CodeVerdict,
    hash_challenge,
    make_recovery_codes,
    make_uri,
    make_user_handle,
    show_secret,
)
from posthouse.trust.web_logins import MECHANISM

_SIGN_IN, _REGISTER = "sign in", "register"
_MAX_HOST = 253

Credential = dict[str, object]  # a PublicKeyCredential as its toJSON() writes it


class TotpShown(msgspec.Struct, frozen=True, rename="camel"):
    is_on: bool
    recovery_codes: int


class TotpStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    code: Annotated[str, msgspec.Meta(max_length=64)] = ""


class TotpStepped(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A secret for the app, or that codes are on; then recovery codes, shown this once."""

    is_on: bool
    secret: str = ""
    uri: str = ""
    recovery_codes: list[str] = []


class PasswordGiven(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    password: Short


class PasskeyOptions(msgspec.Struct, frozen=True, rename="camel"):
    """What parseCreationOptionsFromJSON and parseRequestOptionsFromJSON of browsers take."""

    public_key: dict[str, object]


class PasskeyAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    credential: Credential


class NewPasskey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    credential: Credential
    name: Annotated[str, msgspec.Meta(max_length=100)] = ""


class PasskeyShown(msgspec.Struct, frozen=True, rename="camel"):
    id: str
    name: str
    created: str
    last_used: str | None


class FactorApi:
    def __init__(self, desk: ApiDesk) -> None:
        self._desk = desk

    def endpoints(self) -> list[Endpoint]:
        return [*self._code_endpoints(), *self._passkey_endpoints()]

    def _code_endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("GET", "/api/totp", "Whether codes of an app are asked for.", self.show_totp, gives=TotpShown),
            Endpoint(
                "POST",
                "/api/totp",
                "Without a code: a new secret for the app. With a code of it: switches codes on, ends other sessions,"
                " and tells recovery codes once. Mail programs then need app passwords.",
                self.step_totp,
                takes=TotpStep,
                gives=TotpStepped,
                statuses=(401, 409, 429),
            ),
            Endpoint(
                "DELETE",
                "/api/totp",
                "Codes are no longer asked for. Needs the password.",
                self.drop_totp,
                takes=PasswordGiven,
                statuses=(401, 404, 429),
            ),
        ]

    def _passkey_endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                "POST",
                "/api/passkey/options",
                "Options for signing in by a passkey.",
                self.offer_sign_in,
                Access.NOBODY,
                gives=PasskeyOptions,
                statuses=(403,),
            ),
            Endpoint(
                "POST",
                "/api/passkey/verify",
                "Sign in by a passkey. Sets the cookie of the session.",
                self.sign_in,
                Access.NOBODY,
                takes=PasskeyAnswer,
                gives=SignedInShown,
                statuses=(401, 403, 415),
            ),
            Endpoint("GET", "/api/passkeys", "Passkeys of the account.", self.list_all, gives=list[PasskeyShown]),
            Endpoint(
                "POST",
                "/api/passkeys/options",
                "Options for registering a passkey.",
                self.offer_registration,
                gives=PasskeyOptions,
            ),
            Endpoint(
                "POST",
                "/api/passkeys",
                "Register a passkey.",
                self.register,
                takes=NewPasskey,
                gives=PasskeyShown,
                status=201,
                statuses=(409,),
            ),
            Endpoint(
                "DELETE",
                "/api/passkeys/{id}",
                "Remove one. Sessions that were begun with it end.",
                self.remove,
                statuses=(404,),
            ),
        ]

    # -- codes

    async def show_totp(self, call: ApiCall) -> object:
        factors, owner = self._desk.factors, call.owner
        return TotpShown(self._desk.has_codes(owner), factors.count_recovery_codes(owner))

    async def step_totp(self, call: ApiCall) -> object:
        desk, owner = self._desk, call.owner
        if desk.has_codes(owner):
            raise refuse(409, "Conflict", "Codes are switched on already")
        wanted = call.take(TotpStep)
        return await self._switch_on(call, wanted.code) if wanted.code else await self._propose(call)

    async def _propose(self, call: ApiCall) -> object:
        desk, secret = self._desk, self._desk.secret_octets(SECRET_OCTETS)
        if not await desk.factors.propose_totp(call.owner, secret, desk.clock.now()):
            raise refuse(409, "Conflict", "Codes are switched on already")
        uri = make_uri(secret, call.login.name, desk.facts.hostname)
        return TotpStepped(False, show_secret(secret), uri)

    async def _switch_on(self, call: ApiCall, code: str) -> object:
        desk = self._desk
        recovery = make_recovery_codes(desk.secret_octets)
        verdict = await desk.codes.switch_on(call.owner, code, recovery)
        if verdict is not CodeVerdict.RIGHT:
            raise refuse_code(verdict)
        await desk.own.settle_main(call.owner, WebSessionId(call.session), has_codes=True)
        desk.log.info("second factor switched on", login=call.login.name)
        return TotpStepped(True, recovery_codes=recovery)

    async def drop_totp(self, call: ApiCall) -> object:
        desk = self._desk
        await confirm_password(desk, call, call.take(PasswordGiven).password)
        if not await desk.factors.switch_off(call.owner):
            raise not_found("second factor")
        await desk.own.settle_main(call.owner, WebSessionId(call.session), has_codes=False)
        desk.log.info("second factor switched off", login=call.login.name)
        return None

    # -- signing in by a passkey

    async def offer_sign_in(self, call: ApiCall) -> object:
        check_page(call)
        party = self._party(call.request)
        challenge = self._desk.challenges.make(_SIGN_IN, party.origin)
        return PasskeyOptions(dict(self._desk.passkeys.make_sign_in(party, challenge)))

    async def sign_in(self, call: ApiCall) -> object:
        check_page(call)
        wanted, party = call.take(PasskeyAnswer), self._party(call.request)
        try:
            passkey, use = self._check_answer(party, wanted.credential)
        except PasskeyRefused as error:
            self._desk.log.info("passkey denied", peer=call.request.peer, reason=str(error))
            raise refuse(401, "Unauthorized", _UNKNOWN) from None
        account = self._desk.accounts.get(passkey.account)
        if account is None or not await self._desk.factors.use_passkey(use):
            raise refuse(401, "Unauthorized", _UNKNOWN)
        if account.is_disabled:
            raise refuse(403, "Forbidden", "This account is disabled")
        main = self._desk.logins.main_password(account.id)
        login = Login(account.id, account.address, MECHANISM, main.id if main is not None else 0)
        await begin_session(self._desk, call, login, "passkey", passkey.id)
        return SignedInShown(show_own(account))

    def _check_answer(self, party: Party, response: Credential) -> tuple[Passkey, PasskeyUse]:
        """Raises PasskeyRefused."""
        desk = self._desk
        answered = desk.passkeys.read_answer(response)
        expires = self._check_challenge(answered.challenge, _SIGN_IN, party)
        passkey = desk.factors.find_passkey(answered.handle)
        if passkey is None:
            raise PasskeyRefused("unknown passkey")
        if answered.user and answered.user != make_user_handle(desk.credentials, passkey.account):
            raise PasskeyRefused("of another account")
        counter = desk.passkeys.check_sign_in(party, answered.challenge, passkey, response)
        hashed = hash_challenge(answered.challenge)
        return passkey, PasskeyUse(passkey.id, counter, desk.clock.now(), hashed, expires)

    def _check_challenge(self, challenge: bytes, purpose: str, party: Party) -> Instant:
        expires = self._desk.challenges.find_end(challenge, purpose, party.origin)
        if expires is None:
            raise PasskeyRefused("the challenge is not ours, or too old")
        return expires

    # -- registering

    async def list_all(self, call: ApiCall) -> object:
        return [_show(each) for each in self._desk.factors.passkeys(call.owner)]

    async def offer_registration(self, call: ApiCall) -> object:
        desk, party = self._desk, self._party(call.request)
        assert call.account is not None
        handle = make_user_handle(desk.credentials, call.owner)
        user = PasskeyUser(handle, call.account.address, call.account.display_name or call.account.address)
        challenge = desk.challenges.make(f"{_REGISTER} {call.owner}", party.origin)
        known = desk.factors.passkeys(call.owner)
        return PasskeyOptions(dict(desk.passkeys.make_registration(party, user, challenge, known)))

    async def register(self, call: ApiCall) -> object:
        desk, party = self._desk, self._party(call.request)
        wanted, now = call.take(NewPasskey), desk.clock.now()
        name = read_text(wanted.name.strip()) or f"Passkey {len(desk.factors.passkeys(call.owner)) + 1}"
        try:
            challenge = desk.passkeys.read_answer(wanted.credential).challenge
            expires = self._check_challenge(challenge, f"{_REGISTER} {call.owner}", party)
            handle, public_key, counter = desk.passkeys.check_registration(party, challenge, wanted.credential)
        except PasskeyRefused as error:
            desk.log.info("passkey not registered", login=call.login.name, reason=str(error))
            raise refuse(400, "Bad Request", "This is no answer to a registration of ours; try again") from None
        if not await desk.factors.use_challenge(hash_challenge(challenge), now, expires):
            raise refuse(409, "Conflict", "This registration was used before")
        try:
            made = await desk.factors.add_passkey(Passkey(NEW, call.owner, handle, public_key, counter, name, now))
        except ValueError as error:
            raise refuse(409, "Conflict", str(error)) from None
        desk.log.info("passkey registered", login=call.login.name)
        return _show(made)

    async def remove(self, call: ApiCall) -> object:
        passkey = PasskeyId(read_number(call.parameter("id"), "passkey"))
        if not await self._desk.factors.remove_passkey(call.owner, passkey):
            raise not_found("passkey")
        await self._desk.sessions.end_all(call.owner, WebSessionId(call.session), passkey)
        return None

    def _party(self, request: HttpRequest) -> Party:
        told = request.headers.get("host", "").lower()
        host = told if told.startswith("[") else told.partition(":")[0]
        if not host or len(host) > _MAX_HOST or _is_address(host):
            raise refuse(403, "Forbidden", "Passkeys need a host name, not an address")
        return Party(host, request.origin, self._desk.facts.hostname)


_UNKNOWN = "This passkey is not known here"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host.startswith("[")
    return True


def _show(passkey: Passkey) -> PasskeyShown:
    used = None if passkey.last_used is None else format_rfc3339(passkey.last_used)
    return PasskeyShown(str(passkey.id), passkey.name, format_rfc3339(passkey.created), used)
