"""What somebody imports at the web page, as sources of an import: a message, or a zip archive of messages.

Both read a file that nobody else knows. An archive is hostile until shown otherwise: its list is bounded before it is
opened, each member is read up to the size of a message, all of them up to a sum, and only deflate and plain members are
read. Directories of an archive name mailboxes. Mbox files are read by adapters/mbox.py.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Final

from posthouse.adapters.mbox import to_wire
from posthouse.adapters.zip_stream import measure_list
from posthouse.ports.transfer import Letter, TransferError

_MAX_LIST: Final = 64 << 20
_DEPTH: Final = 20
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
_CLOSED = {"outbox", "scheduled"}
_SUFFIXES = (".eml", ".msg", ".txt", ".mail")

Path = tuple[str, ...]


class EmlSource:
    """One message."""

    batch = 1
    total = 1
    already = 0

    def __init__(self, path: str, target: Path, *, limit: int) -> None:
        self._path, self._target, self._limit = path, target, limit
        self.key = sha256(os.fsencode("\0".join(("eml", path, *target)))).digest()[:16]

    def close(self) -> None:
        pass

    def letters(self, marks: Mapping[str, str]) -> Iterator[Letter]:
        with open(self._path, "rb") as file:
            octets = to_wire(file.read(self._limit + 1))
        letter = Letter("", "1", self._target, octets, says_more=True)
        if not octets.strip():
            letter.problem = "the file is empty"
        elif len(octets) > self._limit:
            letter.problem = f"longer than {self._limit} octets"
        yield letter


class ZipSource:
    """`target` None: the directories of the archive name mailboxes."""

    batch = 200

    def __init__(self, path: str, target: Path | None, *, limit: int, most: int) -> None:
        self._path, self._target, self._limit, self._left = path, target, limit, most
        self.key = sha256(os.fsencode("\0".join(("zip", path, *(target or ()))))).digest()[:16]
        self.total = 0
        self.already = 0

    def close(self) -> None:
        pass

    def letters(self, marks: Mapping[str, str]) -> Iterator[Letter]:
        try:
            with open(self._path, "rb") as file:
                size = measure_list(file)
                if not 0 <= size <= _MAX_LIST:
                    raise TransferError("this is no zip archive" if size < 0 else "this archive has too many members")
                with zipfile.ZipFile(file) as archive:
                    yield from self._read_all(archive)
        except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            raise TransferError(f"this is no zip archive that can be read: {error}") from None

    def _read_all(self, archive: zipfile.ZipFile) -> Iterator[Letter]:
        members = [each for each in archive.infolist() if _is_message(each.filename)]
        self.total = len(members)
        for number, member in enumerate(members, 1):
            octets, problem = self._read(archive, member)
            path = self._target if self._target is not None else name_mailbox(member.filename)
            letter = Letter("", str(number), path, octets, says_more=True, problem=problem)
            if problem:
                letter.folder = member.filename[:200]
                letter.position = ""
            yield letter

    def _read(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> tuple[bytes, str]:
        if member.compress_type not in _METHODS or member.flag_bits & _ENCRYPTED:
            return b"", "packed or encrypted in a way that is not read"
        try:
            with archive.open(member) as stream:
                octets = stream.read(self._limit + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
            return b"", f"damaged: {error}"
        self._left -= len(octets)
        if self._left < 0:
            raise TransferError("this archive holds more than may be imported at one time")
        if len(octets) > self._limit:
            return b"", f"longer than {self._limit} octets"
        return (to_wire(octets), "") if octets.strip() else (b"", "empty")


def _is_message(name: str) -> bool:
    last = name.rpartition("/")[2]
    return bool(last) and not last.startswith(".") and last.lower().endswith(_SUFFIXES)


def name_mailbox(member: str) -> Path:
    """Nothing comes into Outbox or Scheduled in this way: it would look as if it were to be sent."""
    parts = [part for part in member.replace("\\", "/").split("/")[:-1] if part.strip(". ")][:_DEPTH]
    if not parts:
        return ("Imported",)
    if len(parts) == 1 and parts[0].lower() in _CLOSED:
        return (f"{parts[0]} (imported)",)
    return tuple(parts)
