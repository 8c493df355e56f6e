"""Reading mbox files of any size: messages behind "From " lines, as they were before they were quoted.

What is taken: mboxrd (">From ", ">>From "), mboxo, LF and CRLF line ends, and what mail programs write before and
behind. A line ends a message when it follows a blank line and is "From ", something, and a date as asctime writes it; a
line of the text that looks so and was not quoted splits its message (mboxcl2 is not read by its lengths).
An mbox of ours (adapters/mbox_writer.py) gives back each message as it was. RFC 4155 is the form this comes from.

Memory: a chunk and the message at hand. Longer messages than `limit` are passed over and told.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256

from posthouse.message.dates import parse_date
from posthouse.message.modified_utf7 import decode_name
from posthouse.ports.transfer import Letter, TransferError

CHUNK = 1 << 20
_LINE = 512  # a "From " line is not longer
_FROM = re.compile(
    rb"From (?:[^\n]{0,300}? )?(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? +"
    rb"(?:[A-Z][a-z][a-z] +\d{1,2}|\d{1,2} +[A-Z][a-z][a-z]) "
    rb"(?=[^\n]*\d:\d\d)(?=[^\n]*\b\d{4}\b)[^\n]{0,100}\n"
)
_QUOTED = re.compile(rb"^>(?=>*From )", re.MULTILINE)
_FOLDER_DATA = b"\r\nSubject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA"  # of UW-IMAP and Dovecot
SUFFIX = ".mbox"
ESCAPED = re.compile(r"\\([0-9a-fA-F]{2})")  # Dovecot's listescape
OURS = b"X-Posthouse: "
_OURS = re.compile(
    rb"X-Posthouse: size=(\d+) received=(-?\d+(?:\.\d+)?) zone=(-?\d+)\r?\n"
    rb"Status: (R?O?)\r?\nX-Status: (A?F?D?T?)\r?\nX-Keywords: ?([^\r\n]*)\r?\n"
)
STATUS_LETTERS = {"R": "\\Seen", "A": "\\Answered", "F": "\\Flagged", "D": "\\Deleted", "T": "\\Draft"}

Piece = tuple[int, int, bytes | None]  # from, to, octets; None: too long


class MboxSource:
    """A `ports.transfer.Source`. `path` is a file, `target` the mailbox its messages go to."""

    batch = 500

    def __init__(self, path: str, target: tuple[str, ...], *, limit: int) -> None:
        self._path, self._target, self._limit = path, target, limit
        name = "\0".join(("mbox", os.path.realpath(path), *target))
        self.key = sha256(os.fsencode(name)).digest()[:16]
        self.total = 0
        self.already = 0

    def close(self) -> None:
        pass

    def letters(self, marks: Mapping[str, str]) -> Iterator[Letter]:
        try:
            with open(self._path, "rb", buffering=0) as file:
                start = self._find_start(file.fileno(), marks.get("", ""))
                self.total = os.fstat(file.fileno()).st_size - start
                file.seek(start)
                count = self.already
                for first, last, raw in split_mbox(file.read, start, self._limit):
                    count += 1
                    yield self._read(raw, first, last, count)
        except OSError as error:
            raise TransferError(f"{self._path}: {error.strerror}") from error

    def _find_start(self, descriptor: int, mark: str) -> int:
        """Behind the last message that was taken, if that is still what stands there."""
        if not mark:
            return 0
        first, last, check, count = map(int, mark.split())
        if zlib.crc32(os.pread(descriptor, min(last - first, CHUNK), first)) != check:
            raise TransferError(
                f"{self._path}: is not the file it was when a part of it was imported;"
                " --again imports it from the beginning"
            )
        self.already = count
        return last

    def _read(self, raw: bytes | None, first: int, last: int, count: int) -> Letter:
        check = zlib.crc32(raw[:CHUNK]) if raw is not None else self._check(first, last)
        letter = Letter("", f"{first} {last} {check} {count}", self._target, b"", weight=last - first)
        if raw is None:
            letter.problem = f"message at octet {first} is longer than {self._limit} octets"
        else:
            read_message(raw, letter)
        return letter

    def _check(self, first: int, last: int) -> int:
        with open(self._path, "rb") as file:
            file.seek(first)
            return zlib.crc32(file.read(min(last - first, CHUNK)))


def find_files(given: str) -> list[tuple[str, tuple[str, ...]]]:
    """The mbox files that are meant, with the mailboxes they are named after: one file, or all *.mbox below."""
    if not os.path.isdir(given):
        return [(given, (_name_mailbox(os.path.basename(os.path.realpath(given))),))]
    found = []
    for folder, _, names in os.walk(given):
        relative = os.path.relpath(folder, given)
        above = () if relative == "." else tuple(_name_mailbox(part) for part in relative.split(os.sep))
        found += [(f"{folder}/{name}", (*above, _name_mailbox(name))) for name in names if name.endswith(SUFFIX)]
    return sorted(found, key=lambda each: each[1])


def _name_mailbox(name: str) -> str:
    """As adapters/export_folder.py wrote it."""
    text = decode_name(os.fsencode(name.removesuffix(SUFFIX) or name))
    return ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)


def split_mbox(read: Callable[[int], bytes | None], offset: int, limit: int) -> Iterator[Piece]:
    """The messages with their "From " lines. `read` gives the octets from `offset` on."""
    buffer = b""
    while len(buffer) < _LINE and (more := read(CHUNK)):
        buffer += more
    first = start = len(buffer) - len(buffer.lstrip(b"\r\n"))
    if start < len(buffer) and not buffer.startswith(b"From ", start):
        raise TransferError('no mbox: there is no "From " line')
    first += offset
    base, seek, is_cut = offset, start, False
    while True:
        at = _find_next(buffer, seek)
        if at >= 0:
            yield first, base + at, None if is_cut or at - start > limit else buffer[start:at]
            start, first, seek, is_cut = at, base + at, at, False
            continue
        more = read(CHUNK)
        if not more:
            break
        if len(buffer) - start > limit:
            start, is_cut = len(buffer) - _LINE, True
        base += start
        buffer = buffer[start:] + more
        seek, start = max(len(buffer) - len(more) - _LINE, 0), 0
    if base + len(buffer) > first:
        yield first, base + len(buffer), None if is_cut or len(buffer) - start > limit else buffer[start:]


def _find_next(buffer: bytes, seek: int) -> int:
    """Where the next "From " line begins that is whole and follows a blank line; -1 for none."""
    while (at := buffer.find(b"\nFrom ", seek)) >= 0:
        if (buffer[at - 1 : at] == b"\n" or buffer[at - 2 : at] == b"\n\r") and _FROM.match(buffer, at + 1):
            return at + 1
        seek = at + 1
    return -1


def read_message(raw: bytes, letter: Letter) -> None:
    """Out of an mbox: octets, date, and what an export of ours tells."""
    line_end = raw.find(b"\n") + 1 or len(raw)
    is_wire = raw.startswith(b"\r\n", line_end - 2)
    body = line_end
    ours = _OURS.match(raw, body) if raw.startswith(OURS, body) else None
    if ours is not None:
        body = ours.end()
    content = raw[body:-1] if raw.endswith(b"\n\n") else raw[body:-2] if raw.endswith(b"\n\r\n") else raw[body:]
    if b">From " in content:
        content = _QUOTED.sub(b"", content)
    letter.octets = content if is_wire else to_wire(content)
    if ours is not None and _take_ours(ours, letter):
        return
    date = parse_date(raw[5:line_end].strip().partition(b" ")[2])
    letter.received = date.instant if date is not None else None
    letter.says_more = True
    letter.is_deleted = _FOLDER_DATA in letter.octets[:4096]


def _take_ours(ours: re.Match[bytes], letter: Letter) -> bool:
    """False when the message has been changed since: then it is like any other."""
    size = int(ours[1])
    if not size <= len(letter.octets) <= size + 2:
        return False
    letter.octets = letter.octets[:size]
    letter.received, letter.zone_minutes = float(ours[2]), int(ours[3])
    letters = (ours[4] + ours[5]).decode()
    keywords = ours[6].decode("utf-8", "replace").split()
    letter.flags = frozenset([*(STATUS_LETTERS[each] for each in letters if each != "O"), *keywords])
    return True


def to_wire(octets: bytes) -> bytes:
    """Lines of a file, ended by LF or CRLF, with CRLF."""
    if b"\r\n" in octets:
        octets = octets.replace(b"\r\n", b"\n")
    return octets.replace(b"\n", b"\r\n")
