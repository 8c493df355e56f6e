"""Every rule of an RFC is cited as `RFC 5321 §4.5.3.1`, and every RFC cited is in docs/rfcs.tsv.

The table's columns: rfc, title, status (yes, partial, no), shown by (a path of a test, `-` only where status is
no). Sources and tests may cite; the words "section", "sec." or a bare number are refused, so that a search
for one rule finds all of its places.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tools.common import ROOT, finish, list_files, show

TABLE = ROOT / "docs" / "rfcs.tsv"
HEADER = ["rfc", "title", "status", "shown by"]
STATUSES = {"yes", "partial", "no"}
# RFC822.SIZE and its like are words of IMAP's grammar, no citations.
MENTION = re.compile(r"\b(?!RFC822\b)(?:RFCs?[ \t_#-]*|rfc[ _#-]+)\d+[^\n]{0,24}")
CITATION = re.compile(r"RFC (?P<number>[1-9]\d{2,4})(?: §(?:[1-9]\d*(?:\.\d+)*|[A-Z](?:\.\d+)*))?(?![\w§])")
SLOPPY = re.compile(r"RFC [1-9]\d{2,4}(?:,? (?:[Ss]ections?|[Ss]ec\.|§ |§§)|§)")


def read_table() -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(TABLE.read_text().splitlines(), start=1):
        yield number, line.split("\t")


def check_table() -> Iterator[str]:
    seen: set[str] = set()
    for number, row in read_table():
        place = f"docs/rfcs.tsv:{number}"
        if number == 1:
            if row != HEADER:
                yield f"{place}: the columns are {', '.join(HEADER)}"
            continue
        if len(row) != len(HEADER):
            yield f"{place}: {len(row)} columns, not {len(HEADER)}"
            continue
        rfc, _, status, test = row
        if not rfc.isdigit() or rfc in seen:
            yield f"{place}: {rfc!r} is no RFC number, or a second time"
        seen.add(rfc)
        if status not in STATUSES:
            yield f"{place}: status {status!r} is not yes, partial or no"
        if test == "-":
            if status != "no":
                yield f"{place}: RFC {rfc} says {status} and names no test"
        elif not (ROOT / test).exists():
            yield f"{place}: {test} does not exist"


def check_citations(path: Path, known: set[str]) -> Iterator[str]:
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        for mention in MENTION.finditer(line):
            text = mention.group()
            place = f"{show(path)}:{number}"
            citation = CITATION.match(text)
            if citation is None or SLOPPY.match(text):
                yield f"{place}: {text.strip()!r} is not of the form `RFC 5321 §4.5.3.1`"
            elif citation["number"] not in known:
                yield f"{place}: RFC {citation['number']} is not in docs/rfcs.tsv"


def check() -> Iterator[str]:
    yield from check_table()
    known = {row[0] for _, row in read_table()}
    for path in list_files("src/*.py", "tests/*.py"):
        yield from check_citations(path, known)


if __name__ == "__main__":
    finish("RFC citations", check())
