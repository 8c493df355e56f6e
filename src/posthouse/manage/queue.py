"""What an administrator may do with the queue: list, show, count, hold, release, retry, delete, bounce.

Written once over the shards a process owns: a worker runs it for its shards behind the control socket, the command
line runs it for all of them when no server is running. Answers are plain values with the names of the queue
listing. Each change is durable before it is reported; what a worker has in memory is told right after
(`ActiveSet`), so that a crash in between is the same as an attempt that was under way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from posthouse.message.address import AddressError, parse_address, parse_domain
from posthouse.message.ids import QueueId, make_queue_id, split_queue_id
from posthouse.message.instant import Instant, format_rfc3339
from posthouse.ports.spool import Action, QueuedMessage, QueuedRecipient, Selection, Settlement, Spool, Status

PAGE = 500
STATUSES = ("ready", "active", "deferred", "held", "delivered", "relayed", "failed", "expired")
BOUNCE = "bounce"
ACTIONS = (*(action.value for action in Action), BOUNCE)

Plain = dict[str, object]
MakeBounce = Callable[[Spool, QueuedMessage, Instant], Awaitable[Settlement]]
"""Fails every recipient that is not final and makes the reports; given by who knows how reports are written."""


Tried = Mapping[QueueId, Collection[int]]
"""Recipients (their `number`) whose delivery is being attempted now, by message."""


class ActiveSet(Protocol):
    """The messages that this process has in memory for delivery."""

    def list_tried(self) -> Tried:
        """What connections have in hand at this moment."""

    def withdraw(self, ids: Collection[QueueId]) -> None:
        """They were held, deleted or bounced: drop them. A delivery in flight ends; only a success still counts."""

    def wake(self, ids: Collection[QueueId]) -> None:
        """They are due now."""


class NothingActive:
    """The `ActiveSet` of a server that does not run."""

    def list_tried(self) -> Tried:
        return {}

    def withdraw(self, ids: Collection[QueueId]) -> None:
        return None

    def wake(self, ids: Collection[QueueId]) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Query:
    """Which messages, how many, and behind which id to go on."""

    selection: Selection
    limit: int = PAGE
    after: QueueId | None = None


def parse_query(args: Mapping[str, object]) -> Query:
    """`{"ids", "domain", "sender", "status", "limit", "after"}`, each optional. Raises ValueError for people."""
    ids = args.get("ids")
    status = args.get("status")
    limit = args.get("limit") or PAGE
    after = args.get("after")
    if ids is not None and not isinstance(ids, list | tuple):
        raise ValueError("ids must be a list")
    if status is not None and status not in STATUSES:
        raise ValueError(f"{status!r} is no status; allowed: {', '.join(STATUSES)}")
    if not isinstance(limit, int) or limit < 1:
        raise ValueError("limit must be a number above 0")
    selection = Selection(
        ids=None if ids is None else frozenset(parse_queue_id(str(each)) for each in ids),
        domain=_parse_domain(args.get("domain")),
        sender=_parse_sender(args.get("sender")),
        status=None if status is None else str(status),
    )
    return Query(selection, limit, None if after is None else parse_queue_id(str(after)))


def parse_queue_id(text: str) -> QueueId:
    """The id in its usual spelling. Raises ValueError."""
    return make_queue_id(*split_queue_id(text.strip()))


def _parse_domain(text: object) -> str | None:
    if text is None:
        return None
    try:
        return parse_domain(str(text))
    except AddressError as error:
        raise ValueError(f"{text!r}: {error}") from None


def _parse_sender(text: object) -> str | None:
    """`<>` and the empty text are the empty sender."""
    if text is None:
        return None
    if text in ("", "<>"):
        return ""
    try:
        return str(parse_address(str(text)))
    except AddressError as error:
        raise ValueError(f"{text!r}: {error}") from None


def describe_message(message: QueuedMessage, tried: Tried) -> Plain:
    """One object of the queue listing."""
    numbers = tried.get(message.id, ())
    return {
        "id": message.id,
        "sender": str(message.envelope.sender or ""),
        "recipients": [_describe_recipient(one, one.number in numbers) for one in message.recipients],
        "size": message.size,
        "arrived": format_rfc3339(message.arrived),
        "held": any(recipient.status is Status.HELD for recipient in message.recipients),
    }


def _describe_recipient(recipient: QueuedRecipient, is_active: bool) -> Plain:
    return {
        "address": str(recipient.recipient.address),
        "status": name_status(recipient, is_active),
        "attempts": recipient.attempts,
        "next_attempt": None if recipient.next_attempt is None else format_rfc3339(recipient.next_attempt),
        "last_reply": None if recipient.last_reply is None else str(recipient.last_reply),
        "next_hop": recipient.next_hop or None,
    }


def name_status(recipient: QueuedRecipient, is_active: bool) -> str:
    """The word of the queue listing: what waits is active while it is tried, else deferred or never tried yet."""
    if recipient.status is not Status.WAITING:
        return recipient.status.value
    if is_active:
        return "active"
    return "deferred" if recipient.attempts else "ready"


def explain_message(message: QueuedMessage, tried: Tried) -> Plain:
    """`queue show`: the listing's object and what else the envelope says."""
    envelope = message.envelope
    return describe_message(message, tried) | {
        "message_id": message.message_id or None,
        "source": message.source or None,
        "is_report": message.is_report,
        "crashes": message.crashes,
        "body": envelope.body.value,
        "smtputf8": envelope.smtputf8,
        "ret": envelope.ret.value if envelope.ret else None,
        "envid": envelope.envid,
        "remotes": {str(r.recipient.address): r.last_remote for r in message.recipients if r.last_remote},
    }


async def list_page(spools: Sequence[Spool], active: ActiveSet, query: Query) -> list[Plain]:
    """Up to `query.limit` objects in the order of ids, starting behind `query.after`. Go on behind the last id."""
    page: list[Plain] = []
    async for message in _find_messages(spools, active, query.selection, query.after):
        page.append(describe_message(message, active.list_tried()))
        if len(page) >= query.limit:
            break
    return page


async def show_message(spools: Sequence[Spool], active: ActiveSet, queue_id: QueueId) -> Plain | None:
    """None: not in these shards."""
    shard, _ = split_queue_id(queue_id)
    for spool in spools:
        if spool.shard == shard:
            message = await spool.load(queue_id)
            return None if message is None else explain_message(message, active.list_tried())
    return None


async def _find_messages(
    spools: Sequence[Spool], active: ActiveSet, selection: Selection, after: QueueId | None
) -> AsyncIterator[QueuedMessage]:
    """What memory knows better than the disk (active or not) is decided here, the rest by the shards."""
    status = selection.status
    if status == "active":
        ids = frozenset(active.list_tried())
        selection = replace(selection, ids=ids if selection.ids is None else ids & selection.ids, status=None)
    first = -1 if after is None else split_queue_id(after)[0]
    for spool in sorted(spools, key=lambda each: each.shard):
        if spool.shard < first:
            continue
        behind = after if spool.shard == first else None
        while page := await spool.find(selection, PAGE, behind):
            for message in page:
                if status is None or _has_status(message, active, status):
                    yield message
            behind = page[-1].id
            if len(page) < PAGE:
                break


async def find_submitted(spools: Sequence[Spool], active: ActiveSet, selection: Selection) -> list[QueuedMessage]:
    """What users submitted, of the messages selected."""
    return [
        message async for message in _find_messages(spools, active, selection, None) if message.submission is not None
    ]


def _has_status(message: QueuedMessage, active: ActiveSet, status: str) -> bool:
    numbers = active.list_tried().get(message.id, ())
    return any(name_status(one, one.number in numbers) == status for one in message.recipients)


async def find_known(spools: Sequence[Spool], ids: Collection[QueueId]) -> list[QueueId]:
    """Those of these messages that are here. Raises SpoolError."""
    wanted = sorted(ids)
    known: list[QueueId] = []
    for spool in spools:
        mine = [queue_id for queue_id in wanted if split_queue_id(queue_id)[0] == spool.shard]
        for start in range(0, len(mine), PAGE):
            part = frozenset(mine[start : start + PAGE])
            known += [message.id for message in await spool.find(Selection(ids=part), PAGE)]
    return known


async def change_messages(
    spools: Sequence[Spool], active: ActiveSet, selection: Selection, action: str, now: Instant
) -> list[QueueId]:
    """Hold, release, retry or delete: which messages were changed. Raises ValueError for another action, SpoolError."""
    what = _parse_action(action)
    changed: list[QueueId] = []
    for spool in spools:
        for part in await _resolve(spool, active, selection):
            ids = await spool.change(part, what, now)
            if what in (Action.HOLD, Action.DELETE):
                active.withdraw(ids)
            else:
                active.wake(ids)
            changed.extend(ids)
    return changed


def _parse_action(action: str) -> Action:
    try:
        return Action(action)
    except ValueError:
        raise ValueError(f"{action!r} is no action; allowed: {', '.join(ACTIONS)}") from None


async def _resolve(spool: Spool, active: ActiveSet, selection: Selection) -> list[Selection]:
    """The selection as the shard understands it: a status that memory has a say in becomes a list of ids."""
    if selection.status not in ("active", "ready", "deferred"):
        return [selection]
    ids = [message.id async for message in _find_messages([spool], active, selection, None)]
    return [Selection(ids=frozenset(ids[start : start + PAGE])) for start in range(0, len(ids), PAGE)]


async def bounce_messages(
    spools: Sequence[Spool], active: ActiveSet, selection: Selection, now: Instant, make_bounce: MakeBounce
) -> list[Settlement]:
    """Give messages back: what became of each, reports included. Raises SpoolError."""
    bounced: list[Settlement] = []
    for spool in spools:
        # The ids first: what is being settled would otherwise move under the search (reports are messages too).
        ids = [message.id async for message in _find_messages([spool], active, selection, None)]
        for start in range(0, len(ids), PAGE):
            bounced += await _bounce_some(spool, active, ids[start : start + PAGE], now, make_bounce)
    return bounced


async def _bounce_some(
    spool: Spool, active: ActiveSet, ids: Sequence[QueueId], now: Instant, make_bounce: MakeBounce
) -> list[Settlement]:
    active.withdraw(ids)
    messages = [message for queue_id in ids if (message := await spool.load(queue_id)) is not None]
    open_ones = [message for message in messages if any(not each.status.is_final for each in message.recipients)]
    settlements = [await make_bounce(spool, message, now) for message in open_ones]
    reports = [report for settlement in settlements for report in settlement.reports]
    for report in reports:
        report.first_retry = now  # due at once: whoever claims what is due takes it
    await asyncio.gather(*(spool.settle(settlement) for settlement in settlements))
    active.wake([report.id for report in reports])
    return settlements


async def count_queue(spools: Sequence[Spool], active: ActiveSet) -> Plain:
    """`queue stats` of these shards. `oldest` is an Instant; `active` counts messages, the rest recipients."""
    total: Plain = {"messages": 0, "size": 0, "active": len(active.list_tried()), "states": {}, "next_hops": {}}
    for spool in spools:
        stats = await spool.stats()
        oldest = {} if stats.oldest is None else {"oldest": stats.oldest}
        total = add_counts(
            total,
            {
                "messages": stats.messages,
                "size": stats.octets,
                "states": stats.by_state,
                "next_hops": stats.by_next_hop,
                **oldest,
            },
        )
    return total


def add_counts(one: Plain, other: Mapping[str, object]) -> Plain:
    """Numbers and tables are added; of `oldest` the least counts."""
    return {**one, **{name: _add(name, one.get(name), value) for name, value in other.items()}}


def _add(name: str, one: object, other: object) -> object:
    if isinstance(one, dict) and isinstance(other, dict):
        return {**one, **{key: one.get(key, 0) + value for key, value in other.items()}}
    if isinstance(one, int | float) and isinstance(other, int | float):
        return min(one, other) if name == "oldest" else one + other
    return other if one is None else one
