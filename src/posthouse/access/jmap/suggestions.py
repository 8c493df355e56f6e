"""AddressSuggestion/query (vendor, docs/jmap.md): whom somebody who types an address may mean. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec

from posthouse.access.jmap.method import Call, Method
from posthouse.access.jmap.session import WEB
from posthouse.protocol.jmap.arguments import Arguments, read_arguments
from posthouse.protocol.jmap.execution import Answer

_MAX_LIMIT = 100
_MAX_TEXT = 500  # characters


class SuggestionArguments(Arguments, kw_only=True):
    """`text`: words, each the beginning of one in the name or the address."""

    account_id: str
    text: Annotated[str, msgspec.Meta(max_length=_MAX_TEXT)] = ""
    limit: Annotated[int, msgspec.Meta(ge=0, le=_MAX_LIMIT)] = 10


class Suggestion(msgspec.Struct, frozen=True):
    """`count`: letters to it and from it, of those that were looked at."""

    name: str | None
    email: str
    count: int


class SuggestionResponse(msgspec.Struct, rename="camel"):
    account_id: str
    list: Sequence[Suggestion]


async def suggest_addresses(call: Call) -> Answer:
    asked = read_arguments(SuggestionArguments, call.arguments)
    owner = call.check_account(asked.account_id)
    book = await call.parts.address_books.open(call.parts.store, owner)
    found = book.find(asked.text, asked.limit)
    return SuggestionResponse(
        asked.account_id, [Suggestion(known.name or None, known.email, known.count) for known in found]
    )


METHODS: Mapping[str, Method] = {"AddressSuggestion/query": Method(WEB, suggest_addresses)}
