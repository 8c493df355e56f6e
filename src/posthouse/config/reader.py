"""Reads posthouse.toml into `Settings`. All errors of a file are found in one pass and told together.

Trusts nothing in the file; reads only the file itself and the lists it names (`recipients_file`).
"""

import os
import re
import tomllib
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from posthouse.config.kinds import BadValueError, FilePath, Key, Kind
from posthouse.config.lines import Path, find_lines
from posthouse.config.settings import Settings
from posthouse.config.validate import find_conflicts

SEARCHED = ("posthouse.toml", "/etc/posthouse/posthouse.toml")

_TOML_LINE = re.compile(r"\(at line (\d+), column \d+\)")
_Table = TypeVar("_Table", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong. `line` 0: the file as a whole."""

    file: str
    line: int
    key: str
    text: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.key}: {self.text}" if self.key else f"{place}: {self.text}"


class ConfigError(Exception):
    """The configuration cannot be used; `problems` says all that is wrong with it."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


def find_file(given: str | None, environment: Mapping[str, str]) -> str:
    """`-c`, else $POSTHOUSE_CONFIG, else ./posthouse.toml, else /etc/posthouse/posthouse.toml. Raises ConfigError."""
    named = given or environment.get("POSTHOUSE_CONFIG")
    if named:
        return named
    for path in SEARCHED:
        if os.path.exists(path):
            return path
    looked = ", ".join(f"./{path}" if not path.startswith("/") else path for path in SEARCHED)
    raise ConfigError(
        [Problem("posthouse", 0, "", f"no configuration found (looked for {looked}); see posthouse init")]
    )


def load(path: str | None = None) -> Settings:
    """Read and check the file (see `find_file`). Raises ConfigError."""
    file = find_file(path, os.environ)
    try:
        with open(file, "rb") as stream:
            text = stream.read().decode("utf-8")
    except OSError as error:
        raise ConfigError([Problem(file, 0, "", f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([Problem(file, 0, "", f"is not UTF-8 (octet {error.start})")]) from None
    return parse(text, file)


def parse(text: str, file: str = "posthouse.toml") -> Settings:
    """Settings of a TOML text; relative paths are resolved against the directory of `file`. Raises ConfigError."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = _TOML_LINE.search(str(error))
        raise ConfigError([Problem(file, int(line[1]) if line else 0, "", f"not valid TOML: {error}")]) from None
    reader = _Reader(file, find_lines(text))
    settings = reader.read_table(Settings, raw, ())
    if settings is not None:
        for where, words in find_conflicts(settings):
            reader.note(where, words)
    if reader.problems or settings is None:
        raise ConfigError(sorted(reader.problems, key=lambda problem: problem.line))
    return settings


def _guess(name: str, known: list[str]) -> str:
    import difflib  # only after a mistake: it costs 10 ms

    near = difflib.get_close_matches(name, known, 1)
    return f" (did you mean {near[0]}?)" if near else ""


def key_name(path: Path) -> str:
    """("route", 0, "to") as `route[1].to`: people count from one."""
    name = ""
    for part in path:
        name += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if name else part
    return name


class _Reader:
    """Collects problems while it walks the tree of settings and the TOML side by side."""

    def __init__(self, file: str, lines: Mapping[Path, int]) -> None:
        self.problems: list[Problem] = []
        self._file = file
        self._base = os.path.dirname(os.path.abspath(file))
        self._lines = lines

    def note(self, path: Path, text: str) -> None:
        line = 0
        for end in range(len(path), 0, -1):
            line = self._lines.get(path[:end], 0)
            if line:
                break
        self.problems.append(Problem(self._file, line, key_name(path), text))

    def read_table(self, table: type[_Table], raw: object, path: Path) -> _Table | None:
        """The table's struct, or None when something in it is wrong (which is noted)."""
        if not isinstance(raw, dict):
            self.note(path, f"must be a table: [{key_name(path)}]")
            return None
        before = len(self.problems)
        hints = typing.get_type_hints(table, include_extras=True)
        self._note_unknown(raw, list(hints), path)
        values = {name: self._read_field(hint, raw[name], (*path, name)) for name, hint in hints.items() if name in raw}
        required = {field.name for field in msgspec.structs.fields(table) if field.required}
        for name in sorted(required - raw.keys()):
            self.note((*path, name), "is required")
        return table(**values) if len(self.problems) == before else None

    def _note_unknown(self, raw: Mapping[str, object], known: list[str], path: Path) -> None:
        for name in raw:
            if name not in known:
                self.note((*path, name), f"unknown key{_guess(name, known)}; allowed: {', '.join(known)}")

    def _read_field(self, hint: object, value: object, path: Path) -> object:
        key = key_of(hint)
        if key is not None:
            return self._read_value(key.kind, value, path)
        table = table_of(hint)
        if not is_array(hint):
            return self.read_table(table, value, path)
        if not isinstance(value, list):
            self.note(path, f"must be an array of tables: [[{key_name(path)}]]")
            return None
        return tuple(self.read_table(table, entry, (*path, number)) for number, entry in enumerate(value))

    def _read_value(self, kind: Kind, value: object, path: Path) -> object:
        try:
            result = kind.read(value)
        except BadValueError as error:
            self.note(path, str(error))
            return None
        return os.path.join(self._base, str(result)) if isinstance(kind, FilePath) else result


def key_of(hint: object) -> Key | None:
    """What the tree says about a field, or None when it is a table."""
    for extra in getattr(hint, "__metadata__", ()):
        if isinstance(extra, Key):
            return extra
    return None


def is_array(hint: object) -> bool:
    return typing.get_origin(hint) is tuple


def table_of(hint: object) -> type[msgspec.Struct]:
    """The struct of a `[table]` or `[[table]]` field."""
    table = typing.get_args(hint)[0] if is_array(hint) else hint
    assert isinstance(table, type)
    assert issubclass(table, msgspec.Struct)
    return table
