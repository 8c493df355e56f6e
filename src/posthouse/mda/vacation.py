"""Vacation answers: somebody who is away has his mail answered, once per sender (RFC 8621 §8, RFC 3834).

Looked at behind delivery: the message lies in the account already, and nothing that happens here changes its outcome.
Who is away is asked every few seconds; for everybody else a message costs a look into a set. Who is to be answered is
message/answering.py's business; here are the rules about the account:

- it is switched on, and now lies between its dates;
- the message names an address of the account as a recipient, and does not come from one;
- that sender has not had this answer within the interval. The claim is durable before the answer is queued: killed in
  between, the sender gets none. Another text is another answer.

The answer goes through the queue from the empty sender, asking for no reports (RFC 3834 §3.3): if it fails, it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Protocol

from posthouse.mda.filing import Parcel
from posthouse.message.address import Address, fold_local
from posthouse.message.answering import (
    MAX_HEAD,
    Answer,
    Answered,
    compose_answer,
    find_reason,
    is_program,
    list_named,
)
from posthouse.message.envelope import Envelope, Notify, Recipient
from posthouse.message.instant import Instant
from posthouse.message.mailbox import AccountId
from posthouse.ports.answered import Answered as Memory
from posthouse.ports.clock import Clock
from posthouse.ports.directory import Account, Accounts, DirectoryError
from posthouse.ports.observe import Log
from posthouse.ports.records import VACATION_KIND, Records, Value
from posthouse.ports.spool import SpoolError
from posthouse.ports.store import StoreError, StoreRefusal

REFRESH_S = 5.0
INTERVAL_S = 7 * 86_400.0
_MAX_AT_ONCE = 100
_DIGEST_OCTETS = 16


class Outgoing(Protocol):
    async def queue(self, envelope: Envelope, octets: bytes) -> str:
        """On disk when it returns; its queue id. Raises SpoolError, DirectoryError."""


@dataclass(frozen=True, slots=True)
class VacationParts:
    """`make_token` gives unguessable letters and digits. `interval_s`: for which one sender gets one answer."""

    records: Records
    memory: Memory
    accounts: Accounts
    outgoing: Outgoing
    clock: Clock
    log: Log
    make_token: Callable[[], str]
    hostname: str
    interval_s: float = INTERVAL_S


class Vacation:
    """One per worker."""

    def __init__(self, parts: VacationParts) -> None:
        self._parts = parts
        self._away: set[AccountId] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def refresh(self) -> None:
        """Every REFRESH_S: who may be away."""
        try:
            self._away = await self._parts.records.accounts_with(VACATION_KIND)
        except StoreError as error:
            self._parts.log.warning("who is away cannot be read", error=str(error))

    def note(self, parcel: Parcel) -> None:
        """It has been delivered. Beyond a number at once nobody is answered: it can only be a flood."""
        if parcel.box.account not in self._away or parcel.message.envelope.sender is None:
            return
        if len(self._tasks) >= _MAX_AT_ONCE:
            self._parts.log.warning("too many vacation answers at once", account=parcel.box.account)
            return
        task = asyncio.get_running_loop().create_task(self._consider(parcel))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settle_down(self) -> None:
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _consider(self, parcel: Parcel) -> None:
        parts, account = self._parts, parcel.box.account
        try:
            await self._answer(parcel)
        except (StoreError, StoreRefusal, SpoolError, DirectoryError) as error:
            parts.log.warning("vacation answer not sent", id=parcel.message.id, account=account, error=repr(error))
        except Exception as error:  # noqa: BLE001 - a defect here must not be lost in a task
            parts.log.error("vacation answer failed", id=parcel.message.id, account=account, error=repr(error))

    async def _answer(self, parcel: Parcel) -> None:
        parts, sender = self._parts, parcel.message.envelope.sender
        account = parts.accounts.get(parcel.box.account)
        if sender is None or account is None or account.is_disabled:
            return
        response = await self._find_response(account.id)
        if response is None:  # not asked again before the next refresh
            self._away.discard(account.id)
            return
        own = await self._find_own_address(parcel, account, sender)
        if own is None:
            return
        now = parts.clock.now()
        key = _make_key(sender, response)
        if not await parts.memory.claim(account.id, key, now, now + parts.interval_s):
            return
        try:
            queued = await self._send(parcel, own, sender, response)
        except BaseException:
            await parts.memory.release(account.id, key)
            raise
        parts.log.info("vacation answer", id=parcel.message.id, account=account.id, queued=queued)

    async def _find_response(self, account: AccountId) -> Value | None:
        """None: nobody is away now."""
        found = await self._parts.records.list_all(account, VACATION_KIND)
        value = found[0].value if found else {}
        now = self._parts.clock.now()
        since, until = (_read_time(value.get(name)) for name in ("fromDate", "toDate"))
        is_on = value.get("isEnabled") is True
        return value if is_on and (since is None or since <= now) and (until is None or now < until) else None

    async def _find_own_address(self, parcel: Parcel, account: Account, sender: Address) -> Address | None:
        """The address that the message names; None: nobody is to be answered."""
        accounts = self._parts.accounts
        if is_program(sender) or accounts.may_send_as(account.id, sender):
            return None
        body = parcel.message.body
        head = body.inline[:MAX_HEAD] if body.inline is not None else await body.read(0, MAX_HEAD)
        if find_reason(head):
            return None
        return next((named for named in list_named(head) if accounts.may_send_as(account.id, named)), None)

    async def _send(self, parcel: Parcel, own: Address, sender: Address, response: Value) -> str:
        parts, parsed = self._parts, parcel.parsed
        account = parts.accounts.get(parcel.box.account)
        answer = Answer(
            sender=own,
            sender_name=account.display_name if account is not None else "",
            to=sender,
            subject=_read_text(response, "subject"),
            text=_read_text(response, "textBody"),
            html=_read_text(response, "htmlBody"),
            token=parts.make_token(),
            hostname=parts.hostname,
        )
        about = Answered(parsed.message_id, parsed.references, parsed.subject)
        octets = compose_answer(answer, about, Instant(parts.clock.now()))
        utf8 = own.needs_smtputf8 or sender.needs_smtputf8
        return await parts.outgoing.queue(Envelope(None, (Recipient(sender, Notify.NEVER),), smtputf8=utf8), octets)


def _read_text(response: Value, name: str) -> str:
    value = response.get(name)
    return value if isinstance(value, str) else ""


def _read_time(value: object) -> float | None:
    """A UTCDate; None: there is none."""
    with contextlib.suppress(ValueError):
        return datetime.fromisoformat(value).timestamp() if isinstance(value, str) else None
    return None


def _make_key(sender: Address, response: Value) -> bytes:
    """Who gets it, and what: as RFC 5230 §4.2 has it without a handle."""
    said = [str(response.get(name)) for name in ("fromDate", "subject", "textBody", "htmlBody")]
    text = "\0".join([fold_local(sender.local), sender.ascii_domain, *said])
    return blake2b(text.encode("utf-8", "replace"), digest_size=_DIGEST_OCTETS).digest()
