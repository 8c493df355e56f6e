"""WebAuthn by the fido2 library: `ports.second_factors.PasskeyCheck`. Quick (one signature), keeps nothing.

What comes from the browser is decoded JSON and not trusted: whatever the library stumbles over is PasskeyRefused.
Passkeys must verify their user (a PIN, a finger), so one alone is two factors. Attestation is not asked for: it would
tell who made an authenticator, and people may use what they like. W3C WebAuthn Level 2 §7.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeVar, cast

from fido2.server import Fido2Server
from fido2.utils import websafe_encode
from fido2.webauthn import (
    AttestedCredentialData,
    AuthenticationResponse,
    AuthenticatorData,
    PublicKeyCredentialDescriptor,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialType,
    PublicKeyCredentialUserEntity,
    RegistrationResponse,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from posthouse.ports.second_factors import Answered, Party, Passkey, PasskeyRefused, PasskeyUser, Plain

T = TypeVar("T")

_TIMEOUT_MS: Final = 120_000
_VERIFIED = UserVerificationRequirement.REQUIRED


class WebAuthn:
    def make_registration(self, party: Party, user: PasskeyUser, challenge: bytes, known: Sequence[Passkey]) -> Plain:
        kind = PublicKeyCredentialType.PUBLIC_KEY
        described = [PublicKeyCredentialDescriptor(type=kind, id=each.handle) for each in known]
        entity = PublicKeyCredentialUserEntity(name=user.name, id=user.handle, display_name=user.display_name)
        options, _ = _server(party).register_begin(
            entity,
            described,
            resident_key_requirement=ResidentKeyRequirement.REQUIRED,
            user_verification=_VERIFIED,
            challenge=challenge,
        )
        return _show(options.public_key)

    def make_sign_in(self, party: Party, challenge: bytes) -> Plain:
        options, _ = _server(party).authenticate_begin(user_verification=_VERIFIED, challenge=challenge)
        return _show(options.public_key)

    def read_answer(self, response: Plain) -> Answered:
        return _guard(partial(_read_answer, response))

    def check_registration(self, party: Party, challenge: bytes, response: Plain) -> tuple[bytes, bytes, int]:
        made = _guard(lambda: _server(party).register_complete(_state(challenge), response))
        data = made.credential_data
        if data is None:
            raise PasskeyRefused("no credential in it")
        return data.credential_id, bytes(data), made.counter

    def check_sign_in(self, party: Party, challenge: bytes, passkey: Passkey, response: Plain) -> int:
        def check() -> int:
            known = AttestedCredentialData(passkey.public_key)
            _server(party).authenticate_complete(_state(challenge), [known], response)
            authenticator: AuthenticatorData = AuthenticationResponse.from_dict(response).response.authenticator_data
            return authenticator.counter

        return _guard(check)


def _server(party: Party) -> Fido2Server:
    entity = PublicKeyCredentialRpEntity(name=party.name, id=party.host)
    return Fido2Server(entity, verify_origin=lambda origin: origin == party.origin)


def _show(options: object) -> Plain:
    """As JSON has it: octets in base64url."""
    return {**dict(cast(Plain, options)), "timeout": _TIMEOUT_MS}


def _state(challenge: bytes) -> dict[str, object]:
    return {"challenge": websafe_encode(challenge), "user_verification": _VERIFIED}


def _read_answer(response: Plain) -> Answered:
    inner = response.get("response")
    if not isinstance(inner, dict):
        raise ValueError("no response in it")
    if "attestationObject" in inner:
        made = RegistrationResponse.from_dict(response)
        return Answered(made.response.client_data.challenge, made.raw_id, b"")
    given = AuthenticationResponse.from_dict(response)
    return Answered(given.response.client_data.challenge, given.raw_id, given.response.user_handle or b"")


def _guard(check: Callable[[], T]) -> T:
    try:
        return check()
    except Exception as error:  # noqa: BLE001 - the library has no error of its own for what a browser may send
        raise PasskeyRefused(f"{type(error).__name__}: {error}") from None
