"""The queue operations by the names of the control socket, with plain arguments and plain answers.

A worker registers these for its shards; without a server the command line calls the very same functions.

    queue.list {ids, domain, sender, status, limit, after}   {"items": [...], "more": bool}
    queue.show {id}                                          the object, or None when it is not here
    queue.stats {}                                           counts (`count_queue`) and messages per second
    queue.change {action, ids | domain | sender | all}       {"changed": how many, "known": those of ids that are here}
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from posthouse.manage.queue import (
    BOUNCE,
    ActiveSet,
    MakeBounce,
    Plain,
    bounce_messages,
    change_messages,
    count_queue,
    find_known,
    find_submitted,
    list_page,
    parse_query,
    parse_queue_id,
    show_message,
)
from posthouse.message.ids import QueueId
from posthouse.ports.clock import Clock
from posthouse.ports.observe import Journal
from posthouse.ports.spool import QueuedMessage, Selection, Settlement, Spool

Arguments = Mapping[str, object]
Rates = Callable[[], tuple[float, float]]
"""Messages per second in and out."""


class GivenUp(Protocol):
    """The store's side of mail that users submitted (msa/handover.py)."""

    async def give_up(self, messages: Sequence[QueuedMessage], why: str) -> None: ...


STEPS = {"hold": "held", "release": "released", "retry": "retried", "delete": "deleted"}


@dataclass(frozen=True, slots=True)
class QueueOperations:
    """`spools` gives the shards owned now. Arguments that make no sense raise ValueError with words for people."""

    spools: Callable[[], Sequence[Spool]]
    active: ActiveSet
    clock: Clock
    make_bounce: MakeBounce
    rates: Rates = lambda: (0.0, 0.0)
    journal: Journal | None = None
    submitted: GivenUp | None = None

    def handlers(self) -> dict[str, Callable[[Arguments], Awaitable[object]]]:
        return {
            "queue.list": self.list_messages,
            "queue.show": self.show,
            "queue.stats": self.count,
            "queue.change": self.change,
        }

    async def list_messages(self, args: Arguments) -> Plain:
        query = parse_query(args)
        items = await list_page(self.spools(), self.active, query)
        return {"items": items, "more": len(items) >= query.limit}

    async def show(self, args: Arguments) -> Plain | None:
        return await show_message(self.spools(), self.active, parse_queue_id(str(args.get("id", ""))))

    async def count(self, _: Arguments) -> Plain:
        into, out = self.rates()
        return {**await count_queue(self.spools(), self.active), "in_per_second": into, "out_per_second": out}

    async def change(self, args: Arguments) -> Plain:
        """Nothing selected is a mistake, not everything: `all` must be said."""
        query = parse_query({name: args[name] for name in ("ids", "domain", "sender", "status") if name in args})
        if args.get("all") is not True and query.selection == Selection():
            raise ValueError("say which messages: ids, domain, sender or all")
        known = await find_known(self.spools(), query.selection.ids or ())
        return {"changed": await self._change(str(args.get("action")), query.selection), "known": known}

    async def _change(self, action: str, selection: Selection) -> int:
        """Of submitted mail that leaves, the account's store hears too."""
        if self.submitted is None or action not in (BOUNCE, "delete"):
            return await self._change_rows(action, selection)
        found = await find_submitted(self.spools(), self.active, selection)
        changed = await self._change_rows(action, selection)
        gone = [message for message in found if await self._is_gone(message.id)]
        await self.submitted.give_up(gone, "The administrator of this server has stopped the delivery")
        return changed

    async def _is_gone(self, queue_id: QueueId) -> bool:
        return await show_message(self.spools(), self.active, queue_id) is None

    async def _change_rows(self, action: str, selection: Selection) -> int:
        now, spools = self.clock.now(), self.spools()
        if action == BOUNCE:
            settled = await bounce_messages(spools, self.active, selection, now, self.make_bounce)
            for settlement in settled:
                self._note_bounced(settlement)
            return len(settled)
        ids = await change_messages(spools, self.active, selection, action, now)
        for queue_id in ids:
            self._record(STEPS[action], queue_id)
        return len(ids)

    def _note_bounced(self, settlement: Settlement) -> None:
        """With the ids of the reports, so that `trace` can follow them."""
        self._record("bounced", settlement.id, reports=[report.id for report in settlement.reports])
        for report in settlement.reports:
            to = [str(recipient.address) for recipient in report.envelope.recipients]
            self._record(
                "received",
                report.id,
                sender="",
                recipients=to,
                size=report.body.size,
                peer="report",
                message_id=report.message_id,
                about=settlement.id,
            )

    def _record(self, step: str, queue_id: QueueId, **fields: object) -> None:
        if self.journal is not None:
            self.journal.record(step, queue_id, **fields)


def add_changes(args: Arguments, answers: Sequence[object]) -> Plain:
    """What `queue.change` came to over all shards: {"changed", "unknown"}; `unknown` are ids that nobody has."""
    told = [answer for answer in answers if isinstance(answer, dict)]
    asked = args.get("ids")
    known = {str(queue_id) for answer in told for queue_id in answer["known"]}
    ids = [str(parse_queue_id(str(each))) for each in asked] if isinstance(asked, list | tuple) else []
    return {
        "changed": sum(answer["changed"] for answer in told),
        "unknown": [each for each in ids if each not in known],
    }
