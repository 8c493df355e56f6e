"""`/attachments`: all attachments of an email as one zip file, written while it is sent: one of them is in memory.

Names in it are file names without any path, each once. Nothing is compressed: attachments mostly are already.
"""

from __future__ import annotations

import mimetypes
import re
from collections.abc import AsyncGenerator, Sequence
from functools import partial

from posthouse.access.jmap.blob_ids import BlobId
from posthouse.access.jmap.blobs_reading import find_blob, read_blob
from posthouse.access.jmap.body_parts import Part, build_tree, list_body
from posthouse.adapters.zip_stream import ZipStream
from posthouse.app.web_jmap_desk import refuse_as
from posthouse.app.web_view_desk import NEVER_A_PAGE, ViewDesk
from posthouse.message.mailbox import AccountId, EmailId
from posthouse.message.objectids import find_email
from posthouse.ports.store import Fields
from posthouse.protocol.jmap.blobs import write_disposition
from posthouse.protocol.jmap.problems import RequestRefused
from posthouse.serve.http_messages import AnyRoute, HttpAnswer, HttpRequest, HttpRoute, refuse

_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f/\\:*?"<>|\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]')
_MAX_NAME = 150
_ENDINGS = {"message/rfc822": ".eml", "text/calendar": ".ics"}


class ZipRoutes:
    def __init__(self, desk: ViewDesk) -> None:
        self._desk = desk

    def list_routes(self) -> Sequence[AnyRoute]:
        return [HttpRoute("/attachments/{account}/{email}", self.save_all)]

    async def save_all(self, request: HttpRequest) -> HttpAnswer:
        owner = await self._desk.identify(request)
        email = find_email(owner, request.parameters["email"])
        rows = await self._desk.parts.store.messages.load_emails(owner, [email], Fields.STRUCTURE) if email else []
        if email is None or not rows or rows[0].message is None:
            raise refuse(404, "Not Found", "There is no such email")
        attached = list_body(build_tree(rows[0].message.parts)).attachments
        if not attached:
            raise refuse(404, "Not Found", "This email has no attachments")
        name = f"attachments-{request.parameters['email']}.zip"
        headers = {"Content-Disposition": write_disposition(name), "Content-Security-Policy": NEVER_A_PAGE}
        try:
            pieces = self._desk.limits.count_download(owner, self._write(owner, email, attached))
        except RequestRefused as refused:
            raise refuse_as(refused) from None
        return HttpAnswer(200, pieces, "application/zip", headers)

    async def _write(self, owner: AccountId, email: EmailId, attached: Sequence[Part]) -> AsyncGenerator[bytes, None]:
        compute, archive, now = self._desk.parts.compute, ZipStream(), self._desk.clock.now()
        taken: set[str] = set()
        for part in attached:
            octets = await self._read(owner, BlobId(email).below(part.part_id or "1"))
            if octets is not None:
                name = choose_name(part, taken)
                yield await compute.run(partial(archive.add, name, octets, now, is_packed=False))
        yield archive.finish()

    async def _read(self, owner: AccountId, blob: BlobId) -> bytes | None:
        found = await find_blob(self._desk.parts, owner, str(blob))
        return None if found is None else await read_blob(self._desk.parts, owner, found)


def choose_name(part: Part, taken: set[str]) -> str:
    """A file name that is no path and not taken yet."""
    name = _UNSAFE.sub("_", part.facts.name).strip(" .")
    if not name:
        ending = _ENDINGS.get(part.facts.type) or mimetypes.guess_extension(part.facts.type) or ".bin"
        name = f"part-{part.part_id or '1'}{ending}"
    stem, dot, ending = name.rpartition(".")
    if not dot or len(ending) > 10:
        stem, ending = name, ""
    stem, ending = stem[:_MAX_NAME], f".{ending}" if ending else ""
    chosen, number = f"{stem}{ending}", 2
    while chosen.casefold() in taken:
        chosen, number = f"{stem} ({number}){ending}", number + 1
    taken.add(chosen.casefold())
    return chosen
