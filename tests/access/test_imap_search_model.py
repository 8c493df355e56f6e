"""Whatever is searched for, IMAP finds what looking at every message finds; on both stores."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.access.imap_kit import Client, Office, letter, open_office
from tests.adapters.search_kit import open_library

WORDS = ("cat", "Dog", "bird", "fish")
FLAGS = ("\\Seen", "\\Flagged", "\\Deleted", "$Work")
COUNT = 9
START = 1_700_000_000.0  # 14 November 2023


@dataclass(frozen=True)
class Mail:
    uid: int
    subject: str
    text: str
    flags: frozenset[str]
    received: float
    size: int

    @property
    def day(self) -> datetime:
        return datetime.fromtimestamp(self.received, UTC).replace(hour=0, minute=0, second=0, microsecond=0)


Test = Callable[[Mail], bool]
Key = tuple[str, Test]


@dataclass
class Room:
    runner: asyncio.Runner
    client: Client
    mails: list[Mail]  # in the order of sequence numbers

    def talk(self, line: bytes) -> bytes:
        return self.runner.run(self._talk(line))

    async def _talk(self, line: bytes) -> bytes:
        answer = await self.client.talk(line)
        while b"a OK " not in answer:  # a store of files works in threads
            await asyncio.to_thread(bool)
            answer += self.client.wire.take()
        return answer


async def make_room(office: Office) -> tuple[Client, list[Mail]]:
    mails = []
    for number in range(COUNT):
        subject = f"{WORDS[number % 4]} {number}"
        text = " ".join(WORDS[place] for place in range(4) if (number * 5 + 3) >> place & 1)
        flags = frozenset(name for place, name in enumerate(FLAGS) if number >> place & 1)
        received = START + number * 40_000
        (added,) = await office.add(letter(subject, f"{text}\n"), flags=sorted(flags), date=(received, 0))
        mails.append(Mail(added.uids[0], subject, text, flags, received, added.size))
    await office.add(letter("gone"))
    await office.expunge(4, COUNT + 1)
    client = await office.enter()
    await client.select()
    return client, [mail for mail in mails if mail.uid != 4]


@pytest.fixture(scope="module", params=["memory", "sqlite"])
def room(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with asyncio.Runner() as runner:
        office = runner.run(open_office())
        opened = open_library(tmp_path_factory.mktemp("room"))
        if request.param == "sqlite":
            office.store = runner.run(opened.__aenter__()).store
        made = Room(runner, *runner.run(make_room(office)))
        made.talk(b"a NOOP")
        yield made
        if request.param == "sqlite":
            runner.run(opened.__aexit__(None, None, None))


def has(flag: str) -> Test:
    return lambda mail: flag in mail.flags


def day_key(name: str, days: int) -> Key:
    day = datetime.fromtimestamp(START, UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=days)
    tests: dict[str, Test] = {
        "SINCE": lambda mail: mail.day >= day,
        "BEFORE": lambda mail: mail.day < day,
        "ON": lambda mail: mail.day == day,
    }
    return f"{name} {day:%d-%b-%Y}", tests[name]


def text_key(name: str, word: str) -> Key:
    wanted = word.lower()
    tests: dict[str, Test] = {
        "SUBJECT": lambda mail: wanted in mail.subject.lower(),
        "BODY": lambda mail: wanted in mail.text.lower(),
        "TEXT": lambda mail: wanted in f"{mail.subject} {mail.text}".lower(),
        "HEADER SUBJECT": lambda mail: wanted in mail.subject.lower(),
        "FUZZY BODY": lambda mail: wanted in mail.text.lower(),
    }
    return f'{name} "{word}"', tests[name]


FIXED: list[Key] = [
    ("ALL", lambda mail: True),
    ("SEEN", has("\\Seen")),
    ("UNSEEN", lambda mail: "\\Seen" not in mail.flags),
    ("FLAGGED", has("\\Flagged")),
    ("UNDELETED", lambda mail: "\\Deleted" not in mail.flags),
    ("KEYWORD $work", has("$Work")),
    ("UNKEYWORD $Work", lambda mail: "$Work" not in mail.flags),
    ("ANSWERED", lambda mail: False),
    ("OLD", lambda mail: True),
    ("NEW", lambda mail: False),
    ("RECENT", lambda mail: False),
]
KEYS: st.SearchStrategy[Key] = st.one_of(
    st.sampled_from(FIXED),
    st.builds(day_key, st.sampled_from(["SINCE", "BEFORE", "ON"]), st.integers(-1, 5)),
    st.builds(
        text_key, st.sampled_from(["SUBJECT", "BODY", "TEXT", "HEADER SUBJECT", "FUZZY BODY"]), st.sampled_from(WORDS)
    ),
    st.builds(lambda octets: (f"LARGER {octets}", lambda mail: mail.size > octets), st.integers(150, 260)),
    st.builds(lambda octets: (f"SMALLER {octets}", lambda mail: mail.size < octets), st.integers(150, 260)),
    st.builds(
        lambda low, high: (f"UID {low}:{high}", lambda mail: min(low, high) <= mail.uid <= max(low, high)),
        st.integers(1, 12),
        st.integers(1, 12),
    ),
)
PROGRAMS = st.recursive(
    KEYS,
    lambda keys: st.one_of(
        st.builds(lambda key: (f"NOT {key[0]}", lambda mail: not key[1](mail)), keys),
        st.builds(lambda a, b: (f"OR {a[0]} {b[0]}", lambda mail: a[1](mail) or b[1](mail)), keys, keys),
        st.builds(lambda a, b: (f"({a[0]} {b[0]})", lambda mail: a[1](mail) and b[1](mail)), keys, keys),
    ),
    max_leaves=6,
)


@settings(max_examples=60)
@given(PROGRAMS)
def test_every_program_finds_what_it_should(room: Room, program: Key) -> None:
    text, test = program
    numbers = [(at, mail.uid) for at, mail in enumerate(room.mails, 1) if test(mail)]
    answer = room.talk(f"a SEARCH {text}".encode())
    assert answer == b"* SEARCH%b\r\na OK Search completed\r\n" % b"".join(b" %d" % at for at, _ in numbers)
    answer = room.talk(f"a UID SEARCH RETURN (COUNT MIN MAX) {text}".encode())
    bounds = f" MIN {numbers[0][1]} MAX {numbers[-1][1]}" if numbers else ""
    assert answer.startswith(f'* ESEARCH (TAG "a") UID{bounds} COUNT {len(numbers)}\r\n'.encode())


@settings(max_examples=40)
@given(PROGRAMS, st.sampled_from(["SUBJECT", "ARRIVAL", "SIZE"]), st.booleans())
def test_sorting_orders_what_searching_finds(room: Room, program: Key, name: str, is_reverse: bool) -> None:
    text, test = program
    keys: dict[str, Callable[[Mail], str | float]] = {
        "SUBJECT": lambda mail: mail.subject.upper(),
        "ARRIVAL": lambda mail: mail.received,
        "SIZE": lambda mail: float(mail.size),
    }
    found = sorted(filter(test, room.mails), key=keys[name], reverse=is_reverse)
    order = f"REVERSE {name}" if is_reverse else name
    answer = room.talk(f"a UID SORT ({order}) UTF-8 {text}".encode())
    assert answer.split(b"\r\n")[0] == b"* SORT%b" % b"".join(b" %d" % mail.uid for mail in found)


@settings(max_examples=40)
@given(PROGRAMS, st.integers(1, 12), st.integers(1, 12), st.booleans())
def test_a_window_shows_that_part_of_the_result(
    room: Room, program: Key, one: int, other: int, from_the_end: bool
) -> None:
    text, test = program
    low, high = sorted((one, other))
    found = [mail.uid for mail in room.mails if test(mail)]
    wanted = found[::-1][low - 1 : high][::-1] if from_the_end else found[low - 1 : high]
    window = f"-{low}:-{high}" if from_the_end else f"{low}:{high}"
    answer = room.talk(f"a UID SEARCH RETURN (PARTIAL {window} SAVE) {text}".encode())
    assert answer.startswith(f'* ESEARCH (TAG "a") UID PARTIAL ({window} '.encode())
    answer = room.talk(b"a UID SEARCH $")
    assert answer.startswith(b"* SEARCH%b\r\n" % b"".join(b" %d" % uid for uid in wanted))
