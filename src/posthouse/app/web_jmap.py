"""JMAP by HTTP: the session, requests, uploads and downloads (RFC 8620 §2, §3, §6). Push is in web_push.py.

Who calls is known before a body is read. An account has at most so many requests and uploads at work as its session
object says; more are answered by the problem "limit" of RFC 8620 §3.6.1 with status 429, as is who asks too often.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from functools import partial

from posthouse.access.jmap.method import JmapParts
from posthouse.access.jmap.methods import JmapServer
from posthouse.access.jmap.session import SessionBuilder
from posthouse.app.web import Visit, WebContext
from posthouse.message.mailbox import AccountId
from posthouse.message.parse import parse_message
from posthouse.message.parsed import ParsedMessage
from posthouse.ports.compute import Compute
from posthouse.ports.login import Scope
from posthouse.ports.uploads import TooManyUploads, Upload, UploadWriter
from posthouse.protocol.jmap.limits import CoreLimits
from posthouse.protocol.jmap.problems import CONTENT_TYPE, RequestRefused, refuse_limit
from posthouse.protocol.jmap.request import check_content_type
from posthouse.serve.http_messages import JSON, AnyRoute, BodyTooLarge, HttpAnswer, HttpRequest, HttpRoute

_PARSED_BESIDE = 128 * 1024  # octets: larger ones are parsed beside the loop


def make_routes(web: WebContext) -> Sequence[AnyRoute]:
    parts = make_parts(web)
    desk = JmapDesk(web, parts, JmapServer(parts, SessionBuilder(parts)))
    return desk.list_routes()


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
    )


async def _parse(compute: Compute, octets: bytes) -> ParsedMessage:
    if len(octets) <= _PARSED_BESIDE:
        return parse_message(octets)
    return await compute.run(partial(parse_message, octets))


class JmapDesk:
    """One per worker."""

    def __init__(self, web: WebContext, parts: JmapParts, server: JmapServer) -> None:
        self._web, self._parts, self._server = web, parts, server

    def list_routes(self) -> Sequence[AnyRoute]:
        limit = self._parts.limits.max_size_request
        return [
            HttpRoute("/.well-known/jmap", self.tell_session),
            HttpRoute("/jmap/session", self.tell_session),
            HttpRoute("/jmap/api", self.answer, ("POST",), body_limit=limit, is_streamed=True),
        ]

    async def tell_session(self, request: HttpRequest) -> HttpAnswer:
        """RFC 8620 §2, found by §2.2."""
        visit = await self._identify(request)
        session = self._server.sessions.build(visit.login, request.origin)
        return HttpAnswer(200, session.as_json(), JSON, {"Cache-Control": "no-cache, no-store, must-revalidate"})

    async def answer(self, request: HttpRequest) -> HttpAnswer:
        """RFC 8620 §3."""
        visit = await self._identify(request)
        try:
            check_content_type(request.headers.get("content-type", ""))
            response = await self._server.answer(visit.login, request.peer, await self._read(request))
        except RequestRefused as refused:
            return answer_refusal(refused)
        return HttpAnswer(200, response.as_json(), JSON)

    async def _read(self, request: HttpRequest) -> bytes:
        """Raises RequestRefused."""
        try:
            return await request.read_all()
        except BodyTooLarge:
            limits = self._parts.limits
            detail = f"A request has at most {limits.max_size_request} octets"
            raise refuse_limit("maxSizeRequest", detail) from None

    async def _identify(self, request: HttpRequest) -> Visit:
        return await self._web.visitors.identify(request, Scope.READ)


def answer_refusal(refused: RequestRefused) -> HttpAnswer:
    return HttpAnswer(refused.problem.status, refused.problem.as_json(), CONTENT_TYPE)


class NoUploads:
    """Until there is a directory for them."""

    def begin(self, account: AccountId, media_type: str) -> UploadWriter:
        raise TooManyUploads

    async def find(self, account: AccountId, upload: str) -> Upload | None:
        return None

    async def read(self, account: AccountId, upload: str, offset: int = 0, length: int | None = None) -> bytes | None:
        return None

    async def sweep(self) -> None:
        return None
