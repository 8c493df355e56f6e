"""JMAP by HTTP: the session and requests (RFC 8620 §2, §3), and all of JMAP's routes together.

Uploads and downloads are in web_blobs.py, event streams in web_events.py, WebSockets in web_socket.py. Who calls is
known before a body is read. Nothing is durable here.
"""

from __future__ import annotations

from collections.abc import Sequence

from posthouse.app.web import WebContext
from posthouse.app.web_blobs import BlobDesk
from posthouse.app.web_events import EventDesk
from posthouse.app.web_jmap_desk import JmapDesk, answer_refusal, make_desk
from posthouse.app.web_socket import SocketDesk
from posthouse.protocol.jmap.problems import RequestRefused, refuse_limit
from posthouse.protocol.jmap.request import check_content_type
from posthouse.serve.http_messages import JSON, AnyRoute, BodyTooLarge, HttpAnswer, HttpRequest, HttpRoute


def make_routes(web: WebContext) -> Sequence[AnyRoute]:
    desk = make_desk(web)
    return [
        *JmapRoutes(desk).list_routes(),
        *BlobDesk(desk).list_routes(),
        *EventDesk(desk).list_routes(),
        *SocketDesk(desk).list_routes(),
    ]


class JmapRoutes:
    def __init__(self, desk: JmapDesk) -> None:
        self._desk = desk

    def list_routes(self) -> Sequence[AnyRoute]:
        limit = self._desk.parts.limits.max_size_request
        return [
            HttpRoute("/.well-known/jmap", self.tell_session),
            HttpRoute("/jmap/session", self.tell_session),
            HttpRoute("/jmap/api", self.answer, ("POST",), body_limit=limit, is_streamed=True),
        ]

    async def tell_session(self, request: HttpRequest) -> HttpAnswer:
        """RFC 8620 §2, found by §2.2."""
        visit = await self._desk.identify(request)
        session = self._desk.server.sessions.build(visit.login, request.origin)
        return HttpAnswer(200, session.as_json(), JSON, {"Cache-Control": "no-cache, no-store, must-revalidate"})

    async def answer(self, request: HttpRequest) -> HttpAnswer:
        """RFC 8620 §3."""
        desk = self._desk
        login = (await desk.identify(request)).login
        try:
            check_content_type(request.headers.get("content-type", ""))
            with desk.limits.request(login.account):
                response = await desk.server.answer(login, request.peer, await self._read(request))
        except RequestRefused as refused:
            return answer_refusal(refused)
        return HttpAnswer(200, response.as_json(), JSON)

    async def _read(self, request: HttpRequest) -> bytes:
        """Raises RequestRefused."""
        try:
            return await request.read_all()
        except BodyTooLarge:
            most = self._desk.parts.limits.max_size_request
            raise refuse_limit("maxSizeRequest", f"A request has at most {most} octets") from None
