"""Mail programs that use IMAP while the server is killed, each with a model of what its mailboxes must hold.

A program knows every state its mailboxes may be in: one after everything was answered, several while a command was
not. After each broken connection it reads everything and compares: UIDs, octets, flags, names, counters.
"""

from __future__ import annotations

import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

from tests.crash.imap_wire import Account, Answer, Wire, Wrong

USERS = 4
_NOT_NOW = re.compile(rb"not sent again|not sent twice|not sent now|sent before", re.IGNORECASE)
_UIDS_TOLD = re.compile(rb"\[(?:APPENDUID|COPYUID) (\d+) (?:([\d:,]+) )?([\d:,]+)\]")
_ITEM = re.compile(rb"\bUID (\d+)\b.*?FLAGS \(([^)]*)\)|FLAGS \(([^)]*)\).*?\bUID (\d+)\b")
_KEYWORDS = ("\\Seen", "\\Flagged", "\\Answered", "$Forwarded", "Later")
_DELETED, _PENDING, _SUBMITTED = "\\Deleted", "$SubmitPending", "$Submitted"


# -- the model


class Message(NamedTuple):
    token: str
    flags: frozenset[str]


@dataclass
class Box:
    """Messages by UID; those whose UID was not told yet have negative ones, in their order. `validity` 0: not told."""

    validity: int = 0
    messages: dict[int, Message] = field(default_factory=dict)

    def changed(self, uids: Sequence[int], change: Callable[[frozenset[str]], frozenset[str]]) -> Box:
        touched = {uid: Message(self.messages[uid].token, change(self.messages[uid].flags)) for uid in uids}
        return replace(self, messages={**self.messages, **touched})

    def without(self, uids: Sequence[int]) -> Box:
        return replace(self, messages={uid: one for uid, one in self.messages.items() if uid not in uids})

    def with_more(self, more: Sequence[Message]) -> Box:
        lowest = min([0, *self.messages])
        new = {lowest - 1 - number: one for number, one in enumerate(more)}
        return replace(self, messages={**self.messages, **new})

    def has_become(self, seen: Box) -> bool:
        """Could be what is seen, once told its UIDs."""
        if self.validity and self.validity != seen.validity:
            return False
        known = {uid: one for uid, one in self.messages.items() if uid > 0}
        if any(seen.messages.get(uid) != one for uid, one in known.items()):
            return False
        new = [seen.messages[uid] for uid in sorted(seen.messages) if uid not in known]
        return new == [self.messages[uid] for uid in sorted(self.messages, reverse=True) if uid < 0]


State = dict[str, Box]


class Change(NamedTuple):
    """A command, and the states it may leave behind when it is not answered; the last is that of its OK.

    `target`: where the UIDs are that it tells. `sends`: the tokens that have gone out when it is done. `source`: a
    mailbox and the UIDs that leave it for the Outbox, unless they were sent before.
    """

    command: bytes
    steps: Callable[[State], list[State]]
    target: str = ""
    sends: tuple[str, ...] = ()
    source: tuple[str, tuple[int, ...]] | None = None

    @property
    def name(self) -> str:
        words = self.command.split(maxsplit=2)
        name = words[1] if words[0] == b"UID" else words[0]
        return f"{name.decode()} to Outbox" if self.sends and name != b"SUBMIT" else name.decode()


class Told(NamedTuple):
    """What must never go back, by UIDVALIDITY."""

    tokens: dict[tuple[int, int], str]
    highest_uid: Counter[int]
    modseq: Counter[int]
    validities: set[int]


@dataclass
class Mail:
    """What the programs of all accounts have sent."""

    octets: dict[str, bytes] = field(default_factory=dict)
    recipients: dict[str, str] = field(default_factory=dict)
    sent: set[str] = field(default_factory=set)  # answered OK, or seen gone from where it lay
    unsure: set[str] = field(default_factory=set)  # may have been sent
    submitted: set[str] = field(default_factory=set)  # perhaps by UID SUBMIT first, which files no copy

    def make(self, token: str, sender: str, chance: random.Random) -> bytes:
        size = chance.choice((200, 3000, 3000, 3000, 3000, 3000, 3000, 70_000, 250_000))
        recipient = chance.choice(("b@far.example", f"u{chance.randrange(USERS)}@ours.example"))
        date = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime())
        head = (
            f"From: {sender}\r\nTo: {recipient}\r\nSubject: crash\r\nX-Token: {token}\r\n"
            f"Message-ID: <{token}@client.example>\r\nDate: {date}\r\n\r\n"
        )
        self.recipients[token] = recipient
        self.octets[token] = (head + ("x" * 70 + "\r\n") * (size // 72)).encode()
        return self.octets[token]


def expand(uids: bytes) -> list[int]:
    found: list[int] = []
    for part in uids.split(b","):
        low, _, high = part.partition(b":")
        found += range(int(low), int(high or low) + 1)
    return found


def write_set(uids: Sequence[int]) -> bytes:
    return b",".join(b"%d" % uid for uid in uids)


def _literal(octets: bytes) -> bytes:
    return b"{%d+}\r\n%b" % (len(octets), octets)


class Program(threading.Thread):
    """One session after the other, until `stop`. `problem` is what went wrong."""

    def __init__(self, name: str, account: Account, port: int, mail: Mail, seed: int) -> None:
        super().__init__(daemon=True)
        self.label, self._account, self._port, self._mail = name, account, port, mail
        self._chance = random.Random(f"{name} {seed}")
        self._state: State = {}
        self._pending: list[Change] = []  # sent, not answered
        self._again: list[str] = []  # tokens put into the Outbox without an answer
        self._told = Told({}, Counter(), Counter(), set())
        self._selected = ""
        self._serial = 0
        self.answers: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.reconciled = 0
        self.unanswered = 0
        self.repeats = 0  # answered that it was sent before
        self.stop = threading.Event()
        self.problem: BaseException | None = None
        self.journal: list[str] = []

    def tell(self, token: str) -> list[str]:
        """What was done with it."""
        return [line for line in self.journal if re.search(rf"{token}\b", line)]

    def run(self) -> None:
        try:
            is_over = False
            while not is_over:
                try:
                    is_over = self._session()
                except OSError:
                    time.sleep(0.05)
        except BaseException as error:
            self.problem = error

    def _session(self) -> bool:
        wire = Wire(self._port, self._account)
        try:
            self._selected = ""
            wire.ask(b'SETMETADATA "" (/private/vendor/posthouse/outbox "on")')
            self._compare(wire)
            while not self.stop.is_set():
                self._perform(wire, self._choose(wire))
                if self._chance.random() < 0.03:
                    self._compare(wire)
            while self._again:
                self._perform(wire, [self._send_again()])
            self._compare(wire)
            return True
        finally:
            wire.close()

    # -- doing

    def _perform(self, wire: Wire, changes: list[Change]) -> None:
        self._pending = changes
        for change in changes:
            self._mail.unsure.update(change.sends)
            if change.command.startswith(b"UID SUBMIT"):
                self._mail.submitted.update(change.sends)
        wire.send([change.command for change in changes])
        while self._pending:
            answer = wire.receive()
            change = self._pending[0]
            self._write(change, answer.lines[-1][0].decode())
            self.answers[f"{change.name} {answer.status}"] += 1
            self.repeats += b"sent before" in answer.text.lower()
            if answer.status == "OK":
                if change.source is not None and _NOT_NOW.search(answer.text):
                    self._state = self._see_what_left(wire, *change.source)
                else:
                    self._state = change.steps(self._state)[-1]
                self._learn(change, answer)
                self._mail.sent.update(change.sends)
                self._again = [token for token in self._again if token not in change.sends]
            else:
                self.refusals[answer.lines[-1][0].split(b" ", 1)[1].decode()] += 1
            del self._pending[0]

    def _see_what_left(self, wire: Wire, name: str, uids: Sequence[int]) -> State:
        """What was sent before stays where it is."""
        self._selected = ""
        seen = self._look_into(wire, name.encode())
        left = self._state[name].without([uid for uid in uids if uid not in seen.messages])
        if not left.has_become(seen):
            raise Wrong(f"{self.label}: {name} after a MOVE to the Outbox: expected {left}\n   found {seen}")
        return {**self._state, name: left}

    def _write(self, change: Change, what: str) -> None:
        tokens = re.findall(rb"\r\nX-Token: (\S+)", change.command)
        self.journal.append(f"{change.command[:50]!r} {b' '.join(tokens).decode()} {change.sends}: {what}")

    def _learn(self, change: Change, answer: Answer) -> None:
        for number in re.findall(rb"MODSEQ \(?(\d+)", answer.text):
            validity = self._state[self._selected].validity if self._selected in self._state else 0
            self._told.modseq[validity] = max(self._told.modseq[validity], int(number))
        told = _UIDS_TOLD.search(answer.text)
        if told is None or not change.target:
            return
        box = self._state[change.target]
        if box.validity and box.validity != int(told[1]):
            raise Wrong(f"{self.label}: UIDVALIDITY of {change.target} was {box.validity}, is {told[0]!r}")
        if not box.validity:
            self._note_box(int(told[1]))
        box.validity = int(told[1])
        unknown = sorted((uid for uid in box.messages if uid < 0), reverse=True)
        uids = expand(told[3])
        if len(uids) != len(unknown):
            raise Wrong(f"{self.label}: {change.command[:60]!r} of {len(unknown)} messages told {told[0]!r}")
        for old, uid in zip(unknown, uids, strict=True):
            box.messages[uid] = box.messages.pop(old)
            self._note(box.validity, uid, box.messages[uid].token)

    def _note(self, validity: int, uid: int, token: str) -> None:
        known, highest = self._told.tokens.get((validity, uid)), self._told.highest_uid[validity]
        if known is None and uid <= highest:
            raise Wrong(f"{self.label}: UID {uid} of {validity} is new, but not above {highest}")
        if known not in (None, token):
            raise Wrong(f"{self.label}: UID {uid} of {validity} was {known}, is {token}")
        self._told.tokens[validity, uid] = token
        self._told.highest_uid[validity] = max(uid, highest)

    # -- comparing

    def _compare(self, wire: Wire) -> None:
        """What is there must be one of the states that can be."""
        self._selected = ""
        listed = wire.ask(b'LIST "" "%b-*"' % self.label.encode()).text
        names = re.findall(rb'(?m)^\* LIST .*? "?(%b-\w+)"?\r?$' % self.label.encode(), listed)
        seen = {name.decode(): self._look_into(wire, name) for name in names}
        possible = [self._state]
        for change in self._pending:
            possible += change.steps(possible[-1])
        fitting = [number for number, state in enumerate(possible) if _have_become(state, seen)]
        if not fitting:
            raise Wrong(f"{self.label}: {[one.command[:60] for one in self._pending]}:{_differ(possible, seen)}")
        self._conclude(seen, fitting)
        self._note_all(seen)
        self._state, self._pending = seen, []

    def _conclude(self, seen: State, fitting: list[int]) -> None:
        """What was being sent: what has gone from where it lay was sent, everything else is sent again."""
        self.reconciled += bool(self._pending)
        self.unanswered += len(self._pending)
        for change in self._pending:
            self._write(change, f"not answered, {fitting} of {len(change.steps(self._state))}")
            before, after = change.steps(self._state)[0], change.steps(self._state)[-1]
            if change.sends and before != after and _have_become(after, seen):
                self._mail.sent.update(change.sends)
            elif change.sends and (before == after or change.command.startswith(b"UID REPLACE")):
                self._again += [token for token in change.sends if token not in self._again]

    def _note_all(self, seen: State) -> None:
        before = {box.validity for box in self._state.values()}
        for box in seen.values():
            if box.validity not in before:
                self._note_box(box.validity)
            for uid in sorted(box.messages):
                self._note(box.validity, uid, box.messages[uid].token)

    def _note_box(self, validity: int) -> None:
        if validity in self._told.validities:
            raise Wrong(f"{self.label}: UIDVALIDITY {validity} is given again")
        self._told.validities.add(validity)

    def _look_into(self, wire: Wire, name: bytes) -> Box:
        said = wire.ask(b'SELECT "%b"' % name).text
        numbers = {
            what: int(value) for what, value in re.findall(rb"\[(UIDVALIDITY|UIDNEXT|HIGHESTMODSEQ) (\d+)\]", said)
        }
        validity, modseq = numbers[b"UIDVALIDITY"], numbers.get(b"HIGHESTMODSEQ", 0)
        if modseq < self._told.modseq[validity]:
            raise Wrong(f"{self.label}: HIGHESTMODSEQ was {self._told.modseq[validity]}, is {modseq}")
        if numbers[b"UIDNEXT"] <= self._told.highest_uid[validity]:
            raise Wrong(f"{self.label}: UIDNEXT is {numbers[b'UIDNEXT']}, not above {self._told.highest_uid[validity]}")
        self._told.modseq[validity] = modseq
        box = Box(validity)
        for line, literals in wire.ask(b"UID FETCH 1:* (UID FLAGS BODY.PEEK[])").lines[:-1]:
            item = _ITEM.search(line)
            if item is None or not literals:
                continue
            uid, flags = int(item[1] or item[4]), (item[2] or item[3] or b"").decode().split()
            box.messages[uid] = Message(self._token_of(literals[0]), frozenset(flags) - {"\\Recent"})
        return box

    def _token_of(self, octets: bytes) -> str:
        found = re.search(rb"\r\nX-Token: (\S+)\r\n", octets)
        token = found[1].decode() if found is not None else ""
        if self._mail.octets.get(token) != octets:
            raise Wrong(f"{self.label}: octets of {token!r} are others: {octets[:200]!r}")
        return token

    # -- choosing

    def _choose(self, wire: Wire) -> list[Change]:
        if self._again:
            return [self._send_again()]
        full = [name for name, box in self._state.items() if len(box.messages) >= 3]
        if len(self._state) < 2:
            return [self._create()]
        if not full:
            return self._append()
        name = self._chance.choice(full)
        if self._chance.random() < 0.45 and len(self._state[name].messages) < 12:
            return self._chance.choice((self._append, self._append_to_outbox))()
        if self._chance.random() < 0.12:
            return self._change_mailboxes(wire)
        return self._work_in(wire, name)

    def _work_in(self, wire: Wire, name: str) -> list[Change]:
        if self._selected != name:
            wire.ask(b'SELECT "%b"' % name.encode())
            self._selected = name
        uids = sorted(uid for uid in self._state[name].messages if uid > 0)
        if len(uids) > 12:
            return self._expunge(name, uids[:6])
        some = sorted(self._chance.sample(uids, self._chance.randint(1, min(3, len(uids))))) if uids else []
        if not some:
            return self._append()
        what = (self._store, self._expunge, self._copy, self._move, self._replace, self._send_from, self._submit)
        return self._chance.choice(what)(name, some)

    def _new(self) -> str:
        self._serial += 1
        token = f"{self.label}-{self._serial}"
        self._mail.make(token, self._account.login, self._chance)
        return token

    def _add(self, name: str, tokens: Sequence[str], flags: frozenset[str]) -> Callable[[State], list[State]]:
        more = [Message(token, flags) for token in tokens]
        return lambda state: [state, {**state, name: state[name].with_more(more)}]

    def _append(self) -> list[Change]:
        """Pipelined; of several messages in one command all are there or none."""
        name = self._chance.choice(sorted(self._state))
        changes = []
        for _ in range(self._chance.randint(1, 4)):
            tokens = [self._new() for _ in range(self._chance.choice((1, 1, 3)))]
            flags = frozenset(self._chance.sample(_KEYWORDS, 2))
            written = b"(%b)" % " ".join(sorted(flags)).encode()
            messages = b" ".join(b"%b %b" % (written, _literal(self._mail.octets[token])) for token in tokens)
            command = b'APPEND "%b" %b' % (name.encode(), messages)
            changes.append(Change(command, self._add(name, tokens, flags), name))
        return changes

    def _store(self, name: str, uids: list[int]) -> list[Change]:
        flags = frozenset(self._chance.sample(_KEYWORDS, 2))
        sign = self._chance.choice(("+", "-", ""))
        change: Callable[[frozenset[str]], frozenset[str]] = {
            "+": lambda old: old | flags,
            "-": lambda old: old - flags,
            "": lambda old: flags,
        }[sign]
        return [self._store_flags(name, uids, f"{sign}FLAGS", flags, change)]

    def _store_flags(
        self,
        name: str,
        uids: list[int],
        how: str,
        flags: frozenset[str],
        change: Callable[[frozenset[str]], frozenset[str]],
    ) -> Change:
        command = b"UID STORE %b %b (%b)" % (write_set(uids), how.encode(), " ".join(sorted(flags)).encode())
        return Change(command, lambda state: [state, {**state, name: state[name].changed(uids, change)}])

    def _delete_flags(self, name: str, uids: list[int]) -> Change:
        return self._store_flags(name, uids, "+FLAGS", frozenset({_DELETED}), lambda old: old | {_DELETED})

    def _expunge(self, name: str, uids: list[int]) -> list[Change]:
        def steps(state: State) -> list[State]:
            going = [uid for uid in uids if _DELETED in state[name].messages[uid].flags]
            return [state, {**state, name: state[name].without(going)}]

        return [self._delete_flags(name, uids), Change(b"UID EXPUNGE %b" % write_set(uids), steps)]

    def _copy(self, name: str, uids: list[int]) -> list[Change]:
        target = self._chance.choice([other for other in sorted(self._state) if other != name])
        copies = [self._state[name].messages[uid] for uid in uids]
        command = b'UID COPY %b "%b"' % (write_set(uids), target.encode())
        return [Change(command, lambda state: [state, {**state, target: state[target].with_more(copies)}], target)]

    def _move(self, name: str, uids: list[int]) -> list[Change]:
        """In exactly one of both, at every moment."""
        target = self._chance.choice([other for other in sorted(self._state) if other != name])
        moved = [self._state[name].messages[uid] for uid in uids]

        def steps(state: State) -> list[State]:
            return [state, {**state, name: state[name].without(uids), target: state[target].with_more(moved)}]

        return [Change(b'UID MOVE %b "%b"' % (write_set(uids), target.encode()), steps, target)]

    def _replace(self, name: str, uids: list[int]) -> list[Change]:
        """The new one, the old one or both."""
        token, target = self._new(), self._chance.choice([*sorted(self._state), "Outbox"])
        command = b'UID REPLACE %d "%b" %b' % (uids[0], target.encode(), _literal(self._mail.octets[token]))
        if target == "Outbox":
            return [Change(command, _leave(name, uids[:1]), sends=(token,), source=(name, tuple(uids[:1])))]

        def steps(state: State) -> list[State]:
            both = {**state, target: state[target].with_more([Message(token, frozenset())])}
            return [state, *_leave(name, uids[:1])(both)]

        return [Change(command, steps, target)]

    # -- sending

    def _append_to_outbox(self) -> list[Change]:
        changes = []
        for _ in range(self._chance.randint(1, 3)):
            tokens = [self._new() for _ in range(self._chance.choice((1, 1, 2)))]
            messages = b" ".join(_literal(self._mail.octets[token]) for token in tokens)
            changes.append(Change(b"APPEND Outbox " + messages, lambda state: [state, state], sends=tuple(tokens)))
        return changes

    def _send_again(self) -> Change:
        token = self._again[0]
        command = b"APPEND Outbox " + _literal(self._mail.octets[token])
        return Change(command, lambda state: [state, state], sends=(token,))

    def _send_from(self, name: str, uids: list[int]) -> list[Change]:
        tokens = tuple(self._state[name].messages[uid].token for uid in uids)
        if self._chance.random() < 0.3:
            return [Change(b"UID COPY %b Outbox" % write_set(uids), lambda state: [state, state], sends=tokens)]
        command = b"UID MOVE %b Outbox" % write_set(uids)
        return [Change(command, _leave(name, uids), sends=tokens, source=(name, tuple(uids)))]

    def _submit(self, name: str, uids: list[int]) -> list[Change]:
        uid = uids[0]
        message = self._state[name].messages[uid]
        if _SUBMITTED in message.flags:
            return self._copy(name, uids)
        if _PENDING in message.flags:  # was not answered: begun again
            flags = frozenset({_PENDING})
            return [self._store_flags(name, [uid], "-FLAGS", flags, lambda old: old - flags)]

        def steps(state: State) -> list[State]:
            marks = (frozenset({_PENDING}), frozenset({_PENDING, _SUBMITTED}), frozenset({_SUBMITTED}))
            return [state, *({**state, name: state[name].changed([uid], partial(_add, mark))} for mark in marks)]

        return [Change(b"UID SUBMIT %d" % uid, steps, sends=(message.token,))]

    # -- mailboxes

    def _create(self) -> Change:
        self._serial += 1
        name = f"{self.label}-{self._chance.choice('pqrs')}{self._serial % 3}"
        if name in self._state:
            name = f"{self.label}-n{self._serial}"
        return Change(b'CREATE "%b"' % name.encode(), lambda state: [state, {**state, name: Box()}])

    def _change_mailboxes(self, wire: Wire) -> list[Change]:
        if len(self._state) < 4 or self._chance.random() < 0.3:
            return [self._create()] if len(self._state) < 5 else self._append()
        if self._selected:
            wire.ask(b"UNSELECT")
            self._selected = ""
        name = self._chance.choice(sorted(self._state))
        if self._chance.random() < 0.5:
            command = b'DELETE "%b"' % name.encode()
            return [Change(command, lambda state: [state, _leave_out(state, name)])]
        self._serial += 1
        new = f"{self.label}-r{self._serial}"
        command = b'RENAME "%b" "%b"' % (name.encode(), new.encode())
        return [Change(command, lambda state: [state, {**_leave_out(state, name), new: state[name]}])]


def _leave(name: str, uids: Sequence[int]) -> Callable[[State], list[State]]:
    """They are marked \\Deleted, and go."""

    def steps(state: State) -> list[State]:
        marked = {**state, name: state[name].changed(uids, lambda old: old | {_DELETED})}
        return [state, marked, {**state, name: state[name].without(uids)}]

    return steps


def _add(more: frozenset[str], old: frozenset[str]) -> frozenset[str]:
    return old | more


def _leave_out(state: State, name: str) -> State:
    return {other: box for other, box in state.items() if other != name}


def _have_become(state: State, seen: State) -> bool:
    return state.keys() == seen.keys() and all(box.has_become(seen[name]) for name, box in state.items())


def _differ(possible: list[State], seen: State) -> str:
    """For people."""
    lines = []
    for number, state in enumerate(possible):
        for name in sorted(state.keys() | seen.keys()):
            expected, found = state.get(name), seen.get(name)
            if expected is None or found is None or not expected.has_become(found):
                lines.append(f"\n{number}. {name}: expected {expected}\n   found {found}")
    return "".join(lines)
