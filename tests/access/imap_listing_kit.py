"""What LIST says, taken apart."""

from __future__ import annotations

import re

from posthouse.protocol.imap.commands import List
from tests.access.imap_kit import Client

_LINE = re.compile(rb'\* LIST \(([^)]*)\) "/" "([^"]*)"([^\r]*)\r\n')


def read_list(answer: bytes) -> dict[str, tuple[set[str], str]]:
    """Attributes and what follows, by name; the usual ones about children left out."""
    found: dict[str, tuple[set[str], str]] = {}
    for attributes, name, rest in _LINE.findall(answer):
        known = {flag for flag in attributes.decode().split() if flag not in ("\\HasChildren", "\\HasNoChildren")}
        assert name.decode() not in found
        found[name.decode()] = known, rest.decode().strip()
    return found


async def names_of(client: Client, pattern: str, start: str = "") -> list[str]:
    """As LIST tells them; `start`: those that begin so."""
    answer = await client.do(List("", (pattern,)))
    return [name for name in read_list(answer) if name.startswith(start)]
