"""One of several processes that change one account at once; it writes down what it was told.

    python store_writer.py DIRECTORY NAME ROUNDS

One JSON line in DIRECTORY/NAME.diary per change: {"what": "add" | "move" | "expunge", "is_done", "from", "to", "token"}
with (mailbox, UID) pairs; first without, then with `is_done`, so that a kill leaves what was under way.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TextIO

from posthouse.adapters.sqlite.store import SqliteStore
from posthouse.message.mailbox import MailboxId, UidRange, UidSet
from posthouse.ports.store import FlagEdit, FlagMode
from tests.adapters.store_messages import ACCOUNT, ALL, make_addition, open_store

INBOX, WORK = MailboxId(1), MailboxId(2)
_ADDED = 5


class Writer:
    """`number` of a message is its token: the name's first letter times a million, and a count."""

    def __init__(self, store: SqliteStore, diary: TextIO, name: str) -> None:
        self._store, self._diary = store, diary
        self._name = name
        self._count = ord(name[0]) * 1_000_000

    def note(self, what: str, token: int, *, is_done: bool = False, **places: object) -> None:
        line = {"what": what, "token": token, "is_done": is_done, **places}
        self._diary.write(json.dumps(line) + "\n")
        self._diary.flush()

    async def add(self) -> tuple[int, int]:
        """Token and UID."""
        self._count += 1
        token = self._count
        self.note("add", token)
        (added,) = await self._store.messages.add(ACCOUNT, [make_addition(token, INBOX)])
        self.note("add", token, is_done=True, to=[INBOX, added.uids[0]])
        return token, added.uids[0]

    async def move(self, token: int, uid: int) -> None:
        self.note("move", token)
        moved = await self._store.messages.move(ACCOUNT, INBOX, (UidRange(uid, uid),), ACCOUNT, WORK)
        assert moved.source == (uid,)
        self.note("move", token, is_done=True, to=[WORK, moved.target[0]])

    async def expunge(self, token: int, uid: int) -> None:
        self.note("expunge", token)
        uids = (UidRange(uid, uid),)
        await self.flag(INBOX, uids, "\\Deleted")
        assert await self._store.messages.expunge(ACCOUNT, INBOX, uids) == uids
        self.note("expunge", token, is_done=True)

    async def flag(self, mailbox: MailboxId, uids: UidSet, *names: str, mode: FlagMode = FlagMode.ADD) -> None:
        await self._store.messages.set_flags(ACCOUNT, mailbox, uids, FlagEdit(mode, frozenset(names)))

    async def play(self, number: int) -> None:
        added = await asyncio.gather(*(self.add() for _ in range(_ADDED)))
        await self.flag(INBOX, (UidRange(added[0][1], added[0][1]),), "\\Flagged", self._name)
        await asyncio.gather(self.move(*added[1]), self.expunge(*added[2]), self.move(*added[3]))
        mode = FlagMode.ADD if number % 2 else FlagMode.REMOVE
        await self.flag(WORK, ALL, "\\Seen", mode=mode)


async def main(path: Path, name: str, rounds: int) -> None:
    with (path / f"{name}.diary").open("w") as diary:
        async with open_store(path) as store:
            writer = Writer(store, diary, name)
            for number in range(rounds):
                await writer.play(number)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
