"""Reading a Maildir with its folders, Maildir++ (".Work.2024") or nested directories, of Dovecot, Courier and others.

Flags come from the file names, keywords from `dovecot-keywords`, INTERNALDATE from the file's time. Files that Dovecot
compressed with gzip are read. POP3 UIDLs come from `dovecot-uidlist`; UIDs and subscriptions are not taken. A folder is
read in the order of its file names, which begin with the time of delivery; the position is the last name. What came
later under an older name (moved there by a mail program) is not found by going on, only by starting again.

A file is taken as it stands when its first line ends with CRLF, else its lines get CRLF. The program that owns the
Maildir may go on working: a file that was renamed meanwhile is looked for again.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from posthouse.adapters.mbox import ESCAPED, to_wire
from posthouse.message.modified_utf7 import decode_name
from posthouse.ports.transfer import Letter, TransferError

_FLAGS = {
    "S": "\\Seen",
    "R": "\\Answered",
    "F": "\\Flagged",
    "T": "\\Deleted",
    "D": "\\Draft",
    "P": "$Forwarded",
}
_INFO = re.compile(r"[:;!]2,([^,]*)$")
_GZIP = b"\x1f\x8b"
_SUBFOLDERS = frozenset({"cur", "new", "tmp"})
_MAX_DEPTH = 40
_MAX_KEYWORDS = 26


@dataclass(slots=True)
class _Folder:
    directory: str
    path: tuple[str, ...]
    keywords: dict[str, str] = field(default_factory=dict)
    uidls: dict[str, str] = field(default_factory=dict)  # by the part of file names that stays


class MaildirSource:
    """A `ports.transfer.Source`. `below`: everything goes into and below this mailbox."""

    batch = 500

    def __init__(self, path: str, *, below: tuple[str, ...] = (), limit: int) -> None:
        self._path, self._below, self._limit = path, below, limit
        name = "\0".join(("maildir", os.path.realpath(path), *below))
        self.key = sha256(os.fsencode(name)).digest()[:16]
        self.total = 0
        self.already = 0

    def close(self) -> None:
        pass

    def letters(self, marks: Mapping[str, str]) -> Iterator[Letter]:
        try:
            folders = sorted(find_folders(self._path), key=lambda folder: folder.path)
            if not folders:
                raise TransferError(f"{self._path}: no Maildir: it has no cur and new")
            self.total = sum(len(list_messages(folder.directory)) for folder in folders)
            for folder in folders:
                yield from self._read_folder(folder, marks)
        except OSError as error:
            raise TransferError(f"{error.filename or self._path}: {error.strerror}") from error

    def _read_folder(self, folder: _Folder, marks: Mapping[str, str]) -> Iterator[Letter]:
        name = os.path.relpath(folder.directory, self._path).encode("utf-8", "surrogateescape").decode("latin-1")
        path = (*self._below, *(folder.path or (() if self._below else ("INBOX",))))
        yield Letter(name, "", path, b"", is_mailbox=True, weight=0)
        folder.keywords = _read_keywords(folder.directory)
        folder.uidls = _read_uidls(folder.directory)
        files = list_messages(folder.directory)
        mark = marks.get(name, "")
        for base in sorted(files):
            position = base.encode("utf-8", "surrogateescape").decode("latin-1")
            if position <= mark:
                self.already += 1
                self.total -= 1
                continue
            letter = Letter(name, position, path, b"", uidl=folder.uidls.get(base, ""))
            self._read(folder, files, base, letter)
            yield letter

    def _read(self, folder: _Folder, files: dict[str, str], base: str, letter: Letter) -> None:
        try:
            octets = self._open(f"{folder.directory}/{files[base]}", letter)
        except FileNotFoundError:
            files.update(list_messages(folder.directory))  # renamed: its flags have changed
            try:
                octets = self._open(f"{folder.directory}/{files[base]}", letter)
            except FileNotFoundError:
                letter.is_deleted = True
                return
        letter.flags = read_flags(files[base], folder.keywords)
        if octets is None or len(octets) > self._limit:
            letter.problem = f"{base}: longer than {self._limit} octets"
        else:
            letter.octets = octets

    def _open(self, path: str, letter: Letter) -> bytes | None:
        with open(path, "rb", buffering=0) as file:
            about = os.fstat(file.fileno())
            letter.received = about.st_mtime_ns // 1000 / 1e6
            if about.st_size > self._limit:
                return None
            octets = file.readall()
        if octets.startswith(_GZIP):
            octets = zlib.decompressobj(31).decompress(octets, self._limit + 1)
        first = octets.find(b"\n")
        return octets if octets[first - 1 : first] == b"\r" else to_wire(octets)


def find_folders(root: str, path: tuple[str, ...] = ()) -> Iterator[_Folder]:
    names = sorted(entry.name for entry in os.scandir(root) if entry.is_dir())
    if "cur" in names and "new" in names:
        yield _Folder(root, path)
    if len(path) > _MAX_DEPTH:
        return
    for name in names:
        if name in _SUBFOLDERS:
            continue
        if name.startswith(".") and not path:
            if os.path.isdir(f"{root}/{name}/cur"):
                yield _Folder(f"{root}/{name}", tuple(_decode(part) for part in name[1:].split(".") if part))
        elif not name.startswith("."):
            yield from find_folders(f"{root}/{name}", (*path, _decode(name)))


def _decode(name: str) -> str:
    """Also undoes Dovecot's listescape (a dot in a name is "\\2e")."""
    text = decode_name(os.fsencode(name))
    return ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)


def list_messages(directory: str) -> dict[str, str]:
    """Files by the part of their names that stays."""
    found: dict[str, str] = {}
    for part in ("new", "cur"):
        for entry in os.scandir(f"{directory}/{part}"):
            if not entry.name.startswith("."):
                found[_INFO.sub("", entry.name)] = f"{part}/{entry.name}"
    return found


def _read_keywords(directory: str) -> dict[str, str]:
    """Letters a to z and what they stand for here."""
    keywords: dict[str, str] = {}
    try:
        with open(f"{directory}/dovecot-keywords", encoding="utf-8", errors="replace") as lines:
            for line in lines:
                number, _, name = line.strip().partition(" ")
                if number.isdigit() and int(number) < _MAX_KEYWORDS and name:
                    keywords[chr(ord("a") + int(number))] = name
    except FileNotFoundError:
        return {}
    return keywords


def _read_uidls(directory: str) -> dict[str, str]:
    """From lines like "12 W2048 P0000000c5d1e :name": fields after the UID begin with the letter that names them."""
    uidls: dict[str, str] = {}
    try:
        with open(f"{directory}/dovecot-uidlist", encoding="utf-8", errors="surrogateescape") as lines:
            for line in lines:
                fields, colon, name = line.rstrip("\n").partition(" :")
                number, *extra = fields.split(" ")
                uidl = next((each[1:] for each in extra if each.startswith("P")), "")
                if colon and number.isdigit() and uidl:
                    uidls[_INFO.sub("", name)] = uidl
    except FileNotFoundError:
        return {}
    return uidls


def read_flags(name: str, keywords: Mapping[str, str]) -> frozenset[str]:
    info = _INFO.search(name)
    if info is None:
        return frozenset()
    return frozenset(flag for each in info[1] if (flag := _FLAGS.get(each) or keywords.get(each)))
