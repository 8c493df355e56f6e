"""Import and export of one's mail by the HTTP API, streamed.

What is imported is first a file without a name on the disk of the data directory (gone with the process, whatever
happens), then goes through the import of the command line in batches. Bounds: the size of the upload, of each message,
of what an archive unpacks to, and so many imports and exports of an account at one time.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import IO

import msgspec

from posthouse.adapters.mbox import MboxSource
from posthouse.adapters.mbox_writer import format_message
from posthouse.adapters.upload_sources import EmlSource, ZipSource
from posthouse.adapters.zip_stream import ZipStream
from posthouse.app.web_api_desk import ApiDesk
from posthouse.app.web_api_table import ApiCall, Endpoint, Parameter, not_found
from posthouse.manage.transfer import Importer, ImportOptions, ImportParts, ImportResult
from posthouse.manage.transfer_export import ExportParts, find_paths
from posthouse.manage.web_export import ExportForm, export_mail
from posthouse.message.mailbox import AccountId, Mailbox, MailboxId, Role
from posthouse.message.objectids import find_mailbox
from posthouse.message.parse import parse_message
from posthouse.ports.store import StoreRefusal
from posthouse.ports.transfer import Imports, Leaving, Source, TransferError
from posthouse.serve.http_messages import HttpAnswer, refuse

_HOURS_S = 6 * 3600.0
_GATHERED = 1 << 20
_UNPACKED = 20  # times the size of an upload is what its members may come to
_AT_ONCE = 2
_SHOWN = 20
_ROOM = "Another import or export of this account is under way; try again when it is over"

Path = tuple[str, ...]


class ImportTold(msgspec.Struct, frozen=True):
    """`troubles` names the first messages that were not taken, `stopped` why not all were tried."""

    imported: int
    failed: int
    troubles: list[str]
    stopped: str | None = None


@dataclass(frozen=True, slots=True)
class TransferParts:
    """`folder`: where uploads wait, on the disk that the store is on."""

    imports: Imports
    folder: str
    max_import: int
    max_message: int


class MboxForm:
    def write(self, path: Path, messages: Sequence[Leaving]) -> bytes:
        return b"".join(map(format_message, messages))

    def finish(self) -> bytes:
        return b""


@dataclass(slots=True)
class ZipForm:
    """Mailboxes are directories, messages files named after their UID."""

    _archive: ZipStream = field(default_factory=ZipStream)

    def write(self, path: Path, messages: Sequence[Leaving]) -> bytes:
        folder = "/".join(map(_clean, path))
        return b"".join(
            self._archive.add(f"{folder}/{message.uid:010}.eml", message.octets, message.received)
            for message in messages
        )

    def finish(self) -> bytes:
        return self._archive.finish()


def _clean(name: str) -> str:
    text = "".join(each if each.isprintable() and each not in '/\\:*?"<>|' else "_" for each in name)
    return text.strip(". ") or "_"


class TransferApi:
    def __init__(self, desk: ApiDesk, parts: TransferParts) -> None:
        self._desk, self._parts = desk, parts
        self._running: dict[AccountId, int] = {}

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                "GET",
                "/api/export",
                "Mail as a file: one mailbox as mbox, one or all as a zip archive of messages.",
                self.send_export,
                query=(
                    Parameter("format", "Form of the file.", is_required=True, allowed=("mbox", "zip")),
                    Parameter("mailbox", "Id of one mailbox; needed for mbox."),
                ),
                gives_file=("application/mbox", "application/zip"),
                statuses=(400, 404, 429),
            ),
            Endpoint(
                "POST",
                "/api/import",
                "Take messages from a file. Without a mailbox the directories of a zip archive name mailboxes.",
                self.take_import,
                gives=ImportTold,
                query=(
                    Parameter("format", "Form of the file.", is_required=True, allowed=("mbox", "eml", "zip")),
                    Parameter("mailbox", "Id of the mailbox it goes to; needed for all but zip."),
                ),
                takes_file=("application/octet-stream", "application/mbox", "application/zip", "message/rfc822"),
                statuses=(400, 404, 409, 413, 429),
                body_limit=self._parts.max_import,
                request_s=_HOURS_S,
            ),
        ]

    # -- export

    async def send_export(self, call: ApiCall) -> object:
        form, desk = call.word("format"), self._desk
        box = await self._find_mailbox(call)
        if box is None and form == "mbox":
            raise refuse(400, "Bad Request", "An mbox file holds one mailbox: say which")
        writer: ExportForm = MboxForm() if form == "mbox" else ZipForm()
        store = desk.store
        parts = ExportParts(store.mailboxes, store.messages, store.blobs, desk.compute)
        pieces = export_mail(call.owner, parts, writer, box.id if box is not None else None)
        name = f"{_clean(box.name) if box is not None else 'mail'}.{form}"
        desk.log.info("export begun", login=call.login.name, form=form)
        headers = {"Content-Disposition": f'attachment; filename="{_ascii(name)}"'}
        return HttpAnswer(200, self._count(call.owner, pieces), f"application/{form}", headers)

    def _count(self, account: AccountId, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Raises HttpRefused before the answer begins."""
        self._check_room(account)

        async def send() -> AsyncIterator[bytes]:
            with self._take_room(account):
                async for piece in pieces:
                    yield piece

        return send()

    # -- import

    async def take_import(self, call: ApiCall) -> object:
        form, box = call.word("format"), await self._find_mailbox(call)
        if box is None and form != "zip":
            raise refuse(400, "Bad Request", "Say which mailbox it goes to")
        if box is not None and is_closed(box):
            raise refuse(409, "Conflict", f"Mail comes into {box.name} by being sent")
        self._check_room(call.owner)
        with self._take_room(call.owner), tempfile.TemporaryFile(dir=self._parts.folder) as file:
            await self._keep(call.pieces(), file)
            target = None if box is None else await self._find_path(call.owner, box.id)
            source = self._open(form, f"/proc/self/fd/{file.fileno()}", target)
            result = await self._run(call.owner, source)
        self._desk.log.info("import over", login=call.login.name, imported=result.imported, failed=result.bad)
        return ImportTold(result.imported, result.bad, result.troubles[:_SHOWN], result.stopped or None)

    async def _keep(self, pieces: AsyncIterator[bytes], file: IO[bytes]) -> None:
        """Written in a thread, some at a time."""
        gathered, size = [], 0
        async for piece in pieces:
            gathered.append(piece)
            size += len(piece)
            if size >= _GATHERED:
                await self._desk.compute.run(partial(file.write, b"".join(gathered)))
                gathered, size = [], 0
        gathered.append(b"")
        await self._desk.compute.run(partial(_write_last, file, b"".join(gathered)))

    def _open(self, form: str, path: str, target: Path | None) -> Source:
        limit = self._parts.max_message
        if form == "zip":
            return ZipSource(path, target, limit=limit, most=self._parts.max_import * _UNPACKED)
        assert target is not None
        return EmlSource(path, target, limit=limit) if form == "eml" else MboxSource(path, target, limit=limit)

    async def _run(self, account: AccountId, source: Source) -> ImportResult:
        desk, store = self._desk, self._desk.store
        parts = ImportParts(
            store.mailboxes, store.messages, self._parts.imports, parse_message, desk.compute, desk.clock
        )
        options = ImportOptions(uses_labels=False, is_again=True)
        try:
            return await Importer(account, parts, options, _report_nothing).run(source)
        except TransferError as error:
            raise refuse(400, "Bad Request", str(error).removeprefix("/proc/self/fd/").lstrip("0123456789: ")) from None
        except StoreRefusal as error:
            raise refuse(409, "Conflict", str(error)) from None
        finally:
            await self._parts.imports.forget(account, source.key)

    # -- both

    async def _find_mailbox(self, call: ApiCall) -> Mailbox | None:
        """None: none was named. Raises HttpRefused."""
        named = call.word("mailbox")
        if not named:
            return None
        wanted = find_mailbox(call.owner, named)
        boxes = await self._desk.store.mailboxes.list_all(call.owner)
        found = next((box for box in boxes if box.id == wanted), None)
        if found is None:
            raise not_found("mailbox")
        return found

    async def _find_path(self, account: AccountId, mailbox: MailboxId) -> Path:
        return find_paths(await self._desk.store.mailboxes.list_all(account))[mailbox]

    def _check_room(self, account: AccountId) -> None:
        if self._running.get(account, 0) >= _AT_ONCE:
            raise refuse(429, "Too Many Requests", _ROOM)

    @contextmanager
    def _take_room(self, account: AccountId) -> Iterator[None]:
        self._running[account] = self._running.get(account, 0) + 1
        try:
            yield
        finally:
            self._running[account] -= 1
            if not self._running[account]:
                del self._running[account]


def is_closed(box: Mailbox) -> bool:
    """Mail in there would look as if it were to be sent (sending.md)."""
    return box.role is Role.SCHEDULED or (box.parent is None and box.name.lower() in ("outbox", "scheduled"))


def _write_last(file: IO[bytes], octets: bytes) -> None:
    file.write(octets)
    file.flush()


def _report_nothing(_: int, __: int) -> None:
    pass


def _ascii(name: str) -> str:
    return name.encode("ascii", "replace").decode().replace("?", "_").replace('"', "_")
