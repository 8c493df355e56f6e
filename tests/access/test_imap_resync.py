"""QRESYNC (RFC 7162 §3.2): a client that left at any moment comes back and has what the store has."""

from __future__ import annotations

import asyncio
import re
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.ms.uidsets import from_list
from posthouse.ports.store import FlagEdit, FlagMode
from posthouse.protocol.imap.render import write_uids
from tests.access.imap_kit import ALICE, Client, Office, letter, open_office
from tests.access.mirror_kit import Flags, read_fetch, read_ranges, split_responses
from tests.conformance import store_kit

FLAGS = ("\\Seen", "\\Deleted", "\\Flagged", "$Work")
SIMPLE = letter("hello")
Rows = dict[int, Flags]


@dataclass
class Cache:
    """What a client knew when it left."""

    uidvalidity: int
    highest: int
    rows: Rows


@dataclass
class History:
    office: Office
    random: Random
    caches: list[Cache] = field(default_factory=list)

    async def rows(self) -> Rows:
        messages = self.office.store.messages
        view, table = await messages.snapshot(ALICE, await self.office.inbox()), await messages.keywords(ALICE)
        return {uid: frozenset(table.flags_of(bits)) for uid, bits in zip(view.uids, view.flags, strict=True)}

    async def keep(self) -> None:
        mailbox = await self.office.store.mailboxes.get(ALICE, await self.office.inbox())
        self.caches.append(Cache(mailbox.uidvalidity, max(mailbox.modseq, 1), await self.rows()))

    async def happen(self, steps: int) -> None:
        await self.keep()
        for _ in range(steps):
            await self._step()
            await self.keep()

    async def _step(self) -> None:
        rows, random, messages, inbox = (
            await self.rows(),
            self.random,
            self.office.store.messages,
            await self.office.inbox(),
        )
        what = random.random()
        if not rows or what < 0.4:
            await self.office.add(*[SIMPLE] * random.randint(1, 3), flags=random.sample(FLAGS, random.randrange(3)))
            return
        chosen = from_list(random.sample(list(rows), min(len(rows), random.randint(1, 3))))
        if what < 0.7:
            edit = FlagEdit(random.choice(list(FlagMode)), frozenset({random.choice(FLAGS)}))
            await messages.set_flags(ALICE, inbox, chosen, edit)
            return
        await messages.set_flags(ALICE, inbox, chosen, FlagEdit(FlagMode.ADD, frozenset({"\\Deleted"})))
        await messages.expunge(ALICE, inbox, chosen)


@dataclass
class Heard:
    gone: set[int] = field(default_factory=set)
    flags: Rows = field(default_factory=dict)
    modseqs: dict[int, int] = field(default_factory=dict)
    count: int = 0

    def apply(self, rows: Rows) -> Rows:
        kept = {uid: flags for uid, flags in rows.items() if uid not in self.gone}
        return dict(sorted({**kept, **self.flags}.items()))


def listen(data: bytes) -> Heard:
    heard = Heard()
    for response in split_responses(data):
        vanished = re.fullmatch(rb"\* VANISHED \(EARLIER\) ([0-9,:]+)", response)
        if vanished:
            assert not heard.flags, "VANISHED comes first (RFC 7162 §3.2.6)"
            heard.gone |= {uid for low, high in read_ranges(vanished[1], 0) for uid in range(low, high + 1)}
        exists = re.fullmatch(rb"\* (\d+) EXISTS", response)
        heard.count = int(exists[1]) if exists else heard.count
        fetched = re.fullmatch(rb"\* (\d+) FETCH (.*)", response)
        if fetched:
            uid, flags, modseq = read_fetch(fetched[2])
            assert uid is not None and flags is not None and modseq is not None
            assert 1 <= int(fetched[1]) <= heard.count or not heard.count
            heard.flags[uid] = flags
    return heard


async def ask(client: Client, line: bytes) -> bytes:
    """The answer, however long a store takes."""
    client.session.receive(line + b"\r\n")
    while client.session._task is not None:
        await asyncio.wait([client.session._task])
    return await client.hear()


async def come_back(client: Client, cache: Cache, more: bytes = b"") -> Heard:
    parameters = b"%d %d%b" % (cache.uidvalidity, cache.highest, more)
    answer = await ask(client, b"s SELECT INBOX (QRESYNC (%b))" % parameters)
    assert b"\r\ns OK " in answer
    return listen(answer)


async def check_all(history: History) -> None:
    """For every moment."""
    client = await history.office.enter()
    await client.enable("QRESYNC")
    rows, random = await history.rows(), history.random
    for cache in history.caches:
        heard = await come_back(client, cache)
        assert heard.apply(cache.rows) == rows and heard.count == len(rows)
        assert not heard.gone & rows.keys()

        known = {uid for uid in cache.rows if random.random() < 0.6}
        if known:
            written = write_uids(from_list(known))
            pairs = write_pairs(cache, known, random)
            heard = await come_back(client, cache, b" %b%b" % (written, pairs))
            assert heard.apply({uid: cache.rows[uid] for uid in known}) == {
                uid: flags for uid, flags in rows.items() if uid in known
            }
            assert heard.gone <= known and heard.flags.keys() <= known

        await ask(client, b"x SELECT INBOX")
        answer = await ask(client, b"f UID FETCH 1:* (FLAGS) (CHANGEDSINCE %d VANISHED)" % cache.highest)
        assert answer.endswith(b"f OK Fetched\r\n")
        if rows:  # otherwise 1:* is nothing
            heard = listen(answer)
            highest = max(rows)
            assert heard.apply({uid: flags for uid, flags in cache.rows.items() if uid <= highest}) == rows
    await client.lose()


def write_pairs(cache: Cache, known: set[int], random: Random) -> bytes:
    """Some message numbers as they were, and their UIDs (RFC 7162 §3.2.5.2)."""
    uids = sorted(cache.rows)
    chosen = sorted(random.sample(range(len(uids)), random.randrange(len(uids))))
    if not chosen or random.random() < 0.3:
        return b""
    numbers = b",".join([b"%d" % (at + 1) for at in chosen])
    return b" (%b %b)" % (numbers, b",".join([b"%d" % uids[at] for at in chosen]))


async def live(seed: int, steps: int, forget_at: int | None) -> None:
    office = await open_office()
    history = History(office, Random(seed))
    await history.happen(steps)
    if forget_at is not None:
        modseq = await office.store.changes.modseq(ALICE)
        office.memory.forget_changes(ALICE, type(modseq)(modseq * forget_at // 10))
    await check_all(history)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.integers(0, 12), st.none() | st.integers(0, 10))
def test_a_client_that_left_at_any_moment_has_what_the_store_has(seed: int, steps: int, forget_at: int | None) -> None:
    asyncio.run(live(seed, steps, forget_at))


async def live_on_sqlite(opened: AbstractAsyncContextManager[store_kit.Office], seed: int, forgets: bool) -> None:
    async with opened as store:
        office = await open_office()
        office.store = store.store
        history = History(office, Random(seed))
        await history.happen(8)
        if forgets:
            await store.control.forget_changes(ALICE, await office.store.changes.modseq(ALICE))
        await check_all(history)


@pytest.mark.parametrize("forgets", [False, True])
def test_the_same_on_sqlite(forgets: bool) -> None:
    for seed in range(2):
        with TemporaryDirectory() as folder:
            asyncio.run(live_on_sqlite(store_kit.open_sqlite(Path(folder)), seed, forgets))


@pytest.mark.soak
def test_many_histories() -> None:
    for seed in range(2_000):
        asyncio.run(live(seed, 30, None if seed % 2 else seed % 10))


async def test_another_uidvalidity_means_that_nothing_is_known() -> None:
    office = await open_office(SIMPLE, SIMPLE)
    await office.expunge(1)
    client = await office.enter()
    await client.enable("QRESYNC")
    heard = await come_back(client, Cache(7, 1, {}))
    assert (heard.count, heard.gone, heard.flags) == (1, set(), {})


async def test_qresync_has_to_be_enabled_and_nothing_is_changed_without() -> None:
    office = await open_office(SIMPLE)
    client = await office.enter()
    await client.select()
    answer = await client.talk(b"a SELECT INBOX (QRESYNC (1 1))", b"b CHECK")
    assert answer.startswith(b"a BAD ") and b"\r\nb OK " in answer


async def test_a_mailbox_that_was_never_used_has_nothing_to_tell() -> None:
    office = await open_office()
    client = await office.enter()
    await client.enable("QRESYNC")
    mailbox = await office.store.mailboxes.get(ALICE, await office.inbox())
    heard = await come_back(client, Cache(mailbox.uidvalidity, 1, {}), b" 1:5")
    assert heard.gone == set()


async def test_a_large_mailbox_is_resynchronised_like_any_other() -> None:
    office = await open_office(SIMPLE, SIMPLE, SIMPLE, large_mailbox=1)
    history = History(office, Random(1))
    await history.keep()
    await office.flag(2, "\\Flagged")
    await office.expunge(3)
    client = await office.enter()
    await client.enable("QRESYNC")
    heard = await come_back(client, history.caches[0])
    assert (heard.gone, set(heard.flags), heard.count) == ({3}, {2}, 2)


async def test_what_vanished_is_told_by_uid_fetch_only_with_qresync() -> None:
    office = await open_office(SIMPLE, SIMPLE)
    client = await office.enter()
    await client.select()
    assert (await client.talk(b"a UID FETCH 1:* FLAGS (CHANGEDSINCE 1 VANISHED)")).startswith(b"a BAD ")
    await client.enable("QRESYNC")
    assert (await client.talk(b"b UID FETCH 1:* FLAGS (VANISHED)")).startswith(b"b BAD ")
    assert (await client.talk(b"c FETCH 1:* FLAGS (CHANGEDSINCE 1 VANISHED)")).startswith(b"c BAD ")


async def test_the_answer_to_expunge_says_from_where_to_come_back() -> None:
    """RFC 7162 §3.2.9."""
    office = await open_office(SIMPLE, SIMPLE, SIMPLE)
    client = await office.enter()
    await client.enable("QRESYNC")
    await client.select()
    answer = await client.talk(b"a STORE 2 +FLAGS.SILENT (\\Deleted)", b"b EXPUNGE")
    highest = re.search(rb"\* VANISHED 2\r\nb OK \[HIGHESTMODSEQ (\d+)\]", answer)
    assert highest is not None
    history = History(office, Random(0))
    await history.keep()
    assert history.caches[0].highest == int(highest[1])
