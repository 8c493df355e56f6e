"""How the spool's works become rows: everything of a batch in a handful of statements.

Order inside a transaction: new messages, changes of recipients, removals, then rare jobs in the order they came. What
a file holds is durable before its row; what a row no longer names is unlinked after its commit (docs/internals.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import apsw

from posthouse.adapters.sqlite import rows
from posthouse.adapters.sqlite.bulk import Value, padded
from posthouse.adapters.sqlite.changes import find_files
from posthouse.adapters.sqlite.disk import Disk, FileBody, as_spool_error
from posthouse.adapters.sqlite.writer import Job, Work
from posthouse.ports.spool import NewMessage, QueuedMessage, Settlement, SpoolBroken


class Accept(Work[QueuedMessage]):
    __slots__ = ("new", "serial")

    def __init__(
        self, future: asyncio.Future[QueuedMessage], result: QueuedMessage, octets: int, new: NewMessage, serial: int
    ) -> None:
        super().__init__(future, result, octets)
        self.new = new
        self.serial = serial


class Settle(Work[None]):
    __slots__ = ("reports", "serial", "settlement")

    def __init__(
        self,
        future: asyncio.Future[None],
        settlement: Settlement,
        serial: int,
        reports: Sequence[tuple[NewMessage, int]],
    ) -> None:
        super().__init__(future, None)
        self.settlement = settlement
        self.serial = serial
        self.reports = reports


SpoolWork = Accept | Settle | Job[Any]


class _Sheet:
    """The values of one transaction, per table, flat."""

    __slots__ = ("bodies", "changes", "messages", "recipients", "removed", "warned")

    def __init__(self) -> None:
        self.messages: list[Value] = []
        self.bodies: list[Value] = []
        self.recipients: list[Value] = []
        self.changes: list[Value] = []
        self.warned: list[Value] = []
        self.removed: list[Value] = []

    def add_new(self, new: NewMessage, serial: int) -> None:
        rows.add_message(new, serial, self.messages)
        self.bodies += (serial, new.trace, new.body.inline)
        rows.add_recipients(new, serial, self.recipients)

    def add_settlement(self, work: Settle) -> None:
        settlement, serial = work.settlement, work.serial
        if settlement.remove:
            self.removed.append(serial)
        else:
            for change in settlement.changes:
                rows.add_change(change, serial, self.changes)
            if settlement.warned:
                self.warned.append(serial)
        for report, report_serial in work.reports:
            self.add_new(report, report_serial)

    def write(self, connection: apsw.Connection) -> None:
        for statements, columns, values in (
            (rows.INSERT_MESSAGES, rows.MESSAGE_COLUMNS, self.messages),
            (rows.INSERT_BODIES, rows.BODY_COLUMNS, self.bodies),
            (rows.INSERT_RECIPIENTS, rows.RECIPIENT_COLUMNS, self.recipients),
            (rows.CHANGE_RECIPIENTS, rows.CHANGE_COLUMNS, self.changes),
            (rows.MARK_WARNED, 1, self.warned),
            (rows.DELETE_MESSAGES, 1, self.removed),
            (rows.DELETE_BODIES, 1, self.removed),
            (rows.DELETE_RECIPIENTS, 1, self.removed),
        ):
            if values:
                for sql, bindings in padded(statements, columns, values):
                    connection.execute(sql, bindings)


class SpoolScribe:
    """`has_files`: the shard has, or ever had since it was opened, bodies in files."""

    def __init__(self, disk: Disk, bodies_path: str, *, has_files: bool) -> None:
        self._disk = disk
        self._bodies_path = bodies_path
        self._has_files = has_files

    def prepare(self, works: Sequence[SpoolWork]) -> list[SpoolWork]:
        with_files = [(work, body) for work in works for body in _file_bodies(work)]
        if not with_files:
            return list(works)
        self._has_files = True
        for work, body in with_files:
            self._place(work, body)
        try:
            self._disk.files.sync_directory(self._bodies_path)
        except OSError as error:  # the renames may be lost, and so would be every later one
            for work, _ in with_files:
                work.error = work.error or SpoolBroken(f"disk failed: {error}")
        return [work for work in works if work.error is None]

    def _place(self, work: SpoolWork, body: FileBody) -> None:
        target = f"{self._bodies_path}/{work.serial}" if isinstance(work, Accept) else ""
        try:
            self._disk.files.rename(body.path, target)
        except OSError as error:
            work.error = as_spool_error(error)
        else:
            body.path = target

    def write(self, connection: apsw.Connection, works: Sequence[SpoolWork]) -> None:
        sheet, jobs = _Sheet(), list[Job[Any]]()
        for work in works:
            if isinstance(work, Accept):
                sheet.add_new(work.new, work.serial)
            elif isinstance(work, Settle):
                sheet.add_settlement(work)
            else:
                jobs.append(work)
        # The batch is committed as one, so that its first work can stand for all.
        works[0].files = find_files(connection, sheet.removed) if self._has_files and sheet.removed else ()
        sheet.write(connection)
        for job in jobs:
            job.run(connection)

    def note_end(self, works: Sequence[SpoolWork]) -> None:
        return None

    def finish(self, works: Sequence[SpoolWork]) -> None:
        if not self._has_files:
            return
        for work in works:
            if work.error is None:
                for serial in work.files:
                    self._disk.forget(self._disk.files.unlink, f"{self._bodies_path}/{serial}")
            else:
                for body in _file_bodies(work):
                    self._disk.forget(self._disk.files.unlink, body.path)


def _file_bodies(work: SpoolWork) -> list[FileBody]:
    return [work.new.body] if isinstance(work, Accept) and isinstance(work.new.body, FileBody) else []
