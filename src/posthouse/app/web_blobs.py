"""Uploads and downloads of JMAP (RFC 8620 §6.1, §6.2).

A download is a file to be saved whatever it is: its type is what the URL asks for, no browser may guess another, and a
page made of it would have neither scripts nor our origin. Of a message that is asked for whole no more than a piece is
in memory; a part that was encoded is decoded first.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence

from posthouse.access.jmap.blob_ids import BlobId
from posthouse.access.jmap.blobs_reading import Blob, find_blob, read_blob
from posthouse.app.web_jmap_desk import JmapDesk, answer_refusal, refuse_as
from posthouse.app.web_limits import CountedPieces
from posthouse.message.mailbox import AccountId
from posthouse.message.objectids import name_account
from posthouse.ports.login import Login
from posthouse.ports.store import NoSuchMailbox
from posthouse.ports.uploads import TooManyUploads, UploadWriter
from posthouse.protocol.jmap.blobs import UploadResponse, check_media_type, write_disposition
from posthouse.protocol.jmap.json import encode_json
from posthouse.protocol.jmap.problems import RequestRefused, refuse_limit
from posthouse.serve.http_messages import (
    JSON,
    AnyRoute,
    BodyTooLarge,
    HttpAnswer,
    HttpRequest,
    HttpRoute,
    answer_problem,
    refuse,
)

_PIECE = 256 * 1024
_MAX_TYPE = 255
_UPLOAD_S = 3600.0
_NEVER_A_PAGE = "sandbox; default-src 'none'; frame-ancestors 'none'"
_FOR_GOOD = "private, immutable, max-age=31536000"  # what a blob id names never changes (RFC 8620 §6.2)


class BlobDesk:
    def __init__(self, desk: JmapDesk) -> None:
        self._desk = desk

    def list_routes(self) -> Sequence[AnyRoute]:
        limit = self._desk.parts.limits.max_size_upload
        return [
            HttpRoute("/jmap/upload/{account}/", self.upload, ("POST",), limit, request_s=_UPLOAD_S, is_streamed=True),
            HttpRoute("/jmap/download/{account}/{blob}/{name}", self.download),
        ]

    # -- uploads

    async def upload(self, request: HttpRequest) -> HttpAnswer:
        login = (await self._desk.identify(request)).login
        _check_account(login, request)
        try:
            with self._desk.limits.upload(login.account):
                return await self._take_or_pass(login.account, request)
        except RequestRefused as refused:
            return answer_refusal(refused)

    async def _take_or_pass(self, account: AccountId, request: HttpRequest) -> HttpAnswer:
        """Raises RequestRefused."""
        try:
            return await self._take(account, request)
        except TooManyUploads:
            await _pass_over(request)
            detail = "As much is uploaded and not used yet as may be; it goes after a day"
            return answer_problem(507, "Insufficient Storage", detail)

    async def _take(self, account: AccountId, request: HttpRequest) -> HttpAnswer:
        """Raises RequestRefused, TooManyUploads."""
        media_type = request.headers.get("content-type", "application/octet-stream")[:_MAX_TYPE]
        writer = self._desk.parts.uploads.begin(account, media_type)
        try:
            await self._write(writer, request)
        except BaseException:  # also when the client has gone: nothing of it is kept
            writer.discard()
            raise
        made = await writer.finish()
        told = UploadResponse(name_account(account), str(BlobId(upload=made.id)), made.type, made.size)
        return HttpAnswer(201, encode_json(told), JSON)

    async def _write(self, writer: UploadWriter, request: HttpRequest) -> None:
        assert request.pieces is not None
        try:
            async for piece in request.pieces:
                await writer.write(piece)
        except BodyTooLarge:
            most = self._desk.parts.limits.max_size_upload
            raise refuse_limit("maxSizeUpload", f"A file has at most {most} octets", 413) from None

    # -- downloads

    async def download(self, request: HttpRequest) -> HttpAnswer:
        desk = self._desk
        login = (await desk.identify(request)).login
        _check_account(login, request)
        try:
            with desk.limits.request(login.account):
                blob = await find_blob(desk.parts, login.account, request.parameters["blob"])
                found = await self._open(login.account, blob) if blob is not None else None
        except RequestRefused as refused:
            raise refuse_as(refused) from None
        if found is None:
            raise refuse(404, "Not Found", "There is no such blob")
        body, size = found
        headers = {
            "Content-Disposition": write_disposition(request.parameters["name"]),
            "Content-Security-Policy": _NEVER_A_PAGE,
            "Cache-Control": _FOR_GOOD,
            "Content-Length": str(size),
        }
        return HttpAnswer(200, body, check_media_type(request.query.get("accept", "")), headers)

    async def _open(self, account: AccountId, blob: Blob) -> tuple[bytes | CountedPieces, int] | None:
        """What is not small is counted while it is sent. Raises RequestRefused."""
        limits, is_plain = self._desk.limits, not (blob.encoding or blob.inner or blob.id.sections)
        if is_plain and blob.size > _PIECE:
            return limits.count_download(account, self._read_pieces(account, blob)), blob.size
        octets = await read_blob(self._desk.parts, account, blob)
        if octets is None or len(octets) <= _PIECE:
            return (octets, len(octets)) if octets is not None else None
        return limits.count_download(account, _cut(octets)), len(octets)

    async def _read_pieces(self, account: AccountId, blob: Blob) -> AsyncGenerator[bytes, None]:
        """A message or an upload as it is. When it goes meanwhile the answer breaks off, short of its length."""
        for offset in range(0, blob.size, _PIECE):
            piece = await self._read_piece(account, blob.id, blob.start + offset, min(_PIECE, blob.size - offset))
            if not piece:
                raise NoSuchMailbox("the blob has gone")
            yield piece

    async def _read_piece(self, account: AccountId, blob: BlobId, offset: int, length: int) -> bytes:
        parts = self._desk.parts
        if blob.email is None:
            return await parts.uploads.read(account, blob.upload, offset, length) or b""
        return await parts.store.blobs.read(account, blob.email, offset, length)


async def _cut(octets: bytes) -> AsyncGenerator[bytes, None]:
    for offset in range(0, len(octets), _PIECE):
        yield octets[offset : offset + _PIECE]


async def _pass_over(request: HttpRequest) -> None:
    """The rest of an upload. A client that is still sending would see a broken connection and not the answer."""
    assert request.pieces is not None
    with contextlib.suppress(BodyTooLarge):
        async for _ in request.pieces:
            pass


def _check_account(login: Login, request: HttpRequest) -> None:
    if request.parameters["account"] != name_account(login.account):
        raise refuse(404, "Not Found", "There is no such account")
