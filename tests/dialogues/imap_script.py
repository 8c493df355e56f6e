"""IMAP dialogue scripts: as those of `dialogue_script.py`, with several clients, values that are not known before, and
a world that does something.

One step per line; empty lines and lines that begin with `#` are left out.

    set message_limit=2 hidden=MOVE,IDLE    ImapSettings and ImapLimits
    with tls          STARTTLS is possible; clients begin in the clear (they begin under TLS otherwise)
    with clear        clients begin in the clear, and there is no TLS
    with server       played against a running server as well
    with steps        not pipelined: what is told depends on when it is asked
    with whole        what is sent together is read together
    with haste        every long command takes longer than `progress_s`
    people alice bob  the first client is logged in as Alice, the second as Bob; their greetings are not in the script
    open INBOX        and each of them has selected this; the answers are not in the script
    mail 1 2 3        which LETTERS lie in Alice's INBOX

    C: a NOOP         the first client sends this line and CRLF; `C2:` the second
    R: a\\nb           it sends exactly this (backslash escapes)
    F: 70000 x        it sends this many times the (escaped) text
    S: * 1 EXISTS     the first client hears this line; `S2:` the second
    S: **             any lines, until what comes next fits
    END               the server closes; `END2` the second client's connection
    TLS               the handshake takes place
    DO deliver 2      the world: see `imap_player.py`

In `S:` lines `...` at the end is anything more, `<<any>>` anything, `<<date>>` a date-time in quotes, and every other
`<<name>>` a word, the same one wherever it stands again; `C:` lines may name it then.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.dialogues.dialogue_script import HERE, unescape

FOLDER = HERE / "imap"
SCRIPTS = sorted(FOLDER.glob("*.txt"))

_STEP = re.compile(r"(C|R|F|S|END|TLS|DO)([2-9]?)(?::? (.*)|:?)")
_VALUE = re.compile(r"<<([a-z0-9]+)>>")
_DATE = r'"[ 0-9][0-9]-[A-Z][a-z]{2}-[0-9]{4} [0-9:]{8} [+-][0-9]{4}"'
_WORD = r'[^ ()\[\]"\r\n]+'


@dataclass(frozen=True)
class Step:
    kind: str  # C, S, END, TLS or DO
    client: int
    text: str

    def octets(self, values: Mapping[str, str]) -> bytes:
        """What a client sends."""
        return fill(self.text, values).encode("utf-8", "surrogateescape")


@dataclass(frozen=True)
class ImapScript:
    name: str
    settings: Mapping[str, object]
    abilities: frozenset[str]
    people: tuple[str, ...]
    mailbox: str
    letters: tuple[int, ...]
    steps: tuple[Step, ...]

    @property
    def is_for_one(self) -> bool:
        """Whether all can be sent at once."""
        is_alone = all(step.client == 1 and step.kind not in ("DO", "TLS") for step in self.steps)
        return is_alone and "steps" not in self.abilities


def read_script(path: Path) -> ImapScript:
    settings: dict[str, object] = {}
    abilities: set[str] = set()
    words: dict[str, list[str]] = {"people": [], "open": [""], "mail": []}
    steps: list[Step] = []
    for raw in path.read_text("utf-8").splitlines():
        line = raw.rstrip()
        if not line or line.startswith("#"):
            continue
        head, *rest = line.split()
        if head == "set":
            settings.update(map(_read_setting, rest))
        elif head == "with":
            abilities.update(rest)
        elif head in words:
            words[head] = rest
        else:
            steps.append(_read_step(line))
    letters = tuple(map(int, words["mail"]))
    people = tuple(words["people"])
    return ImapScript(path.stem, settings, frozenset(abilities), people, words["open"][0], letters, tuple(steps))


def _read_setting(word: str) -> tuple[str, object]:
    name, _, value = word.partition("=")
    if name == "hidden":
        return name, frozenset(value.split(","))
    return name, float(value) if name.endswith("_s") else int(value)


def _read_step(line: str) -> Step:
    found = _STEP.fullmatch(line)
    if found is None:
        raise ValueError(f"not a step: {line!r}")
    kind, client, text = found[1], int(found[2] or 1), found[3] or ""
    if kind == "C":
        return Step("C", client, text + "\r\n")
    if kind == "R":
        return Step("C", client, unescape(text).decode("utf-8", "surrogateescape"))
    if kind == "F":
        count, _, unit = text.partition(" ")
        return Step("C", client, unescape(unit).decode("utf-8", "surrogateescape") * int(count))
    return Step(kind, client, text)


def fill(text: str, values: Mapping[str, str]) -> str:
    return _VALUE.sub(lambda found: values[found[1]], text)


def fits(expected: str, said: str, values: dict[str, str]) -> bool:
    """Whether a line is what the script says; what it did not know before is in `values` then."""
    pattern, seen, position = "", set[str](), 0
    for found in _VALUE.finditer(expected):
        pattern += re.escape(expected[position : found.start()]) + _pattern_of(found[1], values, seen)
        position = found.end()
    rest = expected[position:]
    pattern += re.escape(rest[:-3]) + ".*" if rest.endswith("...") else re.escape(rest)
    match = re.fullmatch(pattern, said, re.DOTALL)
    if match is not None:
        values.update(match.groupdict())
    return match is not None


def _pattern_of(name: str, values: Mapping[str, str], seen: set[str]) -> str:
    if name == "any":
        return ".*"
    if name == "date":
        return _DATE
    if name in values:
        return re.escape(values[name])
    if name in seen:
        return f"(?P={name})"
    seen.add(name)
    return f"(?P<{name}>{_WORD})"


class Ear:
    """Lines that clients heard, against what the script expects. `next_line` gives the next one, None without."""

    def __init__(self, script: ImapScript) -> None:
        self.values: dict[str, str] = {}
        self._script = script
        self._is_skipping: set[int] = set()

    def where(self, step: Step) -> str:
        return f"{self._script.name}: {step.kind}{step.client}: {fill_known(step.text, self.values)}"

    def hears(self, step: Step, said: str | None) -> bool:
        """False: the next line has to be looked at. Raises AssertionError."""
        if step.text == "**":
            self._is_skipping.add(step.client)
            return True
        assert said is not None, f"{self.where(step)}: nothing was said"
        if fits(step.text, said, self.values):
            self._is_skipping.discard(step.client)
            return True
        assert step.client in self._is_skipping, f"{self.where(step)}: but it was {said!r}"
        return False


def fill_known(text: str, values: Mapping[str, str]) -> str:
    return _VALUE.sub(lambda found: values.get(found[1], found[0]), text)
