"""A client's picture of its mailbox, kept by what the server says and by nothing else.

    mirror = Mirror(client, Kind("plain"), truth)
    mirror.send(b"STORE", b"1 +FLAGS.SILENT (\\\\Seen)", ...)   # any number of them, without waiting
    mirror.hear(await client.hear())                             # AssertionError for whatever cannot be

Numbers and UIDs, flags and modseqs are what a real client would take them for: RFC 9051 §5.2, §5.5, §7.4.1, §7.5;
RFC 7162 §3.1, §3.2; RFC 9586 §3. `Truth` is what all clients of a mailbox have heard together.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tests.access.imap_kit import Client

_LITERAL = re.compile(rb"\{(\d+)\}\Z")
_NUMBERED = re.compile(rb"\* (\d+) (EXISTS|EXPUNGE|FETCH|UIDFETCH|RECENT)(?: (.*))?", re.DOTALL)
_VANISHED = re.compile(rb"\* VANISHED( \(EARLIER\))? ([0-9:,]+)")
_ESEARCH = re.compile(rb'\* ESEARCH \(TAG "[^"]+"\)( UID)?(?: ALL ([0-9:,]+))?')
_BY_NUMBERS = frozenset({"FETCH", "STORE", "SEARCH"})
Flags = frozenset[str]


@dataclass(frozen=True)
class Kind:
    """What a client enables and asks for. `has_numbers`: it may use message sequence numbers."""

    name: str
    enables: tuple[str, ...] = ()
    is_read_only: bool = False
    notify: bytes = b""
    has_numbers: bool = True
    is_told_at_once: bool = False  # of expunges, without a command

    @property
    def is_uid_only(self) -> bool:
        return "UIDONLY" in self.enables

    @property
    def vanishes(self) -> bool:
        return self.is_uid_only or "QRESYNC" in self.enables


_NEW = b"MessageNew (UID FLAGS) MessageExpunge FlagChange"
KINDS = (
    Kind("plain"),
    Kind("rev2", ("IMAP4REV2",)),
    Kind("condstore", ("CONDSTORE",)),
    Kind("qresync", ("QRESYNC",)),
    Kind("uidonly", ("UIDONLY",), has_numbers=False),
    Kind("uidonly with modseqs", ("UIDONLY", "QRESYNC"), has_numbers=False),
    Kind("examine", is_read_only=True),
    Kind("selected", notify=b"SELECTED (" + _NEW + b")", has_numbers=False, is_told_at_once=True),
    Kind("delayed", ("CONDSTORE",), notify=b"SELECTED-DELAYED (" + _NEW + b")"),
)


@dataclass
class Truth:
    """Flags by UID and modseq, whoever said so. `ever`: all flags that a UID had; None: nobody kept a record."""

    flags: dict[tuple[int, int], Flags] = field(default_factory=dict)
    ever: dict[int, set[Flags]] | None = None
    gone: set[int] = field(default_factory=set)  # UIDs
    rows: dict[int, tuple[Flags, int]] = field(default_factory=dict)  # as they are now

    def note(self, uid: int, modseq: int, flags: Flags) -> None:
        known = self.flags.setdefault((uid, modseq), flags)
        assert known == flags, f"UID {uid} at {modseq}: {sorted(known)} and {sorted(flags)}"


@dataclass(eq=False)
class Row:
    """What a client knows of one message; None: not yet."""

    uid: int | None = None
    flags: Flags | None = None
    modseq: int = 0


@dataclass
class Sent:
    """A command on its way. `expect`: what a silent STORE makes of flags. `brings_modseqs`: it is one that enables
    CONDSTORE (RFC 7162 §3.1).
    """

    tag: bytes
    verb: str
    chosen: bytes = b""  # the set of messages
    is_uid: bool = False
    expect: Callable[[Flags], Flags] | None = None
    brings_modseqs: bool = False
    rows: list[Row] = field(default_factory=list)
    told: set[int] = field(default_factory=set)  # ids of rows
    answer: bytes = b""

    @property
    def keeps_numbers(self) -> bool:
        return self.verb in _BY_NUMBERS and not self.is_uid


class Mirror:
    def __init__(self, client: Client, kind: Kind, truth: Truth) -> None:
        self.client, self.kind, self.truth = client, kind, truth
        self.rows: list[Row] = []
        self.under_way: deque[Sent] = deque()
        self.done: list[Sent] = []
        self.has_modseqs = bool({"CONDSTORE", "QRESYNC"} & set(kind.enables))
        self.is_idle = False
        self._tags = 0

    # -- what goes out

    def write(self, verb: str, rest: bytes = b"", **more: object) -> None:
        """Whoever idles ends that first."""
        if self.is_idle:
            self.is_idle = False
            self.client.session.receive(b"DONE\r\n")
        self._tags += 1
        sent = Sent(b"t%d" % self._tags, verb, **more)  # type: ignore[arg-type]
        word = b"UID " + verb.encode() if sent.is_uid else verb.encode()
        self.under_way.append(sent)
        if len(self.under_way) == 1:
            self._begin(sent)
        self.is_idle = verb == "IDLE"
        line = b" ".join(part for part in (sent.tag, word, sent.chosen, rest) if part)
        self.client.session.receive(line + b"\r\n")

    @property
    def will_keep_numbers(self) -> bool:
        """Whether sequence numbers still mean the same when all that is under way is done (RFC 9051 §5.5)."""
        return self.kind.has_numbers and all(sent.keeps_numbers for sent in self.under_way)

    def _begin(self, sent: Sent) -> None:
        if sent.chosen:
            sent.rows = self._find(sent.chosen, is_uid=sent.is_uid)

    def _find(self, chosen: bytes, *, is_uid: bool) -> list[Row]:
        ranges = read_ranges(chosen, self._last_uid() if is_uid else len(self.rows))
        if is_uid:
            return [row for row in self.rows if row.uid and any(low <= row.uid <= high for low, high in ranges)]
        return [row for number, row in enumerate(self.rows, 1) if any(low <= number <= high for low, high in ranges)]

    def _last_uid(self) -> int:
        """What "*" is; more than any, if that is not known: it is none of those known then, unless all are asked."""
        if self.rows and self.rows[-1].uid is None:
            return 2**32
        return max((row.uid for row in self.rows if row.uid), default=0)

    # -- what comes in

    def hear(self, data: bytes) -> None:
        for response in split_responses(data):
            try:
                self._take(response)
            except AssertionError as error:
                under_way = [(sent.verb, sent.is_uid, sent.chosen) for sent in self.under_way]
                raise AssertionError(f"{self.kind.name}, {under_way}: {response!r}: {error}") from error

    @property
    def now(self) -> Sent | None:
        return self.under_way[0] if self.under_way else None

    def _take(self, response: bytes) -> None:
        if response.startswith(b"+ "):
            assert self.now is not None and self.now.verb == "IDLE"
        elif response.startswith(b"* "):
            self._untagged(response)
        else:
            self._tagged(response)

    def _untagged(self, response: bytes) -> None:
        assert not response.startswith(b"* BYE")
        if response.startswith(b"* OK [CLOSED]"):
            self.rows = []
        vanished = _VANISHED.fullmatch(response)
        if vanished:
            assert self.kind.vanishes
            self._vanish(vanished[2], is_earlier=bool(vanished[1]))
            return
        if response.startswith((b"* SEARCH", b"* ESEARCH")):
            self._found(response)
        numbered = _NUMBERED.fullmatch(response)
        if not numbered:
            return
        number = int(numbered[1])
        match numbered[2]:
            case b"EXISTS":
                assert number >= len(self.rows), f"there were {len(self.rows)}"
                self.rows += [Row() for _ in range(number - len(self.rows))]
            case b"EXPUNGE":
                assert not self.kind.vanishes
                self._may_expunge()
                assert 1 <= number <= len(self.rows), f"there are {len(self.rows)}"
                del self.rows[number - 1]
            case b"FETCH":
                assert not self.kind.is_uid_only
                assert 1 <= number <= len(self.rows), f"there are {len(self.rows)}"
                self._learn(self.rows[number - 1], numbered[3])
            case b"UIDFETCH":
                assert self.kind.is_uid_only
                self._learn(self._row_of(number), numbered[3])

    def _may_expunge(self) -> None:
        if self.now is None:
            assert self.kind.is_told_at_once, "no command is in progress"
        else:
            assert not self.now.keeps_numbers, "while numbers have to stay"

    def _vanish(self, uids: bytes, *, is_earlier: bool) -> None:
        if not is_earlier:
            self._may_expunge()
        for low, high in read_ranges(uids, 0):
            if is_earlier:
                gone = {id(row) for row in self.rows if row.uid and low <= row.uid <= high}
                self.rows = [row for row in self.rows if id(row) not in gone]
            else:
                for uid in range(low, high + 1):
                    self.rows.remove(self._row_of(uid))

    def _row_of(self, uid: int) -> Row:
        """The row of a UID; of those that are not known yet, one that can be it: where UIDs have no numbers, any."""
        if self.kind.is_uid_only:
            self.rows.sort(key=lambda row: abs((row.uid or 2**32) - uid))  # where they stand means nothing
            found = next((row for row in (*self.rows[:1], *self.rows[-1:]) if row.uid in (uid, None)), None)
            assert found is not None, f"UID {uid} is not there"
            return found
        before = 0
        fits: Row | None = None
        for row in self.rows:
            if row.uid == uid:
                return row
            if row.uid is not None:
                before = row.uid
                fits = None if before < uid else fits
            elif before < uid and fits is None:
                fits = row
        assert fits is not None, f"UID {uid} is not there"
        return fits

    def _learn(self, row: Row, text: bytes) -> None:
        uid, flags, modseq = read_fetch(text)
        if self.kind.is_uid_only and uid is None:
            uid = row.uid
        if uid is not None:
            assert row.uid in (None, uid), f"it was UID {row.uid}"
            row.uid = uid
            known = [each.uid for each in self.rows if each.uid]
            assert self.kind.is_uid_only or known == sorted(set(known)), "UIDs ascend"
        if flags is None and modseq is None:
            return
        assert not self.has_modseqs or modseq is not None, "MODSEQ is missing"
        if row.uid is None:
            return  # a client that cares asks for it
        if modseq is not None:
            assert modseq >= row.modseq, f"it had {row.modseq}"
            is_other = flags is not None and row.flags not in (None, flags) and row.uid not in self.truth.gone
            assert not is_other or modseq > row.modseq, f"{row.flags} at {modseq}"
            row.modseq = modseq
        if flags is not None:
            row.flags = flags
            self._check_flags(row, modseq)
            if self.now is not None:
                self.now.told.add(id(row))

    def _check_flags(self, row: Row, modseq: int | None) -> None:
        assert row.uid is not None and row.flags is not None
        if modseq is not None:
            self.truth.note(row.uid, modseq, row.flags)
        if self.truth.ever is not None:
            assert row.flags in self.truth.ever[row.uid], f"UID {row.uid} never had {sorted(row.flags)}"

    def _found(self, response: bytes) -> None:
        """What was found can be named."""
        extended = _ESEARCH.match(response)
        if extended:
            is_uid, numbers = bool(extended[1]), extended[2] or b""
        else:
            assert self.now is not None
            is_uid, numbers = self.now.is_uid, b",".join(response.split()[2:])
        if not is_uid:
            assert all(low >= 1 and high <= len(self.rows) for low, high in read_ranges(numbers, 0))

    # -- what is done

    def _tagged(self, response: bytes) -> None:
        assert self.now is not None, "no command is in progress"
        sent = self.under_way.popleft()
        tag, status = response.split(b" ", 2)[:2]
        assert tag == sent.tag, f"{sent.tag!r} was to come"
        assert b"SERVERBUG" not in response
        sent.answer = response
        if status == b"OK":
            self._conclude(sent, response)
        self.done.append(sent)
        if self.under_way:
            self._begin(self.under_way[0])

    def _conclude(self, sent: Sent, response: bytes) -> None:
        highest = re.search(rb"\[HIGHESTMODSEQ (\d+)\]", response)
        if highest:
            self._check_highest(int(highest[1]))
        self.has_modseqs |= sent.brings_modseqs
        if sent.expect is None:
            return
        if self.kind.notify:  # what was told may have been on its way before
            for row in (*sent.rows, *self._find(sent.chosen, is_uid=sent.is_uid)):
                row.flags = None
            return
        modified = re.search(rb"\[MODIFIED ([0-9:,]+)\]", response)
        left = {id(row) for row in self._find(modified[1], is_uid=sent.is_uid)} if modified else set()
        for row in sent.rows:
            if row.flags is not None and id(row) not in left and id(row) not in sent.told:
                row.flags = sent.expect(row.flags)

    def _check_highest(self, highest: int) -> None:
        """Whoever comes back from there has missed nothing up to it (RFC 7162 §3.2.9)."""
        known = {row.uid: row for row in self.rows if row.uid}
        for uid, (flags, modseq) in self.truth.rows.items():
            if modseq <= highest:
                row = known.get(uid)
                assert row is not None or len(known) < len(self.rows), f"UID {uid} was not told"
                assert row is None or row.modseq in (0, modseq), f"UID {uid} has {modseq}"
                assert row is None or row.flags in (None, flags), f"UID {uid} has {flags}"

    # -- how it ends

    def compare(self, rows: dict[int, tuple[Flags, int]]) -> None:
        """With what the store has, once all news were told. What is not known yet can be anything."""
        assert len(self.rows) == len(rows), f"{self.kind.name}: {len(self.rows)} messages, not {len(rows)}"
        if self.kind.is_uid_only:
            self._sort(rows)
        for row, (uid, (flags, modseq)) in zip(self.rows, rows.items(), strict=True):
            assert row.uid in (None, uid), f"{self.kind.name}: UID {row.uid}, not {uid}"
            assert row.flags in (None, flags), f"{self.kind.name}: UID {uid} has {flags}, not {row.flags}"
            assert not self.has_modseqs or row.modseq in (0, modseq), f"{self.kind.name}: {uid} at {row.modseq}"

    def _sort(self, uids: Iterable[int]) -> None:
        """Where UIDs have no numbers: the unknown ones where there is a place."""
        known = {row.uid: row for row in self.rows if row.uid}
        unknown = [row for row in self.rows if not row.uid]
        self.rows = [known.pop(uid) if uid in known else unknown.pop() for uid in uids if uid in known or unknown]
        assert not known, f"{self.kind.name}: {sorted(known)} are not there"


def split_responses(data: bytes) -> list[bytes]:
    """With their literals, without the last CRLF."""
    found: list[bytes] = []
    start = at = 0
    while at < len(data):
        end = data.index(b"\r\n", at)
        literal = _LITERAL.search(data[at:end])
        at = end + 2
        if literal:
            at += int(literal[1])
        else:
            found.append(data[start:end])
            start = at
    return found


def read_ranges(text: bytes, star: int) -> list[tuple[int, int]]:
    """Lower end first."""
    found: list[tuple[int, int]] = []
    for part in filter(None, text.split(b",")):
        low, _, high = part.replace(b"*", b"%d" % star).partition(b":")
        ends = sorted((int(low), int(high or low)))
        found.append((ends[0], ends[1]))
    return found


def read_fetch(text: bytes) -> tuple[int | None, Flags | None, int | None]:
    """UID, FLAGS and MODSEQ of a FETCH response."""
    head = text.split(b"BODY[", 1)[0]
    tail = text.rsplit(b"\r\n", 1)[-1] if b"BODY[" in text else b""
    text = head + tail
    uid = re.search(rb"\bUID (\d+)", text)
    flags = re.search(rb"\bFLAGS \(([^)]*)\)", text)
    modseq = re.search(rb"\bMODSEQ \((\d+)\)", text)
    return (
        int(uid[1]) if uid else None,
        frozenset(flags[1].decode().split()) if flags else None,
        int(modseq[1]) if modseq else None,
    )


def add_flags(given: Iterable[str]) -> Callable[[Flags], Flags]:
    return lambda flags: flags | frozenset(given)


def remove_flags(given: Iterable[str]) -> Callable[[Flags], Flags]:
    return lambda flags: flags - frozenset(given)


def set_flags(given: Iterable[str]) -> Callable[[Flags], Flags]:
    return lambda flags: frozenset(given)
