"""PushSubscription/get and /set (RFC 8620 §7.2.1, §7.2.2). They have no account and no state.

    methods = PushMethods(push, settings).list_methods()     # one per worker, for the table of methods

A client sees the subscriptions that were made with its own credential. A new one is nothing until the client has
learned the code that is sent to its URL and has told it to us, so nobody can make us send to where he cannot read; how
often an account may have codes sent is bounded. What is told is durable; a code whose sending a crash prevented is not
sent again, and the client makes another subscription.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import msgspec

from posthouse.access.jmap.method import Call, Method, Methods
from posthouse.access.jmap.push_records import KIND, RECORD, KeptPush, read_push
from posthouse.message.mailbox import AccountId
from posthouse.ports.records import Record, RecordEdit, RecordId
from posthouse.ports.webpush import WebPush
from posthouse.protocol.jmap.arguments import Arguments, pick_properties, read_arguments
from posthouse.protocol.jmap.dates import read_utc_date, write_utc_date
from posthouse.protocol.jmap.errors import (
    ErrorType,
    MethodError,
    RecordRefused,
    SetError,
    SetErrorType,
    invalid_properties,
    refuse_record,
)
from posthouse.protocol.jmap.execution import Answer
from posthouse.protocol.jmap.ids import Id, resolve_id
from posthouse.protocol.jmap.json import JsonObject
from posthouse.protocol.jmap.limits import CORE, check_get_size, check_set_size
from posthouse.protocol.jmap.patches import apply_patch
from posthouse.protocol.jmap.push import PushSubscription, PushVerification, read_subscription

CODE_TTL_S = 3600
MAX_DEVICE = 255
MAX_TYPES = 50
_SECRET = ("url", "keys")
_CHANGEABLE = ("verificationCode", "expires", "types")
_HOUR_S = 3600.0
_MAX_ASKERS = 10_000


class PushGetArguments(Arguments):
    """RFC 8620 §7.2.1."""

    ids: list[str] | None = None
    properties: list[str] | None = None


class PushSetArguments(Arguments):
    """RFC 8620 §7.2.2."""

    create: dict[Id, JsonObject] | None = None
    update: dict[str, JsonObject] | None = None
    destroy: list[str] | None = None

    @property
    def size(self) -> int:
        return len(self.create or ()) + len(self.update or ()) + len(self.destroy or ())


class PushGetResponse(msgspec.Struct, rename="camel"):
    list: Sequence[JsonObject]
    not_found: Sequence[str]


class PushSetResponse(msgspec.Struct, rename="camel"):
    """None where there is nothing to tell."""

    created: dict[str, JsonObject] | None = None
    updated: dict[str, JsonObject | None] | None = None
    destroyed: list[str] | None = None
    not_created: dict[str, SetError] | None = None
    not_updated: dict[str, SetError] | None = None
    not_destroyed: dict[str, SetError] | None = None


@dataclass(frozen=True, slots=True)
class PushSettings:
    """`most`: subscriptions of one account; `codes_per_hour`: how many codes it may have sent."""

    most: int = 20
    expiry_s: float = 30 * 86400.0
    codes_per_hour: int = 60


@dataclass(slots=True)
class PushMethods:
    push: WebPush
    settings: PushSettings
    _asked: dict[AccountId, list[float]] = field(default_factory=dict)
    _sending: set[asyncio.Task[None]] = field(default_factory=set)

    def list_methods(self) -> Methods:
        return {"PushSubscription/get": Method(CORE, self.get), "PushSubscription/set": Method(CORE, self.set)}

    async def get(self, call: Call) -> Answer:
        arguments = read_arguments(PushGetArguments, call.arguments)
        if any(name in _SECRET for name in arguments.properties or ()):
            raise MethodError(ErrorType.FORBIDDEN, "url and keys are not shown")
        names = pick_properties(arguments.properties, RECORD.properties, RECORD.properties)
        known = await find_own(call)
        wanted = list(known) if arguments.ids is None else arguments.ids
        check_get_size(len(wanted), call.parts.limits)
        named = {text: resolve_id(text, call.created) for text in wanted}
        shown = [known[name][1].show(known[name][0].id) for name in dict.fromkeys(named.values()) if name in known]
        return PushGetResponse(
            [{name: each[name] for name in names} for each in shown],
            [text for text, name in named.items() if name not in known],
        )

    async def set(self, call: Call) -> Answer:
        arguments = read_arguments(PushSetArguments, call.arguments)
        check_set_size(arguments.size, call.parts.limits)
        response = PushSetResponse()
        await self._create_all(call, arguments, response)
        await self._update_all(call, arguments, response)
        await self._destroy_all(call, arguments, response)
        return response

    async def _create_all(self, call: Call, arguments: PushSetArguments, response: PushSetResponse) -> None:
        for creation, members in (arguments.create or {}).items():
            try:
                made = await self._create(call, creation, members)
                response.created = {**(response.created or {}), creation: made}
            except RecordRefused as refused:
                response.not_created = {**(response.not_created or {}), creation: refused.error}

    async def _update_all(self, call: Call, arguments: PushSetArguments, response: PushSetResponse) -> None:
        going = set(map(partial(_resolve, call), arguments.destroy or ()))
        for text, patch in (arguments.update or {}).items():
            name = _resolve(call, text)
            try:
                record, kept = await _find(call, name)
                if name in going:
                    raise refuse_record(SetErrorType.WILL_DESTROY)
                told = await self._update(call, record, kept, patch)
                response.updated = {**(response.updated or {}), name: told}
            except RecordRefused as refused:
                response.not_updated = {**(response.not_updated or {}), name: refused.error}

    async def _destroy_all(self, call: Call, arguments: PushSetArguments, response: PushSetResponse) -> None:
        for text in arguments.destroy or ():
            name = _resolve(call, text)
            try:
                record, _ = await _find(call, name)
                await call.parts.records.edit(call.owner, KIND, [RecordEdit(None, record.id)])
                response.destroyed = [*(response.destroyed or ()), name]
            except RecordRefused as refused:
                response.not_destroyed = {**(response.not_destroyed or {}), name: refused.error}

    # -- new ones

    async def _create(self, call: Call, creation: str, members: JsonObject) -> JsonObject:
        """Raises RecordRefused."""
        kept = self._read(call, read_subscription(members))
        lying = await call.parts.records.list_all(call.owner, KIND)
        if len(lying) >= self.settings.most:
            raise refuse_record(SetErrorType.OVER_QUOTA, f"An account has at most {self.settings.most}")
        self._count_code(call.owner, call.parts.clock.monotonic())
        [record] = await call.parts.records.edit(call.owner, KIND, [kept.as_edit()])
        assert record is not None
        name = call.created[creation] = RECORD.name(record.id)
        self._send_code(kept, name)
        made: JsonObject = {"id": name, "expires": write_utc_date(kept.expires), "verificationCode": None}
        return made if "types" in members else {**made, "types": None}

    def _read(self, call: Call, given: PushSubscription) -> KeptPush:
        """Raises RecordRefused."""
        if len(given.device_client_id) > MAX_DEVICE:
            raise invalid_properties(["deviceClientId"])
        kept = KeptPush(
            credential=call.login.credential,
            device=given.device_client_id,
            url=given.url,
            code=call.parts.make_token(),
            expires=self._read_expires(call, given.expires),
            p256dh=given.keys.p256dh if given.keys is not None else "",
            auth=given.keys.auth if given.keys is not None else "",
            types=_read_types(given.types),
        )
        problem = self.push.check_url(kept.url)
        if problem:
            raise invalid_properties(["url"], problem)
        problem = self.push.check(kept.target)
        if problem:
            raise invalid_properties(["keys"], problem)
        return kept

    def _read_expires(self, call: Call, text: object) -> float:
        """As late as asked for, but no later than we have it (RFC 8620 §7.2.2). Raises RecordRefused."""
        latest = float(int(call.parts.clock.now() + self.settings.expiry_s))
        if text is None:
            return latest
        wanted = read_utc_date(text) if isinstance(text, str) else None
        if wanted is None:
            raise invalid_properties(["expires"], "It is a UTCDate")
        return min(wanted, latest)

    def _count_code(self, account: AccountId, now: float) -> None:
        """Raises RecordRefused."""
        recent = [moment for moment in self._asked.pop(account, ()) if moment > now - _HOUR_S]
        is_refused = len(recent) >= self.settings.codes_per_hour
        self._asked[account] = recent if is_refused else [*recent, now]
        if len(self._asked) > _MAX_ASKERS:
            del self._asked[next(iter(self._asked))]
        if is_refused:
            raise refuse_record(SetErrorType.RATE_LIMIT, "Too many new subscriptions in an hour")

    def _send_code(self, kept: KeptPush, name: str) -> None:
        """Beside the answer, which does not wait for a push service."""
        octets = PushVerification(name, kept.code).as_json()
        task = asyncio.get_running_loop().create_task(self._deliver(kept, octets))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _deliver(self, kept: KeptPush, octets: bytes) -> None:
        await self.push.send(kept.target, octets, CODE_TTL_S)

    async def close(self) -> None:
        for task in list(self._sending):
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)

    # -- those that are there

    async def _update(self, call: Call, record: Record, kept: KeptPush, patch: JsonObject) -> JsonObject | None:
        """What is not as the client said. Raises RecordRefused."""
        shown = kept.show(record.id)
        changed = apply_patch(shown, patch, dict.fromkeys(_CHANGEABLE))
        wrong = [name for name in changed.keys() | shown.keys() if name not in _CHANGEABLE]
        wrong = sorted(name for name in wrong if changed.get(name) != shown.get(name))
        if wrong:
            raise invalid_properties(wrong, "It cannot be changed")
        code = changed["verificationCode"]
        if code is not None and code != kept.code:
            raise invalid_properties(["verificationCode"], "That is not the code that was sent")
        is_renewed = changed["expires"] != shown["expires"]
        renewed = msgspec.structs.replace(
            kept,
            is_verified=code is not None,
            expires=self._read_expires(call, changed["expires"]) if is_renewed else kept.expires,
            types=_read_types(changed["types"]),
        )
        if renewed != kept:
            await call.parts.records.edit(call.owner, KIND, [renewed.as_edit(record.id)])
        told = write_utc_date(renewed.expires)
        return {"expires": told} if told != changed["expires"] else None


async def find_own(call: Call) -> dict[str, tuple[Record, KeptPush]]:
    """By id; those that are over are gone."""
    found: dict[str, tuple[Record, KeptPush]] = {}
    over: list[RecordId] = []
    for record in await call.parts.records.list_all(call.owner, KIND):
        kept = read_push(record)
        if kept.expires <= call.parts.clock.now():
            over.append(record.id)
        elif kept.credential == call.login.credential:
            found[RECORD.name(record.id)] = (record, kept)
    if over:
        await call.parts.records.edit(call.owner, KIND, [RecordEdit(None, number) for number in over])
    return found


def _resolve(call: Call, text: str) -> str:
    """An id; of what was not created that text itself, which is none."""
    return resolve_id(text, call.created) or text


async def _find(call: Call, name: str) -> tuple[Record, KeptPush]:
    """Raises RecordRefused."""
    found = (await find_own(call)).get(name)
    if found is None:
        raise refuse_record(SetErrorType.NOT_FOUND)
    return found


def _read_types(value: object) -> tuple[str, ...] | None:
    """Raises RecordRefused. Types that we do not have are kept: nothing of them will be told."""
    if value is None:
        return None
    names = value if isinstance(value, list | tuple) and len(value) <= MAX_TYPES else [None]
    if not all(isinstance(name, str) for name in names):
        raise invalid_properties(["types"], "It is a list of names of types, or null")
    return tuple(map(str, names))
