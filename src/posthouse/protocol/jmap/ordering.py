"""In which order the records of one /set are created: what another one refers to comes first (RFC 8620 §5.3). Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from posthouse.protocol.jmap.json import JsonObject


def order_creates(
    records: Mapping[str, JsonObject], refer: Callable[[JsonObject], str | None]
) -> tuple[list[str], list[str]]:
    """Creation ids in order, and those that go in circles, which cannot be created.

    `refer`: the id that a record refers to, with "#" in front of a creation id; None: to nothing.
    """
    needs = {name: _read_reference(refer(record), records) for name, record in records.items()}
    ordered: dict[str, None] = {}
    circling: dict[str, None] = {}
    for name in records:
        way: dict[str, None] = {}
        here: str | None = name
        while here is not None and here not in ordered and here not in circling and here not in way:
            way[here] = None
            here = needs[here]
        is_lost = here is not None and here not in ordered
        (circling if is_lost else ordered).update(dict.fromkeys(reversed(way)))
    return list(ordered), list(circling)


def _read_reference(text: str | None, records: Mapping[str, object]) -> str | None:
    return text[1:] if text is not None and text.startswith("#") and text[1:] in records else None
