"""Which line of a TOML text a key stands on. tomllib does not say, and an error message must.

Works on text that tomllib has parsed, so it need not check anything. Dotted keys and inline tables are found by
their first part. A path is a tuple of names and, for arrays of tables, numbers: ("route", 1, "to").
"""

import re

Path = tuple[str | int, ...]

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]#]+?)\s*\]")
_KEY = re.compile(
    r"""\s*((?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*'))*)\s*="""
)
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*'""")
_TOKEN = re.compile(
    r'"{3}(?:\\.|[^\\])*?"{3}|\'{3}.*?\'{3}|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*|[\[\]{}]', re.DOTALL
)


def find_lines(text: str) -> dict[Path, int]:
    """The line, from 1, of every table header and key."""
    lines: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    table: Path = ()
    for number, statement in _split_statements(text):
        header = _HEADER.match(statement)
        if header is not None:
            table = _enter_table(header, counts)
            lines[table] = number
            continue
        key = _KEY.match(statement)
        if key is not None:
            _note_key(lines, table, _split_key(key[1]), number)
    return lines


def _note_key(lines: dict[Path, int], table: Path, parts: list[str], number: int) -> None:
    for end in range(1, len(parts) + 1):
        lines.setdefault((*table, *parts[:end]), number)


def _split_key(text: str) -> list[str]:
    return [part.strip("\"'") for part in _PART.findall(text)]


def _enter_table(header: re.Match[str], counts: dict[Path, int]) -> Path:
    path: Path = ()
    parts = _split_key(header[2])
    for name in parts[:-1]:
        path = (*path, name)
        if path in counts:  # inside the latest of an array of tables
            path = (*path, counts[path])
    path = (*path, parts[-1])
    if header[1] == "[[":
        counts[path] = counts.get(path, -1) + 1
        path = (*path, counts[path])
    return path


def _split_statements(text: str) -> list[tuple[int, str]]:
    """Lines with their numbers; what is inside a multi-line string or array belongs to the line it began on."""
    inside = _find_inside(text)
    statements = []
    offset = 0
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        if offset not in inside:
            statements.append((number, line))
        offset += len(line)
    return statements


def _find_inside(text: str) -> set[int]:
    """Offsets of the starts of lines that continue a value."""
    inside: set[int] = set()
    depth = 0
    opened = 0
    for token in _TOKEN.finditer(text):
        mark = token[0]
        if mark in ("[", "{"):
            opened = token.start() if depth == 0 else opened
            depth += 1
        elif mark in ("]", "}"):
            depth = max(0, depth - 1)
            if depth == 0:
                inside.update(_line_starts(text, opened, token.end()))
        elif "\n" in mark:
            inside.update(_line_starts(text, token.start(), token.end()))
    return inside


def _line_starts(text: str, start: int, end: int) -> list[int]:
    return [start + match.end() for match in re.finditer("\n", text[start:end])]
