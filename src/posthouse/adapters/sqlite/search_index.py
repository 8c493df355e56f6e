"""The text index of a shard, as a search asks it: which emails of an account can match at all.

The index (migrations/search_0001.sql) holds the trigrams of every text of an email, folded as ms/texts.py folds them.
An email matches a text only if it has all its trigrams: what has not is no candidate, what has is verified by who
asked. Emails of an account are one range of rowids, so that postings of other accounts are not read, let alone counted.

Trusts nothing: an index that is missing, damaged, of other rules or deleted under us narrows nothing, and search reads
the texts. A reader notices a new file by its inode.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import unicodedata
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import apsw

from posthouse.adapters.sqlite.database import open_reader, roll_back
from posthouse.adapters.sqlite.search_sql import Candidates
from posthouse.adapters.sqlite.store_base import StoreCore
from posthouse.adapters.sqlite.store_sql import read_number, select_numbers
from posthouse.message.casemap import fold_case
from posthouse.message.mailbox import AccountId
from posthouse.message.search import All, And, Contains, HasHeader, Or, SearchKey
from posthouse.ms.search import index_words, widen

# Changes with what ms/texts.py or `clean` make of a message.
RULES = f"1 {unicodedata.unidata_version}"
TRIGRAM = 3
SEPARATOR = "\n\n"  # behind every text, so that the last characters begin a trigram too
MAX_ACCOUNT, MAX_EMAIL = 2**31 - 1, 2**32 - 1
_MAX_TRIGRAMS = 32  # of a text that is asked for
_FIRST_DENSE = "\u1100"  # from here on scripts have many characters: few emails share two of them
_THREADS = 2

_FIND = "SELECT rowid & 0xffffffff AS n FROM trigram WHERE trigram MATCH ? AND rowid BETWEEN ? AND ?"
_FIND_SHORT = (
    "SELECT DISTINCT doc & 0xffffffff AS n FROM vocabulary WHERE term >= ? AND term < ? AND doc BETWEEN ? AND ?"
)
_UNREAD = "SELECT email AS n FROM unread WHERE account = ?"
_PROGRESS = "SELECT email FROM progress WHERE account = ?"


def row_of(account: int, email: int) -> int:
    return account << 32 | email


def can_hold(account: int, email: int) -> bool:
    return 0 <= account <= MAX_ACCOUNT and 0 <= email <= MAX_EMAIL


def clean(text: str) -> str:
    """Characters that SQLite would stumble over, each replaced by one: what contained something still does."""
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def can_narrow(key: SearchKey) -> bool:
    return bool(_words_of(key))


def _words_of(key: SearchKey) -> list[str]:
    """What must stand in some text of an email that matches, as far as the index is of use for it."""
    match key:
        case Contains():
            words = index_words(key)
        case HasHeader(_, text):
            words = [fold_case(text)]
        case _:
            return []
    return [clean(word) for word in words if len(word) >= TRIGRAM or _is_dense(word)]


def _is_dense(word: str) -> bool:
    return bool(word) and min(word) >= _FIRST_DENSE


class IndexReader:
    """Of one shard. Used in threads, one at a time."""

    def __init__(self, path: str, vfs: str = "") -> None:
        self._path, self._vfs = path, vfs
        self._lock = threading.Lock()
        self._connection: apsw.Connection | None = None
        self._inode = 0

    def find(self, account: AccountId, needed: SearchKey) -> Candidates | None:
        with self._lock:
            try:
                connection = self._open()
                if connection is None:
                    return None
                connection.execute("BEGIN")
                try:
                    return _find(connection, account, needed)
                finally:
                    roll_back(connection)
            except apsw.Error:
                self._close()
                return None

    def _open(self) -> apsw.Connection | None:
        try:
            inode = os.stat(self._path).st_ino
        except OSError:
            inode = 0
        if inode != self._inode:
            self._close()
        if self._connection is None and inode:
            connection = open_reader(self._path, vfs=self._vfs)
            try:
                is_ours = connection.execute("SELECT rules FROM state").get == RULES
            except apsw.Error:
                is_ours = False
            if not is_ours:
                connection.close()
                return None
            self._connection, self._inode = connection, inode
        return self._connection

    def _close(self) -> None:
        connection, self._connection, self._inode = self._connection, None, 0
        if connection is not None:
            with contextlib.suppress(apsw.Error):
                connection.close()

    def close(self) -> None:
        with self._lock:
            self._close()


def _find(connection: apsw.Connection, account: AccountId, needed: SearchKey) -> Candidates | None:
    through = read_number(connection, _PROGRESS, (account,))
    if not through or not can_hold(account, through):
        return None
    known: dict[str, set[int]] = {}  # a word is looked for in several fields, of which the index knows nothing
    found = _evaluate(needed, lambda word: _look_up(connection, account, word), known)
    if found is None:
        return None
    return Candidates(found.union(select_numbers(connection, _UNREAD, (account,))), through)


def _evaluate(key: SearchKey, look_up: Callable[[str], set[int]], known: dict[str, set[int]]) -> set[int] | None:
    """None: every email."""
    match key:
        case All():
            return None
        case And(of):
            return _intersect(_evaluate(part, look_up, known) for part in of)
        case Or(of):
            return _unite(_evaluate(part, look_up, known) for part in of)
        case Contains() | HasHeader():
            return _intersect(_recall(word, look_up, known) for word in _words_of(key))
        case _:  # NOTHING
            return set()


def _recall(word: str, look_up: Callable[[str], set[int]], known: dict[str, set[int]]) -> set[int]:
    if word not in known:
        known[word] = look_up(word)
    return known[word]


def _intersect(sets: Iterable[set[int] | None]) -> set[int] | None:
    found: set[int] | None = None
    for some in sets:
        if some is not None:
            found = some if found is None else found & some
        if found is not None and not found:
            break
    return found


def _unite(sets: Iterable[set[int] | None]) -> set[int] | None:
    found: set[int] = set()
    for some in sets:
        if some is None:
            return None
        found |= some
    return found


def _look_up(connection: apsw.Connection, account: AccountId, word: str) -> set[int]:
    of_account = (row_of(account, 0), row_of(account, MAX_EMAIL))
    if len(word) < TRIGRAM:
        after = word[:-1] + chr(min(ord(word[-1]) + 1, 0x10FFFF))
        return set(select_numbers(connection, _FIND_SHORT, (word, after, *of_account)))
    return set(select_numbers(connection, _FIND, (_write_query(word), *of_account)))


def _write_query(word: str) -> str:
    trigrams = list(dict.fromkeys(word[at : at + TRIGRAM] for at in range(len(word) - TRIGRAM + 1)))
    step = -(-len(trigrams) // _MAX_TRIGRAMS)
    return " AND ".join('"' + trigram.replace('"', '""') + '"' for trigram in trigrams[::step])


class SearchIndex:
    """A `search.TextIndex` over the shards of a store. `directory` is `search/` beside the store's."""

    def __init__(self, core: StoreCore, directory: str, *, vfs: str = "") -> None:
        self._core, self._directory, self._vfs = core, directory, vfs
        self._readers: dict[str, IndexReader] = {}
        self._executor = ThreadPoolExecutor(_THREADS, "search index")

    async def find(self, account: AccountId, program: SearchKey) -> Candidates | None:
        needed = widen(program, can_narrow, is_exact=False)
        if isinstance(needed, All):
            return None
        reader = self._reader(index_path(self._directory, self._core.shard(account).path))
        return await asyncio.get_running_loop().run_in_executor(self._executor, reader.find, account, needed)

    def _reader(self, path: str) -> IndexReader:
        reader = self._readers.get(path)
        if reader is None:
            reader = self._readers[path] = IndexReader(path, self._vfs)
        return reader

    async def close(self) -> None:
        for reader in self._readers.values():
            await asyncio.get_running_loop().run_in_executor(self._executor, reader.close)
        self._executor.shutdown()


def index_path(directory: str, shard_path: str) -> str:
    return f"{directory}/{os.path.basename(shard_path)}.db"
