"""Which files of the journal mention an id, a Message-ID or an address: what makes `trace` quick.

`journal/index.db` says only "this term is somewhere in that file"; the records are then read from the file itself.
It is built behind the journal by whoever asks or tends, may lag, and may be deleted at any time: it is made anew.
Where it cannot be written (a full disk), every file is read instead.
Terms are kept as 63-bit hashes; a collision costs reading a file in vain.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path

import apsw
import msgspec

from posthouse.adapters.journal import find_text_size, list_files, read_lines
from posthouse.ports.history import Record, list_terms

VERSION = 1
_BATCH_LINES = 100_000

_CREATE = """
CREATE TABLE files (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, octets INTEGER NOT NULL);
CREATE TABLE terms (hash INTEGER NOT NULL, file INTEGER NOT NULL, PRIMARY KEY (hash, file)) WITHOUT ROWID;
"""
_FIND_FILES = "SELECT DISTINCT name FROM terms JOIN files ON number = file WHERE hash = ?"
_READ_FILES = "SELECT name, number, octets FROM files"
_ADD_FILE = """
INSERT INTO files (name, octets) VALUES (?, 0) ON CONFLICT (name) DO UPDATE SET name = name RETURNING number
"""
_ADD_TERM = "INSERT OR IGNORE INTO terms (hash, file) VALUES (?, ?)"
_NOTE_OCTETS = "UPDATE files SET octets = ? WHERE number = ?"
_FORGET_TERMS = "DELETE FROM terms WHERE file = ?"
_FORGET_FILE = "DELETE FROM files WHERE number = ?"

_decode = msgspec.json.Decoder(dict[str, object]).decode


class JournalIndex:
    """A `ports.history.History` over the journal below `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._path = root / "index.db"
        self._connection: apsw.Connection | None = None
        self._is_usable = True

    def find(self, terms: Collection[str]) -> Sequence[Record]:
        wanted = {term.lower() for term in terms}
        names = self._list_mentioning(wanted)
        records: list[Record] = []
        for path in list_files(self._root):
            if names is None or _name_of(path) in names:
                records.extend(_scan(path, wanted))
        return sorted(records, key=_read_time)

    def catch_up(
        self, on_progress: Callable[[int, int], None] = lambda done, total: None, *, only_closed: bool = False
    ) -> None:
        """Index what the journal has and the index has not; forget files that are gone."""
        try:
            self._catch_up(on_progress, only_closed)
        except (apsw.FullError, apsw.IOError, apsw.ReadOnlyError, apsw.CantOpenError, apsw.BusyError):
            self._is_usable = False

    def _catch_up(self, on_progress: Callable[[int, int], None], only_closed: bool) -> None:
        connection = self._open()
        known = {str(name): (int(number), int(octets)) for name, number, octets in connection.execute(_READ_FILES)}
        paths = list_files(self._root)
        for done, path in enumerate(paths):
            on_progress(done, len(paths))
            file = known.pop(_name_of(path), None)
            if path.suffix == ".gz" or not only_closed:
                self._index_file(connection, path, file)
        for number, _ in known.values():
            with connection:
                connection.execute(_FORGET_TERMS, (number,))
                connection.execute(_FORGET_FILE, (number,))
        on_progress(len(paths), len(paths))

    def rebuild(self) -> None:
        """Start from nothing; `catch_up` fills it again."""
        self.close()
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self._path}{suffix}").unlink(missing_ok=True)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> apsw.Connection:
        if self._connection is None:
            try:
                self._connection = self._open_checked()
            except (apsw.NotADBError, apsw.CorruptError, _OtherVersion):
                self.rebuild()
                self._connection = self._open_checked()
        return self._connection

    def _open_checked(self) -> apsw.Connection:
        self._root.mkdir(parents=True, exist_ok=True)
        connection = apsw.Connection(str(self._path))
        try:
            connection.set_busy_timeout(5000)
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = OFF")  # it can be made anew
            version = connection.pragma("user_version")
            if version == 0:
                with connection:
                    connection.execute(_CREATE)
                    connection.execute(f"PRAGMA user_version = {VERSION}")
            elif version != VERSION:
                raise _OtherVersion
        except BaseException:
            connection.close()
            raise
        return connection

    def _list_mentioning(self, terms: Iterable[str]) -> set[str] | None:
        """None: it cannot be said."""
        if not self._is_usable:
            return None
        connection = self._open()
        return {str(name) for term in terms for (name,) in connection.execute(_FIND_FILES, (_hash(term),))}

    def _index_file(self, connection: apsw.Connection, path: Path, known: tuple[int, int] | None) -> None:
        number, octets = known or (0, 0)
        if known is not None and octets & 0xFFFFFFFF == find_text_size(path):
            return
        for batch in _read_batches(path, octets):
            hashes = sorted({_hash(term) for line in batch for term in _terms_of(line)})
            octets += sum(map(len, batch))
            with connection:
                if not number:
                    number = int(str(connection.execute(_ADD_FILE, (_name_of(path),)).get))
                connection.executemany(_ADD_TERM, ((value, number) for value in hashes))
                connection.execute(_NOTE_OCTETS, (octets, number))


class _OtherVersion(Exception):
    pass


def _name_of(path: Path) -> str:
    """The same before and after compression."""
    return f"{path.parent.name}/{path.name.removesuffix('.gz')}"


def _hash(term: str) -> int:
    digest = hashlib.blake2b(term.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def _read_batches(path: Path, octets: int) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    for line in read_lines(path, octets):
        batch.append(line)
        if len(batch) == _BATCH_LINES:
            yield batch
            batch = []
    if batch:
        yield batch


def _parse(line: bytes) -> Record:
    try:
        return _decode(line)
    except msgspec.DecodeError:
        return {}


def _terms_of(line: bytes) -> set[str]:
    return list_terms(_parse(line))


def _scan(path: Path, wanted: set[str]) -> Iterator[Record]:
    needles = [msgspec.json.encode(term)[1:-1] for term in wanted]
    for line in read_lines(path):
        lowered = line.decode("utf-8", "replace").lower().encode() if not line.isascii() else line.lower()
        if any(needle in lowered for needle in needles):
            record = _parse(line)
            if wanted & list_terms(record):
                yield record


def _read_time(record: Record) -> float:
    at = record.get("at")
    return float(at) if isinstance(at, int | float) else 0.0
