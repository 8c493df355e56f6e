"""Answers with much text in them, written as JSON a record at a time (RFC 8620 §3.4).

Writing JSON is one call into C that holds up everything else, in whichever thread it runs: 10 ms for 1 MB. So what is
large is written beforehand, and other clients get their turn in between. What is small costs a look at one record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from posthouse.protocol.jmap.json import encode_json
from posthouse.protocol.jmap.request import Response
from posthouse.protocol.jmap.responses import GetResponse

_MAY_BE_LARGE = frozenset({"bodyValues", "data:asText", "data:asBase64"})
_LARGE = 256 * 1024  # octets that are written in one turn


async def write_large(response: Response) -> Response:
    """The same, for who writes it. Its large records cannot be looked at any more."""
    written = [(name, await _write(answer), call) for name, answer, call in response.method_responses]
    return msgspec.structs.replace(response, method_responses=written)


async def _write(answer: object) -> object:
    """One that a reference has looked into is plain already."""
    if isinstance(answer, GetResponse) and _is_large(answer.list):
        return msgspec.structs.replace(answer, list=await _write_records(answer.list))
    if isinstance(answer, dict):
        records = answer.get("list")
        if isinstance(records, list) and _is_large(records):
            return {**answer, "list": await _write_records(records)}
    return answer


def _is_large(records: Sequence[object]) -> bool:
    first = records[0] if records else None
    return isinstance(first, dict) and not _MAY_BE_LARGE.isdisjoint(first)


async def _write_records(records: Sequence[object]) -> list[object]:
    written: list[object] = []
    size = 0
    for record in records:
        octets = encode_json(record)
        written.append(msgspec.Raw(octets))
        size += len(octets)
        if size > _LARGE:
            await asyncio.sleep(0)
            size = 0
    return written
