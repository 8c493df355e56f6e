"""What all of JMAP's routes share, made once in a worker: methods, limits, who listens, how a refusal is answered."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from posthouse.access.jmap.method import JmapParts
from posthouse.access.jmap.methods import TABLES, JmapServer
from posthouse.access.jmap.push_hub import STOPPED, PushHub
from posthouse.access.jmap.session import SessionBuilder, SessionSettings
from posthouse.app.web import Visit, WebContext
from posthouse.app.web_limits import AccountLimits, UsageLimits
from posthouse.app.web_push import make_pushing
from posthouse.message.parse import parse_message
from posthouse.message.parsed import ParsedMessage
from posthouse.ports.compute import Compute
from posthouse.ports.login import Scope
from posthouse.protocol.jmap.limits import CoreLimits
from posthouse.protocol.jmap.problems import CONTENT_TYPE, RequestRefused
from posthouse.serve.http_messages import HttpAnswer, HttpRefused, HttpRequest

_PARSED_BESIDE = 128 * 1024  # octets: larger ones are parsed beside the loop
_SWEEP_S = 1.0
_ANY_NUMBER = 1_000_000


@dataclass(frozen=True, slots=True)
class JmapDesk:
    """What JMAP's routes share; one per worker. `identify` raises HttpRefused."""

    identify: Callable[[HttpRequest], Awaitable[Visit]]
    parts: JmapParts
    server: JmapServer
    limits: AccountLimits
    hub: PushHub


def make_desk(web: WebContext) -> JmapDesk:
    parts, settings = make_parts(web), web.settings.web
    hub = PushHub(web.store.changes, web.records, web.log)
    pushing = make_pushing(web, hub)
    told = SessionSettings(
        vapid_key=pushing.server_key,
        limits={
            "maxRequestsPerMinute": settings.requests_per_minute,
            "maxStreams": settings.streams_per_account,
            "maxConcurrentDownloads": settings.downloads_per_account,
        },
    )
    server = JmapServer(parts, SessionBuilder(parts, told), (*TABLES, pushing.methods))

    async def sweep() -> None:
        hub.sweep(web.clock.monotonic())

    web.periodic.append((_SWEEP_S, sweep))
    web.draining.append(partial(hub.end_all, STOPPED))
    identify = partial(web.visitors.identify, scope=Scope.READ)
    return JmapDesk(identify, parts, server, make_limits(web), hub)


def make_limits(web: WebContext) -> AccountLimits:
    settings = web.settings.web
    limits = UsageLimits(
        requests=settings.concurrent_requests,
        uploads=settings.concurrent_uploads,
        streams=settings.streams_per_account,
        requests_per_minute=settings.requests_per_minute,
        downloads=settings.downloads_per_account,
    )
    return AccountLimits(limits, web.clock)


def make_parts(web: WebContext) -> JmapParts:
    settings = web.settings
    return JmapParts(
        store=web.store,
        records=web.records,
        sending=web.sending,
        accounts=web.accounts,
        uploads=web.uploads,
        clock=web.clock,
        compute=web.compute,
        log=web.log,
        parse=partial(_parse, web.compute),
        make_token=partial(secrets.token_urlsafe, 18),
        limits=CoreLimits(
            max_size_upload=settings.web.max_upload,
            max_concurrent_upload=settings.web.concurrent_uploads,
            max_size_request=settings.web.max_request,
            max_concurrent_requests=settings.web.concurrent_requests,
        ),
        hostname=settings.hostname,
        max_message_size=settings.smtp.max_message_size,
        max_delayed_send_s=int(settings.submission.max_future_release.total_seconds()),
        undo_s=settings.submission.undo.total_seconds(),
        max_recipients=settings.submission.recipients_per_message or _ANY_NUMBER,
        inline_limit=settings.store.body_file_size,
    )


async def _parse(compute: Compute, octets: bytes) -> ParsedMessage:
    if len(octets) <= _PARSED_BESIDE:
        return parse_message(octets)
    return await compute.run(partial(parse_message, octets))


def answer_refusal(refused: RequestRefused) -> HttpAnswer:
    """RFC 8620 §3.6.1."""
    problem = refused.problem
    headers = {"Retry-After": "2"} if problem.status == 429 else {}
    return HttpAnswer(problem.status, problem.as_json(), CONTENT_TYPE, headers)


def refuse_as(refused: RequestRefused) -> HttpRefused:
    return HttpRefused(answer_refusal(refused))
