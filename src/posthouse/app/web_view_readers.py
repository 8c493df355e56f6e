"""`/api/unsubscribe` and `/calendar`: what mail asks for beyond being read (mua/unsubscribe.py, mua/calendar.py)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from posthouse.app.web_api_table import Endpoint, serve_elsewhere
from posthouse.app.web_view_desk import ViewDesk
from posthouse.message.charsets import decode_text
from posthouse.message.header import find_header_end, first_value
from posthouse.message.mailbox import AccountId
from posthouse.message.objectids import find_email
from posthouse.mua.calendar import MAX_TEXT, Invitation, read_invitation
from posthouse.mua.unsubscribe import ONE_CLICK_FORM, read_unsubscribe
from posthouse.ports.fetch import FetchError
from posthouse.ports.login import Scope
from posthouse.ports.store import NoSuchMailbox
from posthouse.serve.http_messages import AnyRoute, Handler, HttpAnswer, HttpRequest, HttpRoute, answer_json, refuse

_MAX_HEAD = 262_144


class UnsubscribeRequest(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    email_id: str


class UnsubscribeAnswer(msgspec.Struct, rename="camel"):
    """`is_done`: the list has been told. Otherwise `page` is to be opened, or mail to be sent to `mail`."""

    is_done: bool
    page: str = ""
    mail: str = ""


UNSUBSCRIBE = Endpoint(
    "POST",
    "/api/unsubscribe",
    "Leave the list that an email came from: at once where it says how (RFC 8058), else what is to be done.",
    serve_elsewhere,
    takes=UnsubscribeRequest,
    gives=UnsubscribeAnswer,
    statuses=(400, 404, 413),
    body_limit=4_096,
)
CALENDAR = Endpoint(
    "GET",
    "/calendar/{account}/{blob}",
    "The event that a part of an email, or an upload, invites to.",
    serve_elsewhere,
    gives=Invitation,
    statuses=(404, 413, 415),
)


class ReaderRoutes:
    def __init__(self, desk: ViewDesk) -> None:
        self._desk = desk

    def list_routes(self) -> Sequence[AnyRoute]:
        return [_route(UNSUBSCRIBE, self.unsubscribe), _route(CALENDAR, self.tell_invitation)]

    async def tell_invitation(self, request: HttpRequest) -> HttpAnswer:
        owner = await self._desk.identify(request)
        _, octets = await self._desk.read_blob(owner, request.parameters["blob"], limit=MAX_TEXT)
        found = await self._desk.parts.compute.run(lambda: read_invitation(decode_text(octets)))
        if found is None:
            raise refuse(415, "Unsupported Media Type", "There is no event in this")
        return answer_json(found)

    async def unsubscribe(self, request: HttpRequest) -> HttpAnswer:
        owner = await self._desk.identify(request, Scope.SEND)
        try:
            asked = msgspec.json.decode(request.body, type=UnsubscribeRequest)
        except msgspec.MsgspecError:
            raise refuse(400, "Bad Request", "This takes {emailId}") from None
        head = await self._read_head(owner, asked.email_id)
        field, post = first_value(head, b"list-unsubscribe"), first_value(head, b"list-unsubscribe-post")
        found = read_unsubscribe(*(None if each is None else decode_text(each) for each in (field, post)))
        if found is None:
            raise refuse(404, "Not Found", "This email does not say how to leave its list")
        if not found.one_click or self._desk.fetch is None:
            return answer_json(UnsubscribeAnswer(False, found.page, found.mail))
        try:
            status = await self._desk.fetch.post_form(found.one_click, ONE_CLICK_FORM)
        except FetchError as error:
            self._desk.log.info("list not left", reason=str(error)[:500])
            status = 0
        is_done = 200 <= status < 300
        return answer_json(UnsubscribeAnswer(is_done, "" if is_done else found.page, "" if is_done else found.mail))

    async def _read_head(self, owner: AccountId, text: str) -> bytes:
        email = find_email(owner, text)
        try:
            octets = await self._desk.parts.store.blobs.read(owner, email, 0, _MAX_HEAD) if email else b""
        except NoSuchMailbox:
            octets = b""
        if not octets:
            raise refuse(404, "Not Found", "There is no such email")
        end = find_header_end(octets)
        return octets[:end] if end >= 0 else octets


def _route(endpoint: Endpoint, handler: Handler) -> HttpRoute:
    return HttpRoute(endpoint.path, handler, (endpoint.method,), body_limit=endpoint.body_limit)
