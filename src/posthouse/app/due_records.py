"""What is to be done at a time that a record names (ports/records.py): snoozed mail is brought back.

One worker at a time does it, whoever holds the lock `store/due`; it looks every second, at a bounded number of records.
Killed anywhere, the next holder finds what is still due; a handler that is run twice does its work once. What fails is
put off by some minutes, so that it is not in the way of others.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from posthouse.access.jmap.snooze_moves import SNOOZE_KIND, wake
from posthouse.app.store_duty import DutyLock
from posthouse.message.mailbox import AccountId
from posthouse.ports.clock import Clock
from posthouse.ports.observe import Log
from posthouse.ports.records import DueRecord, Record, RecordEdit, Records
from posthouse.ports.store import Store, StoreError, StoreRefusal

LOOK_DUE_S = 1.0
_LIMIT = 100  # records of one look
_PUT_OFF_S = 300.0

# Does what is due and removes the record, or gives it another time. Returns whether there was anything to do.
Handler = Callable[[AccountId, Record], Awaitable[bool]]


class DueRecords:
    def __init__(
        self, records: Records, handlers: Mapping[str, Handler], lock: DutyLock, clock: Clock, log: Log
    ) -> None:
        self._records, self._handlers, self._lock = records, handlers, lock
        self._clock, self._log = clock, log

    async def look(self) -> None:
        """Every second. Does nothing while another worker does it."""
        try:
            if self._lock.take():
                for item in await self._records.due(self._clock.now(), _LIMIT):
                    await self._handle(item)
        except (StoreError, OSError) as error:
            self._log.warning("due records could not be looked after", error=str(error))

    def release(self) -> None:
        self._lock.release()

    async def _handle(self, item: DueRecord) -> None:
        """Raises StoreError when it could not even be put off."""
        handler = self._handlers.get(item.kind)
        if handler is None:  # of a newer program that ran here before
            await self._put_off(item)
            return
        try:
            is_done = await handler(item.account, item.record)
        except (StoreError, StoreRefusal) as error:
            told = {"kind": item.kind, "account": item.account, "record": item.record.id}
            self._log.warning("a due record is put off", error=repr(error), **told)
            await self._put_off(item)
        else:
            self._log.info("due record", kind=item.kind, account=item.account, record=item.record.id, done=is_done)

    async def _put_off(self, item: DueRecord) -> None:
        later = RecordEdit(item.record.value, item.record.id, self._clock.now() + _PUT_OFF_S)
        try:
            await self._records.edit(item.account, item.kind, [later])
        except StoreRefusal as error:  # the account went meanwhile
            self._log.info("a due record is passed over", kind=item.kind, account=item.account, error=repr(error))


def make_due_records(store: Store, records: Records, lock: DutyLock, clock: Clock, log: Log) -> DueRecords:
    async def wake_snoozed(account: AccountId, record: Record) -> bool:
        return await wake(store, records, account, record)

    return DueRecords(records, {SNOOZE_KIND: wake_snoozed}, lock, clock, log)
