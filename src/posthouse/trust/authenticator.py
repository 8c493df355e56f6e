"""Who is it: passwords, proofs, tokens and certificates checked against the directory and other sources.

Rules
- An unknown name and a wrong password cost the same runs of the hash, wait as long and get the same answer.
- Failures slow down further tries for that account and from that address. A place (a /24 or /64) that an account logged
  in from before is never held up by that: the right password from there is always looked at, if not at once when
  many wrong ones came from the very same address.
- A right password is remembered for a while (successes.py); the same check that is already running is shared. So a
  program that opens ten connections costs one run of the hash. Every use looks at the row and the account again.
- The queue for the hash is bounded. Strangers may fill half of it, so guesses never keep out known places.
- Only accounts of the directory log in, whatever PAM, LDAP, a file or a token's issuer say.

Trusts the ports and nobody else; names and addresses come from the peer. What is not yet flushed of `last_used` and
places is lost in a crash and costs nobody a login. RFC 4954 §4, RFC 4422 §6.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import TypeVar

from posthouse.message.instant import Instant
from posthouse.message.mailbox import AccountId
from posthouse.message.peer import Peer
from posthouse.ports.clock import Clock
from posthouse.ports.compute import Compute
from posthouse.ports.credentials import (
    Credential,
    CredentialId,
    Credentials,
    PasswordHash,
    PasswordSource,
    SourceAnswer,
    TokenFacts,
    TokenSource,
    Use,
)
from posthouse.ports.directory import Account, Accounts, DirectoryError
from posthouse.ports.login import MECHANISMS, Login, Scope
from posthouse.ports.observe import Counter, Log
from posthouse.protocol.sasl.server_scram import ScramKeys, ScramOffer
from posthouse.trust.names import spell_login
from posthouse.trust.secrets import KEYED, keyed_hash, make_up_offer
from posthouse.trust.successes import Match, Successes
from posthouse.trust.throttle import Throttle, ThrottleSettings
from posthouse.trust.verdicts import Accepted, Denied, Verdict, Why

_ACCOUNT_THROTTLE = ThrottleSettings()
_ADDRESS_THROTTLE = ThrottleSettings(free=20)  # there may be an office behind it


@dataclass(frozen=True, slots=True)
class LoginSettings:
    """`mechanisms` are those switched on, the best first. `max_waiting` checks wait for the hash at one time."""

    mechanisms: Sequence[str] = MECHANISMS
    plaintext_on_loopback: bool = True
    account_throttle: ThrottleSettings = _ACCOUNT_THROTTLE
    address_throttle: ThrottleSettings = _ADDRESS_THROTTLE
    longest_hold_s: float = 10.0  # of the answer to a failure
    max_turns: int = 4  # tries that wait for their turn, of one account from one address at a known place
    remember_success_s: float = 600.0
    max_remembered: int = 10_000
    max_waiting: int = 64
    place_memory_s: float = 90 * 86400.0
    use_grain_s: float = 600.0  # how often the same use is stored again
    remember_source_s: float = 60.0  # we are not told when PAM or LDAP has another password
    source_refusal_s: float = 1.0  # with sources no refusal comes sooner: theirs take what time they like
    oauth_scope: str = ""


@dataclass(frozen=True, slots=True)
class LoginFigures:
    accepted: Counter
    denied: Counter
    hashed: Counter  # runs of the slow hash
    remembered: Counter  # logins that needed none, because the password had just been right


def ignore_failure(_key: str) -> None:
    """For a worker that is alone."""


@dataclass(frozen=True, slots=True)
class LoginParts:
    """`pause` waits so many seconds (asyncio.sleep); `secret_octets` is secrets.token_bytes. `compute` is best one of
    its own: nothing else should wait behind guesses.
    """

    credentials: Credentials
    accounts: Accounts
    hasher: PasswordHash
    compute: Compute
    clock: Clock
    log: Log
    figures: LoginFigures
    pause: Callable[[float], Awaitable[None]]
    secret_octets: Callable[[int], bytes]
    sources: Sequence[PasswordSource] = ()
    tokens: TokenSource | None = None
    spell: Callable[[str], str] = spell_login  # one spelling of a login name, whether it exists or not
    on_failure: Callable[[str], None] = ignore_failure  # keys that failed here, for the other workers


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to be `username`; `account` None when there is none such. `place` and `address` "" when unknown."""

    peer: Peer
    scope: Scope
    mechanism: str
    username: str
    authorization: str
    account: Account | None
    place: str
    address: str
    is_known_place: bool
    spelled: str
    began: float

    @property
    def key(self) -> str:
        return f"account {self.account.id}" if self.account is not None else f"name {self.spelled}"

    @property
    def visitor(self) -> str:
        return f"{self.key} from {self.address}"


_WRONG = Denied(Why.WRONG)
_TOO_FAST = Denied(Why.TOO_FAST)
_UNAVAILABLE = Denied(Why.UNAVAILABLE)
_NOBODY = CredentialId(0)

Found = Match | SourceAnswer


@dataclass(slots=True)
class Authenticator:
    """One per worker. `trust/login.py` has the conversation that sessions use; this is what it asks."""

    settings: LoginSettings
    parts: LoginParts
    _successes: Successes = field(init=False)
    _by_account: Throttle = field(init=False)
    _by_address: Throttle = field(init=False)
    _by_visitor: Throttle = field(init=False)  # accounts at known places
    _running: dict[bytes, asyncio.Future[Found]] = field(init=False, default_factory=dict)
    _uses: dict[tuple[AccountId, CredentialId, str], Instant] = field(init=False, default_factory=dict)
    _noted: dict[tuple[AccountId, CredentialId, str], Instant] = field(init=False, default_factory=dict)
    _places: dict[tuple[AccountId, str], Instant] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._successes = Successes(self.parts.secret_octets(32), self.settings.max_remembered)
        self._by_account = Throttle(self.settings.account_throttle)
        self._by_address = Throttle(self.settings.address_throttle)
        self._by_visitor = Throttle(self.settings.address_throttle)

    # -- what sessions ask

    def attempt(self, peer: Peer, scope: Scope, mechanism: str, username: str, authorization: str = "") -> Attempt:
        account = self.parts.accounts.find(username) if username else None
        address = "" if peer.is_stand_in else peer.address
        place = place_of(address)
        is_known = account is not None and bool(place) and self._is_known_place(account.id, place)
        key = place if ":" in address else address  # in IPv6 every program of a host may have its own address
        spelled = self.parts.spell(username) if username else ""
        now = self.parts.clock.monotonic()
        return Attempt(peer, scope, mechanism, username, authorization, account, place, key, is_known, spelled, now)

    def check_password(self, attempt: Attempt, password: str) -> Verdict | asyncio.Future[Verdict]:
        """`password` prepared. At once when it was right a moment ago or must not be looked at, else a future."""
        digest = self._successes.digest(attempt.key, password)
        running = self._running.get(digest)
        if running is not None:  # the same is being found out already: that tells nobody more
            return asyncio.ensure_future(self._wait_for(running, attempt, digest))
        if self.must_wait(attempt):
            return self._deny(attempt, _TOO_FAST)
        match = self._successes.get(digest, self.parts.clock.monotonic())
        if match is not None and self._is_still_there(match):
            self.parts.figures.remembered.inc()
            return self._conclude(attempt, match)
        if self._is_full(attempt):
            return self._deny(attempt, _UNAVAILABLE)
        # Counted before anything is awaited, or a hundred guesses at once would all pass.
        self._by_account.begin(attempt.key)
        turn = self._begin_turn(attempt)
        running = self._running[digest] = asyncio.ensure_future(self._find_out(attempt, password, digest, turn))
        return asyncio.ensure_future(self._wait_for(running, attempt, digest))

    def check_token(self, attempt: Attempt, token: str) -> Verdict | asyncio.Future[Verdict]:
        if self.must_wait(attempt):
            return self._deny(attempt, _TOO_FAST)
        digest = self._successes.digest("token", token)
        match = self._successes.get(digest, self.parts.clock.monotonic())
        if match is not None:
            return self._conclude(attempt, match)
        running = self._running.get(digest)
        if running is None:
            if self._is_full(attempt):
                return self._deny(attempt, _UNAVAILABLE)
            running = self._running[digest] = asyncio.ensure_future(self._look_at_token(token, digest))
        return asyncio.ensure_future(self._wait_for_token(running, attempt))

    def check_certificate(self, attempt: Attempt) -> Verdict | asyncio.Future[Verdict]:
        """`attempt.username` is "": TLS has shown who it is. The names of the certificate are mail addresses."""
        found = [self.parts.accounts.find(name) for name in attempt.peer.certificate_names]
        accounts = [account for account in found if account is not None]
        wanted = self.parts.accounts.find(attempt.authorization) if attempt.authorization else None
        if wanted is not None:
            accounts = [account for account in accounts if account.id == wanted.id]
        if not accounts or (attempt.authorization and wanted is None):
            return asyncio.ensure_future(self.fail(attempt))
        return self._conclude(attempt, Match(accounts[0].id, source="certificate"))

    def offer_verifiers(self, attempt: Attempt, algorithm: str) -> tuple[ScramOffer, Sequence[Credential]]:
        """What SCRAM says about a name, and the rows behind its keys (none when they are made up)."""
        rows = self.parts.credentials.list_for(attempt.account.id) if attempt.account is not None else ()
        pairs = [
            (row, verifier)
            for row in rows
            if (verifier := row.scram_sha256 if algorithm == "sha256" else row.scram_sha1) is not None
        ]
        if not pairs:
            return make_up_offer(self.parts.credentials.server_secret(), algorithm, attempt.spelled), ()
        salt, iterations = pairs[0][1].salt, pairs[0][1].iterations
        fitting = [(row, each) for row, each in pairs if each.salt == salt and each.iterations == iterations]
        keys = [ScramKeys(each.stored_key, each.server_key) for _, each in fitting]
        return ScramOffer(salt, iterations, keys), [row for row, _ in fitting]

    def accept_proof(self, attempt: Attempt, row: Credential) -> Verdict:
        """SCRAM's proof fitted `row`."""
        match = Match(row.account, row)
        return self._conclude(attempt, match) if self._is_still_there(match) else _WRONG

    def must_wait(self, attempt: Attempt) -> bool:
        now = self.parts.clock.monotonic()
        if attempt.is_known_place:
            visitor = attempt.visitor
            is_slowed = self._by_visitor.wait_s(visitor, now) > 0
            return is_slowed and self._by_visitor.count_pending(visitor) >= self.settings.max_turns
        if attempt.username and self._by_account.wait_s(attempt.key, now) > 0:
            return True
        return bool(attempt.address) and self._by_address.wait_s(attempt.address, now) > 0

    def refuse_hastiness(self, attempt: Attempt) -> Denied:
        return self._deny(attempt, _TOO_FAST)

    def wait_turn(self, attempt: Attempt) -> asyncio.Future[None] | None:
        """Before the answer to a proof, right or wrong: where many wrong ones came from, they are looked at in turn."""
        wait_s = self._begin_turn(attempt)
        if not wait_s:
            self._end_turn(attempt)
            return None
        return asyncio.ensure_future(self._take_turn(attempt, wait_s))

    async def fail(self, attempt: Attempt) -> Denied:
        """Count a wrong guess; the answer comes when the next one is allowed, or after the longest hold."""
        now = self.parts.clock.monotonic()
        if attempt.username:
            self._note_failure(attempt.key)
        return await self._hold(attempt, now)

    def add_failures(self, keys: Iterable[str]) -> None:
        """Those that other workers counted."""
        now = self.parts.clock.monotonic()
        for key in keys:
            self._table_of(key).note_failure(key, now)

    async def flush(self) -> None:
        """Store uses and places. For a timer of some seconds and for the end of the worker."""
        if self._uses:
            uses, self._uses = self._uses, {}
            await self.parts.credentials.note_uses([Use(*key, at) for key, at in uses.items()])

    # -- passwords

    async def _wait_for(self, running: asyncio.Future[Found], attempt: Attempt, digest: bytes) -> Verdict:
        found = await asyncio.shield(running)
        now = self.parts.clock.monotonic()
        if found is SourceAnswer.UNAVAILABLE:
            return self._deny(attempt, _UNAVAILABLE)
        if not isinstance(found, Match):
            return await self._hold(attempt, now)
        settings = self.settings
        longest = settings.remember_success_s
        if found.row is None:
            longest = min(longest, settings.remember_source_s)
        self._successes.keep(digest, found, now + longest)
        return self._conclude(attempt, found)

    async def _find_out(self, attempt: Attempt, password: str, digest: bytes, wait_s: float) -> Found:
        found: Found = SourceAnswer.UNAVAILABLE
        try:
            if wait_s > 0:
                await self.parts.pause(wait_s)
            found = await self._find_match(attempt, password)
        except Exception as error:  # noqa: BLE001 - a source that breaks is one that cannot tell
            self.parts.log.error("a password could not be checked", reason=repr(error))
        finally:
            del self._running[digest]
            self._end_turn(attempt)
            self._by_account.end(attempt.key, self.parts.clock.monotonic())
            if found is SourceAnswer.NO:
                self._note_failure(attempt.key)
        return found

    async def _find_match(self, attempt: Attempt, password: str) -> Found:
        account = attempt.account
        rows = self.parts.credentials.list_for(account.id) if account is not None else ()
        quick = keyed_hash(self.parts.credentials.server_secret(), password)
        for row in rows:
            if hmac.compare_digest(row.secret.encode(), quick.encode()):
                return Match(row.account, row)
        slow: list[Credential | None] = [row for row in rows if not row.secret.startswith(KEYED)]
        for candidate in slow or [None]:
            if await self._run_hash(candidate, password) and candidate is not None:
                return Match(candidate.account, candidate)
        return await self._ask_sources(attempt, password)

    async def _run_hash(self, row: Credential | None, password: str) -> bool:
        """Without a row it is the decoy, which nothing fits."""
        hasher = self.parts.hasher
        self.parts.figures.hashed.inc()
        encoded = row.secret if row is not None else hasher.decoy
        return await self.parts.compute.run(partial(hasher.verify, encoded, password))

    async def _ask_sources(self, attempt: Attempt, password: str) -> Found:
        account, is_down = attempt.account, False
        login = account.address if account is not None else attempt.username
        for source in self.parts.sources:
            answer = await source.check(login, password)
            if answer is SourceAnswer.YES and account is not None:
                return Match(account.id, source=source.name)
            if answer is SourceAnswer.YES:
                self.parts.log.warning("a source knows a login that is no account", source=source.name, login=login)
            is_down = is_down or answer is SourceAnswer.UNAVAILABLE
        return SourceAnswer.UNAVAILABLE if is_down else SourceAnswer.NO

    # -- tokens

    async def _wait_for_token(self, running: asyncio.Future[Found], attempt: Attempt) -> Verdict:
        found = await asyncio.shield(running)
        if found is SourceAnswer.UNAVAILABLE:
            return self._deny(attempt, _UNAVAILABLE)
        return self._conclude(attempt, found) if isinstance(found, Match) else await self.fail(attempt)

    async def _look_at_token(self, token: str, digest: bytes) -> Found:
        found: Found = SourceAnswer.UNAVAILABLE
        try:
            found = await self._ask_issuer(token, digest)
        except Exception as error:  # noqa: BLE001 - an issuer that breaks us is one that cannot tell
            self.parts.log.error("a token could not be checked", reason=repr(error))
        finally:
            del self._running[digest]
        return found

    async def _ask_issuer(self, token: str, digest: bytes) -> Found:
        tokens, clock, longest = self.parts.tokens, self.parts.clock, self.settings.remember_success_s
        facts = await tokens.check(token) if tokens is not None else SourceAnswer.NO
        if not isinstance(facts, TokenFacts):
            return facts
        account = self.parts.accounts.find(facts.login)
        if account is None:
            return SourceAnswer.NO
        match = Match(account.id, source="token", scopes=facts.scopes)
        left = facts.expires - clock.now() if facts.expires is not None else longest
        self._successes.keep(digest, match, clock.monotonic() + min(left, longest))
        return match

    # -- the end

    def _is_still_there(self, match: Match) -> bool:
        row = match.row
        if row is None:
            return True
        rows = self.parts.credentials.list_for(match.account)
        return any(each.id == row.id and each.secret == row.secret for each in rows)

    def _conclude(self, attempt: Attempt, match: Match) -> Verdict:
        try:
            return self._judge(attempt, match)
        except DirectoryError as error:
            self.parts.log.error("login not possible", reason=str(error))
            return self._deny(attempt, _UNAVAILABLE)

    def _judge(self, attempt: Attempt, match: Match) -> Verdict:
        account = self.parts.accounts.get(match.account)
        if account is None or not self._may_act_as(account, attempt.authorization):
            return self._deny(attempt, _WRONG)
        row = self._latest(match)
        scopes = row.scopes if row is not None else match.scopes
        if account.is_disabled:
            return self._deny(attempt, Denied(Why.DISABLED))
        if attempt.scope not in scopes:
            return self._deny(attempt, Denied(Why.SCOPE))
        self._note_use(account.id, row.id if row is not None else _NOBODY, attempt.place)
        self.parts.figures.accepted.inc()
        if row is None:
            login = Login(account.id, account.address, attempt.mechanism, 0, match.source, scopes)
        else:
            login = Login(
                account.id,
                account.address,
                attempt.mechanism,
                row.id,
                row.name,
                scopes,
                row.save_sent,
                row.deduplicates,
            )
        return Accepted(login)

    def _latest(self, match: Match) -> Credential | None:
        """The row as it is now: its scopes may have changed since the password was looked at."""
        if match.row is None:
            return None
        rows = self.parts.credentials.list_for(match.account)
        return next((row for row in rows if row.id == match.row.id), match.row)

    def _may_act_as(self, account: Account, authorization: str) -> bool:
        """Nobody acts for anybody else, but every name of an account is its own."""
        if not authorization:
            return True
        wanted = self.parts.accounts.find(authorization)
        return wanted is not None and wanted.id == account.id

    def _deny(self, attempt: Attempt, denied: Denied) -> Denied:
        self.parts.figures.denied.inc()
        self.parts.log.info(
            "login denied",
            peer=attempt.peer.label,
            login=attempt.username,
            mechanism=attempt.mechanism,
            reason=denied.why.value,
        )
        return denied

    async def _hold(self, attempt: Attempt, now: float) -> Denied:
        wait = self._by_account.wait_s(attempt.key, now) if attempt.username else 0.0
        if attempt.is_known_place:
            self._by_visitor.note_failure(attempt.visitor, now)
        if attempt.address:
            self._note_failure(attempt.address)
            wait = max(wait, self._by_address.wait_s(attempt.address, now))
        self._deny(attempt, _WRONG)
        wait = min(wait, self.settings.longest_hold_s)
        if self.parts.sources:
            wait = max(wait, attempt.began + self.settings.source_refusal_s - now)
        if wait > 0:
            await self.parts.pause(wait)
        return _WRONG

    # -- how fast somebody may guess

    def _is_full(self, attempt: Attempt) -> bool:
        limit = self.settings.max_waiting
        return len(self._running) >= (limit if attempt.is_known_place else limit // 2)

    def _table_of(self, key: str) -> Throttle:
        return self._by_account if key.startswith(("account ", "name ")) else self._by_address

    def _note_failure(self, key: str) -> None:
        self._table_of(key).note_failure(key, self.parts.clock.monotonic())
        self.parts.on_failure(key)

    def _begin_turn(self, attempt: Attempt) -> float:
        """How long to wait before looking at a try from a known place; `_end_turn` follows."""
        if not attempt.is_known_place:
            return 0.0
        wait = self._by_visitor.wait_s(attempt.visitor, self.parts.clock.monotonic())
        self._by_visitor.begin(attempt.visitor)
        return min(wait, self.settings.longest_hold_s)

    def _end_turn(self, attempt: Attempt) -> None:
        if attempt.is_known_place:
            self._by_visitor.end(attempt.visitor, self.parts.clock.monotonic())

    async def _take_turn(self, attempt: Attempt, wait_s: float) -> None:
        try:
            await self.parts.pause(wait_s)
        finally:
            self._end_turn(attempt)

    # -- places and uses

    def _is_known_place(self, account: AccountId, place: str) -> bool:
        last = self._places.get((account, place)) or self.parts.credentials.last_success(account, place)
        return last is not None and self.parts.clock.now() - last < self.settings.place_memory_s

    def _note_use(self, account: AccountId, credential: CredentialId, place: str) -> None:
        now, key = self.parts.clock.now(), (account, credential, place)
        if place:
            _put(self._places, (account, place), now, self.settings.max_remembered)
        last = self._noted.get(key)
        if last is not None and 0 <= now - last < self.settings.use_grain_s:
            return
        _put(self._noted, key, now, self.settings.max_remembered)
        self._uses[key] = now


K = TypeVar("K")


def _put(table: dict[K, Instant], key: K, now: Instant, most: int) -> None:
    table.pop(key, None)
    table[key] = now
    if len(table) > most:
        del table[next(iter(table))]


@lru_cache(maxsize=4096)
def place_of(address: str) -> str:
    """The /24 or /64 of a normalised address; "" stays ""."""
    if not address:
        return ""
    prefix = 64 if ":" in address else 24
    return str(ipaddress.ip_network(f"{address}/{prefix}", strict=False))
