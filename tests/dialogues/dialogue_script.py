"""Dialogue scripts: what a client sends and what it must hear, for the core and for a running server alike.

One step per line; empty lines and lines that begin with `#` are left out.

    set max_size=1000 lmtp=true      settings of the server core, before the first step
    with tls xclient                 what the session may do: STARTTLS, XCLIENT
    C: EHLO client.example           the client sends this line and CRLF
    R: a\\nb\\r\\n                      the client sends exactly this (backslash escapes), no CRLF added
    F: 70000 x                       the client sends this many times the (escaped) text, no CRLF added
    S: 250 2.0.0 OK                  the server answers this line; `...` at the end: anything more
    TLS                              the handshake takes place
    B: text                          a line (escaped) of the message taken last
    E: Reset                         an event was told since the last `S:` or `E:` line (class name; only the core)
    END                              the server closes

The server's answers that scripts rely on are in `dialogue_player.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Step:
    kind: str  # "C" (octets), "S", "TLS", "B", "E" or "END"
    text: str = ""
    octets: bytes = b""


@dataclass(frozen=True)
class Script:
    name: str
    settings: dict[str, object]
    abilities: frozenset[str]
    steps: tuple[Step, ...]


def unescape(text: str) -> bytes:
    """Backslash escapes; everything else is UTF-8."""
    return text.encode("utf-8").decode("unicode_escape").encode("latin-1")


def read_setting(word: str) -> tuple[str, object]:
    name, _, value = word.partition("=")
    if value in ("true", "false"):
        return name, value == "true"
    if name == "hidden":
        return name, frozenset(value.split(","))
    return name, int(value)


def read_step(line: str) -> Step:
    kind, _, text = line.partition(": ")
    if kind == "C":
        return Step("C", text, text.encode("utf-8") + b"\r\n")
    if kind == "C:":
        return Step("C", "", b"\r\n")
    if kind == "R":
        return Step("C", text, unescape(text))
    if kind == "F":
        count, _, unit = text.partition(" ")
        return Step("C", text, unescape(unit) * int(count))
    if kind in ("B:", "S:"):
        return Step(kind[:-1], "")
    if kind in ("S", "B", "E", "TLS", "END"):
        return Step(kind, text)
    raise ValueError(f"not a step: {line!r}")


def read_script(path: Path) -> Script:
    settings: dict[str, object] = {}
    abilities: set[str] = set()
    steps: list[Step] = []
    for raw in path.read_text("utf-8").splitlines():
        line = raw.rstrip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("set "):
            settings.update(map(read_setting, line.split()[1:]))
        elif line.startswith("with "):
            abilities.update(line.split()[1:])
        else:
            steps.append(read_step(line))
    return Script(path.stem, settings, frozenset(abilities), tuple(steps))


def list_scripts() -> list[Path]:
    return sorted(HERE.glob("*.txt"))
