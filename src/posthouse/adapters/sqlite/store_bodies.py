"""Bodies: immutable octets, once per shard, found by their SHA-256; large ones are files (docs/internals.md "A body").

SHA-256 because the processors at hand compute it in hardware: 3.2 against 5.5 us for BLAKE2b of 4 KiB. A file is
fsynced before it is handed over and renamed under the shard's lock, before its row is committed.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import cast

import apsw
import msgspec

from posthouse.adapters.files import Files
from posthouse.adapters.sqlite.bulk import Value, insertion, padded
from posthouse.adapters.sqlite.disk import Disk, FileBody, FileBodyWriter
from posthouse.adapters.sqlite.store_sql import IN_LIST, JsonRow, numbers_json, select_rows
from posthouse.ports.spool import Body, SpoolError
from posthouse.ports.store import StoreBroken, StoreError

_COLUMNS = 5
_INSERT_BODIES = insertion("body", _COLUMNS)
_LOOK_UP = """SELECT '[[[' || (SELECT coalesce(max(body), 0) FROM body) || ']],'
|| (SELECT json_group_array(json_array(hex(hash), body, unreferenced IS NOT NULL))
FROM json_each(?) CROSS JOIN body ON hash = unhex(value)) || ']'"""
_read_groups = msgspec.json.Decoder(list[list[JsonRow]]).decode
REFERENCED = (
    "EXISTS (SELECT 1 FROM email WHERE email.body = body.body)"
    " OR EXISTS (SELECT 1 FROM submission WHERE submission.wire = body.body AND submission.wire <> 0)"
)


class HashedBody(FileBody):
    """A file in the shard's tmp/, durable, whose hash is known; after it was added it lies in bodies/."""

    __slots__ = ("hash",)

    def __init__(self, disk: Disk, path: str, size: int, digest: bytes) -> None:
        super().__init__(disk, path, size)
        self.hash = digest


class HashedBodyWriter(FileBodyWriter):
    """The hash is made where the file is written, beside the event loop."""

    def __init__(self, disk: Disk, path: str) -> None:
        super().__init__(disk, path)
        self._hash = sha256()

    def _write_pieces(self) -> None:
        for piece in self._pieces:
            self._hash.update(piece)
        super()._write_pieces()

    async def finish(self) -> Body:
        await super().finish()
        return HashedBody(self._disk, self._path, self._size, self._hash.digest())


def body_path(folder: str, digest: bytes) -> str:
    name = digest.hex()
    return f"{folder}/{name[:2]}/{name}"


class BodyShelf:
    """Gives bodies their rows, inside a transaction under the shard's lock."""

    def __init__(self, files: Files, folder: str) -> None:
        self._files = files
        self.folder = folder
        self._folders: set[str] = set()  # known to be durable

    def put(self, connection: apsw.Connection, bodies: Iterable[Body]) -> dict[int, int]:
        """Row numbers by `id(body)`."""
        hashed = {id(body): (body, _hash(body)) for body in bodies}
        wanted = "[" + ",".join({f'"{digest.hex()}"' for _, digest in hashed.values()}) + "]"
        rows: dict[bytes, int] = {}
        revived: list[int] = []
        ((last,),), found = _read_groups(cast(str, connection.execute(_LOOK_UP, (wanted,)).get))
        for row in found:
            rows[bytes.fromhex(cast(str, row[0]))] = cast(int, row[1])
            if row[2]:
                revived.append(cast(int, row[1]))
        if revived:
            connection.execute(f"UPDATE body SET unreferenced = NULL WHERE body {IN_LIST}", (numbers_json(revived),))
        self._insert(connection, cast(int, last), hashed.values(), rows)
        return {key: rows[digest] for key, (_, digest) in hashed.items()}

    def _insert(
        self, connection: apsw.Connection, last: int, hashed: Iterable[tuple[Body, bytes]], rows: dict[bytes, int]
    ) -> None:
        values: list[Value] = []
        folders: set[str] = set()
        for body, digest in hashed:
            if digest in rows:
                self._drop(body)
                continue
            rows[digest] = last = last + 1
            if isinstance(body, HashedBody):
                folders.add(self._place(body))
            values += (last, digest, body.size, None, body.inline)
        try:
            for folder in folders:
                self._files.sync_directory(folder)
        except OSError as error:  # the renames may be lost, and so would be every later one
            raise StoreBroken(f"disk failed: {error}") from error
        for sql, bindings in padded(_INSERT_BODIES, _COLUMNS, values):
            connection.execute(sql, bindings)

    def _place(self, body: HashedBody) -> str:
        target = body_path(self.folder, body.hash)
        folder = os.path.dirname(target)
        if body.path != target:
            self._open_folder(folder)
            self._files.rename(body.path, target)
            body.path = target
        elif not os.path.exists(target):  # placed by a commit that failed, and swept since
            raise StoreError("body is gone")
        return folder

    def _open_folder(self, folder: str) -> None:
        """Durable: whoever made it may have been killed before the sync of what it is in."""
        if folder in self._folders:
            return
        is_there = os.path.isdir(folder)
        try:
            if is_there or not self._files.make_directory(folder):
                self._files.sync_directory(self.folder)
        except OSError as error:
            if os.path.isdir(folder):  # so it was the sync
                raise StoreBroken(f"disk failed: {error}") from error
            raise
        self._folders.add(folder)

    def _drop(self, body: Body) -> None:
        """The octets are here already: one file of them is enough."""
        if isinstance(body, HashedBody) and body.path != (target := body_path(self.folder, body.hash)):
            with contextlib.suppress(OSError):
                self._files.unlink(body.path)
            body.path = target

    # Removal.

    def remove_rows(self, connection: apsw.Connection, before_us: int, limit: int) -> tuple[int, list[bytes]]:
        """Rows that nothing has referred to since then: how many went, and the hashes of those that have files."""
        found = select_rows(
            connection,
            "body, h, f",
            "SELECT body, hex(hash) AS h, octets IS NULL AS f FROM body WHERE unreferenced IS NOT NULL"
            f" AND unreferenced <= ? AND NOT ({REFERENCED}) LIMIT ?",
            (before_us, limit),
        )
        bodies = [cast(int, row[0]) for row in found]
        connection.execute(f"DELETE FROM body WHERE body {IN_LIST}", (numbers_json(bodies),))
        return len(bodies), [bytes.fromhex(cast(str, row[1])) for row in found if row[2]]

    def unlink_orphans(self, connection: apsw.Connection, digests: Sequence[bytes]) -> int:
        """Under the lock, in a transaction: nobody can give one of them a row meanwhile."""
        count = 0
        for digest in digests:
            if connection.execute("SELECT 1 FROM body WHERE hash = ?", (digest,)).get is None:
                with contextlib.suppress(OSError):
                    self._files.unlink(body_path(self.folder, digest))
                    count += 1
        return count


def release_bodies(connection: apsw.Connection, bodies: Iterable[int], now_us: int) -> None:
    """Those of them that nothing refers to any more."""
    connection.execute(
        f"UPDATE body SET unreferenced = ? WHERE body {IN_LIST} AND unreferenced IS NULL AND NOT ({REFERENCED})",
        (now_us, numbers_json(set(bodies))),
    )


def _hash(body: Body) -> bytes:
    inline = body.inline
    if inline is not None:
        return sha256(inline).digest()
    if isinstance(body, HashedBody):
        return body.hash
    raise StoreError("body is neither in memory nor written by open_body")


def read_stored(connection: apsw.Connection, folder: str, body: int, offset: int, length: int) -> bytes:
    """Octets of a body; fewer at its end. Raises SpoolError when the file is gone."""
    found = connection.execute(
        "SELECT hash, substr(octets, ?, ?), octets IS NULL FROM body WHERE body = ?", (offset + 1, length, body)
    ).fetchone()
    if found is None:
        raise SpoolError("body is gone")
    digest, octets, is_file = cast("tuple[bytes, bytes | None, int]", found)
    if not is_file:
        return octets or b""
    try:
        return Files().read(body_path(folder, digest), offset, length)
    except OSError as error:
        raise SpoolError(f"cannot read body: {error}") from error
