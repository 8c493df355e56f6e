"""What must not be in the repository: paths of one machine, registry hosts, unfinished or switched-off places."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tools.common import ROOT, finish, list_files, show

OWN = {ROOT / "tools" / "check_hygiene.py", ROOT / "pyproject.toml"}
EVERYWHERE = (
    (re.compile(r"(?<![\w.}/-])/(?:work|root|home/\w+|Users)/"), "a path of one machine"),
    (re.compile(r"--(?:extra-)?index-url|--find-links|--trusted-host"), "a registry"),
    (
        re.compile(r"files\.pythonhosted\.org|pypi\.org|registry\.npmjs|deb\.debian\.org|\"resolved\": *\"http"),
        "a registry",
    ),
)
PYTHON = (
    (re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b"), "unfinished"),
    (re.compile(r"raise NotImplementedError\b"), "unfinished"),
    (re.compile(r"pragma: no cover"), "hidden from coverage"),
    (re.compile(r"^\s*(?:import sqlite3|from sqlite3)"), "use apsw"),
    (re.compile(r"pytest\.(?:mark\.)?(?:skip|skipif|xfail|importorskip)\b|unittest\.skip"), "a switched-off test"),
)


def scan(path: Path) -> Iterator[str]:
    try:
        lines = path.read_text().splitlines()
    except UnicodeDecodeError:
        return
    rules = EVERYWHERE + (PYTHON if path.suffix in (".py", ".ts", ".tsx") else ())
    for number, line in enumerate(lines, start=1):
        for pattern, what in rules:
            if match := pattern.search(line):
                yield f"{show(path)}:{number}: {match.group().strip()!r}: {what}"


def check() -> Iterator[str]:
    for path in list_files():
        if path not in OWN:
            yield from scan(path)


if __name__ == "__main__":
    finish("hygiene", check())
