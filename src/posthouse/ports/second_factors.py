"""What people sign in with at the web page beside a password: codes of an app, recovery codes, passkeys.

Kept in the directory. Reads are immediate, writes wait for the disk, and what may count only once (a code, a recovery
code, an answer to a challenge) is marked in the transaction that accepts it, so that two workers never accept it twice.
Recovery codes are here as keyed hashes. The secret of an app has to be readable: it makes the codes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NewType, Protocol

from posthouse.message.instant import Instant
from posthouse.message.mailbox import AccountId

PasskeyId = NewType("PasskeyId", int)
NEW = PasskeyId(0)
MAX_PASSKEYS = 20
_FREE_FAILURES = 5
LONGEST_WAIT_S = 3600.0


def wait_after(failures: int) -> float:
    """Until the next code is looked at: six digits must not be guessed, not even over months."""
    return 0.0 if failures < _FREE_FAILURES else min(2.0 ** min(failures - _FREE_FAILURES, 32), LONGEST_WAIT_S)


@dataclass(frozen=True, slots=True)
class Totp:
    """`is_on` False: the secret was shown to its owner, who has not entered a code of it yet."""

    account: AccountId
    secret: bytes = field(repr=False)
    is_on: bool
    created: Instant


@dataclass(frozen=True, slots=True)
class Passkey:
    """`handle` is the credential id of WebAuthn, `public_key` what a `PasskeyCheck` made of the registration."""

    id: PasskeyId
    account: AccountId
    handle: bytes
    public_key: bytes = field(repr=False)
    counter: int
    name: str
    created: Instant
    last_used: Instant | None = None


@dataclass(frozen=True, slots=True)
class PasskeyUse:
    """`challenge`: a hash of the one that was answered, remembered until it `expires`."""

    passkey: PasskeyId
    counter: int
    at: Instant
    challenge: bytes
    expires: Instant


class SecondFactors(Protocol):
    def totp(self, account: AccountId) -> Totp | None: ...

    def count_recovery_codes(self, account: AccountId) -> int: ...

    def passkeys(self, account: AccountId) -> Sequence[Passkey]: ...

    def find_passkey(self, handle: bytes) -> Passkey | None: ...

    # -- codes

    async def propose_totp(self, account: AccountId, secret: bytes, at: Instant) -> bool:
        """In the place of one that is not on yet; False when one is on."""

    async def switch_on(self, account: AccountId, step: int, recovery: Sequence[bytes]) -> bool:
        """The code of that step was shown. False when there is nothing to switch on."""

    async def switch_off(self, account: AccountId) -> bool:
        """Recovery codes go along. False when it was not on."""

    async def begin_try(self, account: AccountId, now: Instant) -> float:
        """0: a code may be looked at, and is counted as wrong until it is accepted; else how long to wait."""

    async def accept_step(self, account: AccountId, step: int) -> bool:
        """False when a code of it, or of a later one, was used before (RFC 6238 §5.2)."""

    async def accept_recovery(self, account: AccountId, code: bytes) -> bool:
        """It is gone then."""

    # -- passkeys

    async def add_passkey(self, passkey: Passkey) -> Passkey:
        """Raises ValueError with words for people: it is there already, or there are too many."""

    async def remove_passkey(self, account: AccountId, passkey: PasskeyId) -> bool: ...

    async def use_passkey(self, use: PasskeyUse) -> bool:
        """False when it is gone, its challenge was answered before, or its counter fell: then it may be a copy."""

    async def use_challenge(self, challenge: bytes, now: Instant, expires: Instant) -> bool:
        """False when it was answered before."""


class PasskeyRefused(Exception):
    """What the browser sent is no good; the text is for the log."""


@dataclass(frozen=True, slots=True)
class Party:
    """Who we are to a browser: `host` its name for us, `origin` with scheme and port (WebAuthn §5.1.3)."""

    host: str
    origin: str
    name: str


@dataclass(frozen=True, slots=True)
class PasskeyUser:
    handle: bytes
    name: str
    display_name: str


Plain = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Answered:
    """What a browser says it answers, before anything is checked."""

    challenge: bytes
    handle: bytes
    user: bytes


class PasskeyCheck(Protocol):
    """WebAuthn's rules (W3C). All are quick; what comes from the browser is JSON as decoded."""

    def make_registration(self, party: Party, user: PasskeyUser, challenge: bytes, known: Sequence[Passkey]) -> Plain:
        """Options for `navigator.credentials.create`."""

    def make_sign_in(self, party: Party, challenge: bytes) -> Plain:
        """Options for `navigator.credentials.get`: any passkey of ours."""

    def read_answer(self, response: Plain) -> Answered:
        """Raises PasskeyRefused."""

    def check_registration(self, party: Party, challenge: bytes, response: Plain) -> tuple[bytes, bytes, int]:
        """Handle, public key, counter. Raises PasskeyRefused."""

    def check_sign_in(self, party: Party, challenge: bytes, passkey: Passkey, response: Plain) -> int:
        """The counter. Raises PasskeyRefused."""


@dataclass(slots=True)
class _Codes:
    totp: Totp
    last_step: int = -1
    failures: int = 0
    next_try: float = 0.0
    recovery: set[bytes] = field(default_factory=set)


class FakeSecondFactors:
    """In memory."""

    def __init__(self) -> None:
        self._codes: dict[AccountId, _Codes] = {}
        self._passkeys: dict[PasskeyId, Passkey] = {}
        self._challenges: dict[bytes, Instant] = {}
        self._last_id = 0

    def totp(self, account: AccountId) -> Totp | None:
        codes = self._codes.get(account)
        return None if codes is None else codes.totp

    def count_recovery_codes(self, account: AccountId) -> int:
        codes = self._codes.get(account)
        return 0 if codes is None else len(codes.recovery)

    def passkeys(self, account: AccountId) -> Sequence[Passkey]:
        return [each for each in self._passkeys.values() if each.account == account]

    def find_passkey(self, handle: bytes) -> Passkey | None:
        return next((each for each in self._passkeys.values() if each.handle == handle), None)

    async def propose_totp(self, account: AccountId, secret: bytes, at: Instant) -> bool:
        known = self._codes.get(account)
        if known is not None and known.totp.is_on:
            return False
        made = _Codes(Totp(account, secret, False, at))
        if known is not None:
            made.failures, made.next_try = known.failures, known.next_try
        self._codes[account] = made
        return True

    async def switch_on(self, account: AccountId, step: int, recovery: Sequence[bytes]) -> bool:
        codes = self._codes.get(account)
        if codes is None or codes.totp.is_on:
            return False
        totp = replace(codes.totp, is_on=True)
        self._codes[account] = _Codes(totp, last_step=step, recovery=set(recovery))
        return True

    async def switch_off(self, account: AccountId) -> bool:
        codes = self._codes.pop(account, None)
        return codes is not None and codes.totp.is_on

    async def begin_try(self, account: AccountId, now: Instant) -> float:
        codes = self._codes.get(account)
        if codes is None:
            return 0.0
        wait = codes.next_try - now
        if 0 < wait <= LONGEST_WAIT_S:
            return wait
        codes.failures += 1
        codes.next_try = now + wait_after(codes.failures)
        return 0.0

    async def accept_step(self, account: AccountId, step: int) -> bool:
        codes = self._codes.get(account)
        if codes is None or step <= codes.last_step:
            return False
        codes.last_step, codes.failures, codes.next_try = step, 0, 0.0
        return True

    async def accept_recovery(self, account: AccountId, code: bytes) -> bool:
        codes = self._codes.get(account)
        if codes is None or code not in codes.recovery:
            return False
        codes.recovery.remove(code)
        codes.failures, codes.next_try = 0, 0.0
        return True

    async def add_passkey(self, passkey: Passkey) -> Passkey:
        if self.find_passkey(passkey.handle) is not None:
            raise ValueError("this passkey is there already")
        if len(self.passkeys(passkey.account)) >= MAX_PASSKEYS:
            raise ValueError(f"an account has at most {MAX_PASSKEYS} passkeys")
        self._last_id += 1
        made = replace(passkey, id=PasskeyId(self._last_id))
        self._passkeys[made.id] = made
        return made

    async def remove_passkey(self, account: AccountId, passkey: PasskeyId) -> bool:
        found = self._passkeys.get(passkey)
        if found is None or found.account != account:
            return False
        del self._passkeys[passkey]
        return True

    async def use_passkey(self, use: PasskeyUse) -> bool:
        found = self._passkeys.get(use.passkey)
        if found is None or not is_counter_good(found.counter, use.counter):
            return False
        if not await self.use_challenge(use.challenge, use.at, use.expires):
            return False
        self._passkeys[found.id] = replace(found, counter=use.counter, last_used=use.at)
        return True

    async def use_challenge(self, challenge: bytes, now: Instant, expires: Instant) -> bool:
        self._challenges = {each: until for each, until in self._challenges.items() if until > now}
        if challenge in self._challenges:
            return False
        self._challenges[challenge] = expires
        return True


def is_counter_good(known: int, told: int) -> bool:
    """WebAuthn §7.2 step 22: zero means that the authenticator does not count."""
    return told > known or told == known == 0
