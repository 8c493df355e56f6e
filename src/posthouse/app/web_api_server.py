"""Administration by the HTTP API, of what the server has in hand: queue, trace, sessions, figures.

Questions to the whole server go to the coordinator (app/coordinator_web.py), which asks all workers; arguments are
checked here first. Without a coordinator the answer is 503. The journal's index is brought up to date before a trace,
by one question at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

import msgspec

from posthouse.app.web_api_desk import ApiDesk
from posthouse.app.web_api_session import Short, read_number
from posthouse.app.web_api_table import Access, ApiCall, Endpoint, Parameter, not_found
from posthouse.manage.queue import STATUSES, parse_query, parse_queue_id
from posthouse.manage.trace import Story, describe, to_plain, trace
from posthouse.manage.web_queue import explain_item
from posthouse.message.instant import Instant, format_rfc3339
from posthouse.ports.history import History
from posthouse.ports.web_sessions import WebSession, WebSessionId
from posthouse.serve.http_messages import refuse

Plain = dict[str, object]
Look = Callable[[Callable[[History], list[Story]]], list[Story]]
"""Lends the journal's index, brought up to date, to a question. Blocks. Raises OSError."""

MAX_PAGE = 1000
_PAGE = 200
_TIMEOUT_S = 25.0
_MAX_STORIES = 100
_WEB = "web-"
_ACTIONS = {
    "hold": "Hold messages: they stay, and are not tried.",
    "release": "Let held messages go on.",
    "retry": "Try them now.",
    "delete": "Remove them. Nobody is told.",
    "bounce": "Give them back to their senders.",
}


class QueueRecipient(msgspec.Struct, frozen=True):
    address: str
    status: str
    attempts: int
    next_attempt: str | None
    last_reply: str | None
    next_hop: str | None
    reason: str
    reasonCode: str  # noqa: N815 - a name of the interface


class QueueItem(msgspec.Struct, frozen=True):
    id: str
    sender: str
    recipients: list[QueueRecipient]
    size: int
    arrived: str
    held: bool


class QueuePage(msgspec.Struct, frozen=True):
    """`unanswered` names workers whose part is missing, "" when it is complete."""

    items: list[QueueItem]
    more: bool
    unanswered: str


class QueueSelection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which messages: all of these must fit. Nothing given is a mistake, unless `all` is true."""

    ids: list[Short] | None = None
    domain: Short | None = None
    sender: Short | None = None
    status: Short | None = None
    all: bool = False


class QueueChanged(msgspec.Struct, frozen=True):
    changed: int
    unknown: list[str]
    unanswered: list[str]


class TraceStory(msgspec.Struct, frozen=True):
    """`records` as `posthouse trace --json` prints them, with `words` and `details` for people."""

    id: str
    began: str
    records: list[dict[str, object]]


class SessionItem(msgspec.Struct, frozen=True):
    id: str
    service: str
    peer: str
    name: str | None
    login: str | None
    doing: str | None
    tls: str | None
    since: str


class SessionPage(msgspec.Struct, frozen=True):
    items: list[SessionItem]
    unanswered: str


class DeliveryTimes(msgspec.Struct, frozen=True):
    """Seconds; null when nothing was delivered."""

    p50: float | None
    p90: float | None
    p99: float | None


class Minute(msgspec.Struct, frozen=True, rename="camel"):
    at: str
    received: float
    submitted: float
    relayed: float
    delivered: float
    deferred: float
    failed: float
    rejected: float
    queue: dict[str, float]
    delivery_times: DeliveryTimes


class FiguresShown(msgspec.Struct, frozen=True):
    """`now`: counters since the start, rates per second over the last minute, the queue by state, and gauges."""

    at: str
    now: dict[str, object]
    minutes: list[Minute]


@dataclass(slots=True)
class ServerApi:
    desk: ApiDesk
    look: Look
    _looking: asyncio.Lock = field(init=False, default_factory=asyncio.Lock)

    def endpoints(self) -> list[Endpoint]:
        return [*self._queue_endpoints(), *self._other_endpoints()]

    def _queue_endpoints(self) -> list[Endpoint]:
        base = "/api/admin/queue"
        changes = [
            Endpoint(
                "POST",
                f"{base}/{action}",
                about,
                self._make_change(action),
                Access.ADMIN,
                takes=QueueSelection,
                gives=QueueChanged,
                statuses=(503,),
            )
            for action, about in _ACTIONS.items()
        ]
        return [
            Endpoint(
                "GET",
                base,
                "Messages in the queue, with the reason why each recipient waits.",
                self.list_queue,
                Access.ADMIN,
                gives=QueuePage,
                query=(
                    Parameter("domain", "Only with recipients of this domain."),
                    Parameter("sender", "Only from this sender; <> is the empty one."),
                    Parameter("status", "Only with recipients of this status.", allowed=STATUSES),
                    Parameter("after", "The last id of the page before."),
                    Parameter("limit", f"At most so many, up to {MAX_PAGE}."),
                ),
                statuses=(503,),
            ),
            *changes,
            Endpoint(
                "GET",
                f"{base}/{{id}}",
                "One message, with all that is known of it.",
                self.show_message,
                Access.ADMIN,
                gives=QueueItem,
                statuses=(404, 503),
            ),
        ]

    def _other_endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                "GET",
                "/api/admin/trace",
                "What happened to messages, by Message-ID, queue id or address; the oldest first.",
                self.trace,
                Access.ADMIN,
                gives=list[TraceStory],
                query=(
                    Parameter("q", "What to look for.", is_required=True),
                    Parameter("limit", f"The latest so many, up to {_MAX_STORIES}."),
                ),
                statuses=(503,),
            ),
            Endpoint(
                "GET",
                "/api/admin/sessions",
                "Who is connected, and who is signed in at the page.",
                self.list_sessions,
                Access.ADMIN,
                gives=SessionPage,
                statuses=(503,),
            ),
            Endpoint(
                "DELETE",
                "/api/admin/sessions/{id}",
                "End a session.",
                self.end_session,
                Access.ADMIN,
                statuses=(404, 503),
            ),
            Endpoint(
                "GET",
                "/api/admin/figures",
                "Counters of the whole server now, and minute by minute over the last hour.",
                self.show_figures,
                Access.ADMIN,
                gives=FiguresShown,
                statuses=(503,),
            ),
        ]

    # -- queue

    async def list_queue(self, call: ApiCall) -> object:
        wanted = {name: call.word(name) for name in ("domain", "sender", "status", "after")}
        args: Plain = {name: value for name, value in wanted.items() if value}
        args["limit"] = call.number("limit", _PAGE, MAX_PAGE)
        _check(args)
        told = await self._ask("web.queue.list", args)
        items = [explain_item(item) for item in _list(told, "items")]
        return {"items": items, "more": told.get("more") is True, "unanswered": str(told.get("unanswered", ""))}

    async def show_message(self, call: ApiCall) -> object:
        text = call.parameter("id")
        try:
            queue_id = parse_queue_id(text)
        except ValueError:
            raise not_found("message") from None
        told = await self._ask("web.queue.show", {"id": queue_id})
        if not told:
            raise not_found("message")
        return explain_item(told)

    def _make_change(self, action: str) -> Callable[[ApiCall], Awaitable[object]]:
        async def change(call: ApiCall) -> object:
            wanted = call.take(QueueSelection)
            args = cast(Plain, msgspec.to_builtins(wanted))
            if not args:
                raise refuse(400, "Bad Request", "Say which messages: ids, domain, sender, status or all")
            _check({name: value for name, value in args.items() if name != "all"})
            told = await self._ask("web.queue.change", {**args, "action": action})
            self.desk.log.info("administration", what=f"queue {action}", administrator=call.login.name, **args)
            return told

        return change

    # -- trace

    async def trace(self, call: ApiCall) -> object:
        what, limit = call.word("q"), call.number("limit", 20, _MAX_STORIES)
        async with self._looking:
            try:
                stories = await self.desk.compute.run(lambda: self.look(lambda history: trace(history, what, limit)))
            except OSError as error:
                raise refuse(503, "Service Unavailable", f"The journal cannot be read: {error.strerror}") from None
        return [_show_story(story) for story in stories]

    # -- sessions

    async def list_sessions(self, call: ApiCall) -> object:
        told = await self._ask("web.sessions.list", {})
        rows = [row for row in self.desk.sessions.list_all(MAX_PAGE) if self.desk.logins.is_alive(row)]
        items = [*_list(told, "items"), *(self._show_web(row) for row in rows)]
        return {"items": items, "unanswered": str(told.get("unanswered", ""))}

    def _show_web(self, row: WebSession) -> Plain:
        account = self.desk.accounts.get(row.account)
        return {
            "id": f"{_WEB}{row.id}",
            "service": "web",
            "peer": row.address,
            "name": None,
            "login": account.address if account is not None else None,
            "doing": row.agent or None,
            "tls": None,
            "since": format_rfc3339(row.created),
        }

    async def end_session(self, call: ApiCall) -> object:
        wanted = call.parameter("id")
        if wanted.startswith(_WEB):
            number = read_number(wanted.removeprefix(_WEB), "session")
            is_ended = await self.desk.sessions.end(WebSessionId(number))
        else:
            is_ended = bool((await self._ask("web.sessions.kill", {"id": wanted})).get("changed"))
        if not is_ended:
            raise not_found("session")
        self.desk.log.info("administration", what="session ended", administrator=call.login.name, of=wanted)
        return None

    # -- figures

    async def show_figures(self, call: ApiCall) -> object:
        return await self._ask("web.figures", {})

    async def _ask(self, op: str, args: Mapping[str, object]) -> Plain:
        """Raises LinkError."""
        told = await self.desk.link.call(op, args, timeout_s=_TIMEOUT_S)
        return told if isinstance(told, dict) else {}


def _check(args: Mapping[str, object]) -> None:
    """Raises HttpRefused."""
    try:
        parse_query(args)
    except ValueError as error:
        raise refuse(400, "Bad Request", str(error)) from None


def _list(told: Plain, name: str) -> list[Plain]:
    found = told.get(name)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _show_story(story: Story) -> Plain:
    records = []
    for record in story.records:
        words, details = describe(record)
        records.append({**to_plain(record), "words": words, "details": details})
    return {"id": story.id, "began": format_rfc3339(Instant(story.began)), "records": records}
