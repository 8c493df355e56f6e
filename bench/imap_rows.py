"""The rows that one session makes: APPEND, FETCH, SEARCH, SORT, THREAD, STORE, COPY, LOGIN. Every answer is checked.

`first`: the server was started anew and the item was never asked of this mailbox before; `again`: the median of what
the same session asks after it.
"""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.bench import Row
from bench.imap_client import Answer, Client, read_numbers
from bench.imap_corpus import RARE_WORD, SENDER, SINCE, SUBJECT, Letter, list_matches
from bench.imap_sides import OURS, ImapSide, log_in
from bench.lab import LabError

AGAIN = 5
MAX_RUNS = 5
_SIZE = re.compile(rb"RFC822\.SIZE (\d+)")
_LITERAL = re.compile(rb"\{(\d+)\}\r\n")
_NUMBER = re.compile(rb"\d+")
_FIELDS = "BODY.PEEK[HEADER.FIELDS (DATE FROM SENDER REPLY-TO TO CC SUBJECT MESSAGE-ID REFERENCES)]"
_BODIES = 2000
_INDEXED_S = 120.0
_INDEXED = 0.1  # of the time that the same search takes without an index
Figures = dict[str, float]


@dataclass(slots=True)
class Stage:
    """One side in one run: user `number` has the letters in INBOX once `append-1` has run."""

    side: ImapSide
    number: int
    letters: Sequence[Letter]
    is_short: bool = False
    _client: Client | None = field(default=None, init=False)

    @property
    def client(self) -> Client:
        """A session that has INBOX selected."""
        if self._client is None:
            self._client = log_in(self.side, self.number)
            count = self._client.select()
            check_equal("EXISTS", count, len(self.letters))
        return self._client

    def leave(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def restart(self) -> None:
        self.leave()
        self.side.restart()


@dataclass(frozen=True, slots=True)
class Case:
    """As bench.bench.Case, on IMAP servers. `restarts`: before it the servers are started anew."""

    name: str
    rows: Sequence[Row]
    measure: Callable[[Stage], Figures]
    restarts: bool = False
    has_peer: bool = True


def check_equal(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise LabError(f"{what}: {str(found)[:200]}, not {str(wanted)[:200]}")


def measure_twice(stage: Stage, command: str, check: Callable[[Stage, Answer], None]) -> Figures:
    command = command.replace("{bodies}", str(min(_BODIES, len(stage.letters))))
    first = stage.client.run(command)
    check(stage, first)
    again = [stage.client.run(command) for _ in range(1 if stage.is_short else AGAIN)]
    check(stage, again[-1])
    return {"first_ms": first.seconds * 1e3, "again_ms": statistics.median(answer.seconds for answer in again) * 1e3}


def measure_indexed(stage: Stage, command: str, check: Callable[[Stage, Answer], None]) -> Figures:
    """`again` once the text index has seen everything: ours lets a rush of mail pass before it is made."""
    first = stage.client.run(command)
    check(stage, first)
    deadline = time.monotonic() + (0.0 if stage.is_short else _INDEXED_S)
    is_ours = stage.side.name == OURS
    while is_ours and time.monotonic() < deadline and stage.client.run(command).seconds > first.seconds * _INDEXED:
        time.sleep(1.0)
    return measure_twice(stage, command, check) | {"first_ms": first.seconds * 1e3}


# -- APPEND


def _append(stage: Stage, number: int, in_flight: int) -> Figures:
    client = log_in(stage.side, number)
    octets = [letter.octets for letter in stage.letters]
    seconds = client.append(octets, in_flight=in_flight, dates=[letter.date for letter in stage.letters])
    check_equal("EXISTS after APPEND", client.select(), len(octets))
    found = read_sizes(client.run("FETCH 1:* (RFC822.SIZE)").list_untagged(b"FETCH"))
    client.close()
    check_equal("sizes in the order of APPEND", found, [len(message) for message in octets])
    return {"rate": len(octets) / seconds}


# -- FETCH


def read_sizes(responses: Sequence[bytes]) -> list[int]:
    return [int(match[1]) for response in responses if (match := _SIZE.search(response))]


def _check_count(stage: Stage, answer: Answer) -> list[bytes]:
    found = answer.list_untagged(b"FETCH")
    check_equal("FETCH responses", len(found), len(stage.letters))
    return found


def _check_flags(stage: Stage, answer: Answer) -> None:
    if not all(b"UID " in response and b"FLAGS (" in response for response in _check_count(stage, answer)):
        raise LabError("FETCH without UID or FLAGS")


def _check_envelopes(stage: Stage, answer: Answer) -> None:
    found = _check_count(stage, answer)
    check_equal("RFC822.SIZE", read_sizes(found), [len(letter.octets) for letter in stage.letters])
    for response, letter in zip(found, stage.letters, strict=True):
        if b"ENVELOPE (" not in response or letter.subject.encode() not in response or b"INTERNALDATE" not in response:
            raise LabError(f"no envelope: {response[:200]!r}")


def _check_headers(stage: Stage, answer: Answer) -> None:
    for response, letter in zip(_check_count(stage, answer), stage.letters, strict=True):
        if f"Subject: {letter.subject}\r\n".encode() not in response or b"DKIM-Signature" in response:
            raise LabError(f"not the header fields asked for: {response[:200]!r}")


def _check_structures(stage: Stage, answer: Answer) -> None:
    for response, letter in zip(_check_count(stage, answer), stage.letters, strict=True):
        if (b"boundary" in response.lower()) != (b"Content-Type: multipart" in letter.octets):
            raise LabError(f"not its structure: {response[:200]!r}")


def _check_bodies(stage: Stage, answer: Answer) -> None:
    found = answer.list_untagged(b"FETCH")
    wanted = [letter.octets for letter in stage.letters[:_BODIES]]
    check_equal("FETCH responses", len(found), len(wanted))
    for response, octets in zip(found, wanted, strict=True):
        literal = _LITERAL.search(response)
        if not literal or response[literal.end() : literal.end() + int(literal[1])] != octets:
            raise LabError(f"not the message: {response[:200]!r}")


# -- SEARCH, SORT, THREAD


def _check_subjects(stage: Stage, answer: Answer) -> None:
    wanted = [number for number, letter in enumerate(stage.letters, 1) if SUBJECT in letter.subject]
    check_equal("SEARCH SUBJECT", read_numbers(answer.list_untagged(b"SEARCH")), wanted)


def _check_since(stage: Stage, answer: Answer) -> None:
    wanted = list(list_matches(stage.letters, since=SINCE))
    check_equal("SEARCH FROM SINCE", read_numbers(answer.list_untagged(b"SEARCH")), wanted)


def _check_rare(stage: Stage, answer: Answer) -> None:
    wanted = [number for number, letter in enumerate(stage.letters, 1) if letter.is_rare]
    check_equal("SEARCH TEXT", read_numbers(answer.list_untagged(b"SEARCH")), wanted)


def _check_by_subject(stage: Stage, answer: Answer) -> None:
    keys = [(letter.subject.removeprefix("Re: "), number) for number, letter in enumerate(stage.letters, 1)]
    check_equal("SORT (SUBJECT)", read_numbers(answer.list_untagged(b"SORT")), [key[1] for key in sorted(keys)])


def _check_by_date(stage: Stage, answer: Answer) -> None:
    found = read_numbers(answer.list_untagged(b"SORT"))
    check_equal("SORT (REVERSE DATE)", found, list(range(len(stage.letters), 0, -1)))


def _check_threads(stage: Stage, answer: Answer) -> None:
    found = b" ".join(answer.list_untagged(b"THREAD"))
    check_equal("THREAD", sorted(map(int, _NUMBER.findall(found))), list(range(1, len(stage.letters) + 1)))


# -- STORE, COPY, LOGIN


def _store(stage: Stage) -> Figures:
    """Another flag each time: a flag that is there already is no work."""
    times = []
    for flag in ("\\Flagged", "\\Answered", "\\Draft"):
        answer = stage.client.run(f"STORE 1:* +FLAGS.SILENT ({flag})")
        check_equal("FETCH responses to .SILENT", sum(b"FLAGS" in x for x in answer.list_untagged(b"FETCH")), 0)
        found = read_numbers(stage.client.run(f"SEARCH {flag.removeprefix(chr(92))}").list_untagged(b"SEARCH"))
        check_equal(f"messages with {flag}", len(found), len(stage.letters))
        times.append(answer.seconds)
    return {"ms": statistics.median(times) * 1e3}


def _copy(stage: Stage) -> Figures:
    times = []
    for number in range(3):
        target = f"Copy{number}"
        stage.client.run(f"CREATE {target}")
        times.append(stage.client.run(f"COPY 1:* {target}").seconds)
        status = stage.client.run(f"STATUS {target} (MESSAGES)").list_untagged(b"STATUS")
        check_equal("messages copied", int(_NUMBER.findall(status[0])[-1]), len(stage.letters))
    return {"ms": statistics.median(times) * 1e3}


def _log_in(stage: Stage) -> Figures:
    stage.leave()
    _time_logins(stage, 5)  # the password is known from now on
    return {"rate": _time_logins(stage, 20 if stage.is_short else 300)}


def _time_logins(stage: Stage, count: int) -> float:
    seconds = 0.0
    for _ in range(count):
        started = time.perf_counter()
        client = log_in(stage.side, stage.number)
        found = client.select()
        seconds += time.perf_counter() - started
        client.close()
        check_equal("EXISTS", found, len(stage.letters))
    return count / seconds


def _make_fetch(name: str, items: str, command: str, check: Callable[[Stage, Answer], None], factor: float) -> Case:
    rows = [
        Row(f"FETCH {items}, first time after a restart", "first_ms", "ms", "at most", factor),
        Row(f"FETCH {items}, again", "again_ms", "ms", "at most", factor),
    ]
    return Case(name, rows, lambda stage: measure_twice(stage, command, check), restarts=True)


def _make_search(name: str, title: str, command: str, check: Callable[[Stage, Answer], None], factor: float) -> Case:
    rows = [
        Row(f"{title}, first time", "first_ms", "ms", "stated", 0.0),
        Row(f"{title}, again", "again_ms", "ms", "at most", factor),
    ]
    return Case(name, rows, lambda stage: measure_twice(stage, command, check))


ITEMS = "UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE"
SESSION_CASES: Sequence[Case] = (
    Case(
        "append-16",
        (Row("APPEND, 16 in flight", "rate", "messages/s", "at least", 4.0),),
        lambda stage: _append(stage, stage.number + MAX_RUNS, 16),
    ),
    Case(
        "append-1",
        (Row("APPEND, one by one", "rate", "messages/s", "at least", 2.0),),
        lambda stage: _append(stage, stage.number, 1),
    ),
    _make_fetch("flags", "1:* (UID FLAGS)", "FETCH 1:* (UID FLAGS)", _check_flags, 1.0),
    _make_fetch("envelope", f"1:* ({ITEMS})", f"FETCH 1:* ({ITEMS})", _check_envelopes, 0.5),
    _make_fetch("header", "1:* BODY.PEEK[HEADER.FIELDS (nine fields)]", f"FETCH 1:* ({_FIELDS})", _check_headers, 1.0),
    _make_fetch("structure", "1:* BODYSTRUCTURE", "FETCH 1:* (BODYSTRUCTURE)", _check_structures, 1.0),
    _make_fetch("body", "1:2000 BODY.PEEK[]", "FETCH 1:{bodies} (BODY.PEEK[])", _check_bodies, 1.0),
    _make_search("search-subject", "SEARCH SUBJECT", f"SEARCH SUBJECT {SUBJECT}", _check_subjects, 1 / 3),
    _make_search(
        "search-from", "SEARCH FROM + SINCE", f"SEARCH FROM {SENDER}@ SINCE {SINCE:%d-%b-%Y}", _check_since, 1 / 3
    ),
    Case(
        "search-text",
        (
            Row("SEARCH TEXT of a rare word, first time", "first_ms", "ms", "stated", 0.0),
            Row("SEARCH TEXT of a rare word, indexed", "again_ms", "ms", "at most", 1 / 50),
        ),
        lambda stage: measure_indexed(stage, f"SEARCH TEXT {RARE_WORD}", _check_rare),
    ),
    _make_search("sort-subject", "SORT (SUBJECT)", "SORT (SUBJECT) UTF-8 ALL", _check_by_subject, 1.0),
    _make_search("sort-date", "SORT (REVERSE DATE)", "SORT (REVERSE DATE) UTF-8 ALL", _check_by_date, 1.0),
    _make_search("thread", "THREAD REFERENCES", "THREAD REFERENCES UTF-8 ALL", _check_threads, 1.0),
    Case("store", (Row("STORE 1:* +FLAGS.SILENT", "ms", "ms", "under", 10.0),), _store),
    Case("copy", (Row("COPY 1:*", "ms", "ms", "at most", 1.0),), _copy),
    Case("login", (Row("LOGIN + SELECT, new connections", "rate", "/s", "at least", 1.0),), _log_in),
)
