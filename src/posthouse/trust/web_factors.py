"""Codes of an app and recovery codes: made, shown once, checked so that nobody guesses one or uses one twice.

A code is six digits of HMAC-SHA-1, good for its 30 seconds and the ones before and behind (RFC 6238 §5.2, RFC 4226
§5.3: apps know nothing else). Each counts once. Tries are counted in the directory, for all workers together: the
first few are free, then the wait doubles up to an hour, whoever asks from wherever: who gets so far knows the password.
A recovery code is 80 random bits, stored as a keyed hash, and gone once used.

Challenges of passkeys are made here too: random, with a time and our own mark, so that none has to be kept; one that
was answered is remembered until it is too old.
"""

from __future__ import annotations

import base64
import enum
import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlencode

from posthouse.message.instant import Instant
from posthouse.message.mailbox import AccountId
from posthouse.ports.clock import Clock
from posthouse.ports.credentials import Credentials
from posthouse.ports.second_factors import SecondFactors

STEP_S: Final = 30
DIGITS: Final = 6
SECRET_OCTETS: Final = 20  # RFC 4226 §4 R6
RECOVERY_CODES: Final = 10
_RECOVERY_OCTETS = 10
_WINDOW = (0, -1, 1)
_MAX_CODE = 64

CHALLENGE_S: Final = 300.0
_NONCE_OCTETS, _TIME_OCTETS, _MARK_OCTETS = 16, 8, 16


class CodeVerdict(enum.Enum):
    RIGHT = "right"
    WRONG = "wrong"
    TOO_FAST = "too fast"


def make_code(secret: bytes, step: int) -> str:
    """RFC 4226 §5.3."""
    digest = hmac.digest(secret, step.to_bytes(8, "big"), "sha1")
    offset = digest[-1] & 15
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
    return str(number % 10**DIGITS).zfill(DIGITS)


def find_step(secret: bytes, code: str, now: float) -> int | None:
    """The step that a code belongs to. All are compared, whichever fits."""
    current, found = int(now // STEP_S), None
    for offset in _WINDOW:
        step = current + offset
        if step >= 0 and hmac.compare_digest(make_code(secret, step).encode(), code.encode()) and found is None:
            found = step
    return found


def make_uri(secret: bytes, name: str, issuer: str) -> str:
    """What apps read from a QR code."""
    values = {"secret": show_secret(secret), "issuer": issuer, "digits": DIGITS, "period": STEP_S}
    return f"otpauth://totp/{quote(issuer)}:{quote(name)}?{urlencode(values, quote_via=quote)}"


def show_secret(secret: bytes) -> str:
    return base64.b32encode(secret).decode("ascii").rstrip("=")


def make_recovery_codes(secret_octets: Callable[[int], bytes]) -> list[str]:
    """Like "abcd-efgh-ijkl-mnop"."""
    made = []
    for _ in range(RECOVERY_CODES):
        text = base64.b32encode(secret_octets(_RECOVERY_OCTETS)).decode("ascii").lower()
        made.append("-".join([text[start : start + 4] for start in range(0, len(text), 4)]))
    return made


@dataclass(frozen=True, slots=True)
class CodeDesk:
    factors: SecondFactors
    credentials: Credentials
    clock: Clock

    async def check(self, account: AccountId, typed: str) -> CodeVerdict:
        """A code, or a recovery code; spaces and case do not matter."""
        totp, now = self.factors.totp(account), self.clock.now()
        if totp is None or not totp.is_on or len(typed) > _MAX_CODE:
            return CodeVerdict.WRONG
        if await self.factors.begin_try(account, now) > 0:
            return CodeVerdict.TOO_FAST
        code = _fold(typed)
        step = find_step(totp.secret, code, now)
        if step is not None:
            is_right = await self.factors.accept_step(account, step)
        else:
            is_right = await self.factors.accept_recovery(account, self.hash_recovery(code))
        return CodeVerdict.RIGHT if is_right else CodeVerdict.WRONG

    async def switch_on(self, account: AccountId, typed: str, recovery: Sequence[str]) -> CodeVerdict:
        """The owner shows that the app works."""
        totp, now = self.factors.totp(account), self.clock.now()
        if totp is None or totp.is_on or len(typed) > _MAX_CODE:
            return CodeVerdict.WRONG
        if await self.factors.begin_try(account, now) > 0:
            return CodeVerdict.TOO_FAST
        step = find_step(totp.secret, _fold(typed), now)
        hashes = [self.hash_recovery(_fold(code)) for code in recovery]
        is_on = step is not None and await self.factors.switch_on(account, step, hashes)
        return CodeVerdict.RIGHT if is_on else CodeVerdict.WRONG

    def hash_recovery(self, folded: str) -> bytes:
        return _mark(self.credentials, b"recovery code", folded.encode())


def _fold(typed: str) -> str:
    return "".join(typed.split()).replace("-", "").lower()


@dataclass(frozen=True, slots=True)
class Challenges:
    """`purpose` and `party` are part of the mark: what was made for one place is good for no other."""

    credentials: Credentials
    clock: Clock
    secret_octets: Callable[[int], bytes]

    def make(self, purpose: str, party: str) -> bytes:
        time = int(self.clock.now()).to_bytes(_TIME_OCTETS, "big")
        head = self.secret_octets(_NONCE_OCTETS) + time
        return head + self._mark(head, purpose, party)

    def find_end(self, challenge: bytes, purpose: str, party: str) -> Instant | None:
        """Until when it is good; None: it is not ours, not for this, or too old."""
        head, mark = challenge[:-_MARK_OCTETS], challenge[-_MARK_OCTETS:]
        if len(head) != _NONCE_OCTETS + _TIME_OCTETS:
            return None
        if not hmac.compare_digest(mark, self._mark(head, purpose, party)):
            return None
        made = int.from_bytes(head[_NONCE_OCTETS:], "big")
        age = self.clock.now() - made
        return Instant(made + CHALLENGE_S) if -1 <= age < CHALLENGE_S else None

    def _mark(self, head: bytes, purpose: str, party: str) -> bytes:
        return _mark(self.credentials, b"challenge", head, purpose.encode(), party.encode())[:_MARK_OCTETS]


def hash_challenge(challenge: bytes) -> bytes:
    return hashlib.sha256(challenge).digest()


def make_user_handle(credentials: Credentials, account: AccountId) -> bytes:
    """What an authenticator keeps of an account: it says nothing about it (WebAuthn §14.6.1)."""
    return _mark(credentials, b"passkey user", str(account).encode())


def _mark(credentials: Credentials, *words: bytes) -> bytes:
    return hmac.digest(credentials.server_secret(), b"\0".join(words), "sha256")
