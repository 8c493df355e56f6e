"""The text of a message as search wants it: decoded, folded for comparing, made only when it is asked for.

A message is given as its octets (prefix and body) and what was found when it was parsed. Decoding is message/text's.
Bounded by what that decodes; never raises. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date

from posthouse.message.casemap import fold_case
from posthouse.message.dates import parse_date
from posthouse.message.encoded_words import decode_value
from posthouse.message.header import iterate_fields
from posthouse.message.parsed import ParsedMessage
from posthouse.message.search import Where
from posthouse.message.text import message_text, section_text
from posthouse.ms.search import day_of


class MessageTexts:
    """Implements `search.Texts` over a message; `octets` is called once, when cached columns do not answer."""

    __slots__ = ("_folded", "_message", "_octets", "_prefix_size", "_read")

    def __init__(self, message: ParsedMessage, prefix_size: int, read: Callable[[], bytes]) -> None:
        self._message, self._prefix_size, self._read = message, prefix_size, read
        self._octets: bytes | None = None
        self._folded: dict[Where, str] = {}

    def text(self, where: Where) -> str:
        known = self._folded.get(where)
        if known is None:
            known = self._folded[where] = fold_case(self._make(where))
        return known

    def header(self, name: str) -> list[str]:
        """Decoded and folded values of every field of that name."""
        return [fold_case(decode_value(value)) for value in self._values(name)]

    def sent_day(self) -> date | None:
        for value in self._values("Date"):
            sent = parse_date(value)
            return day_of(sent.instant, sent.zone_minutes) if sent is not None else None
        return None

    def _make(self, where: Where) -> str:
        message = self._message
        match where:
            case Where.SUBJECT:
                return message.subject
            case Where.FROM:
                return message.from_text
            case Where.TO:
                return message.to_text
            case Where.CC:
                return message.cc_text
            case Where.BCC:
                return message.bcc_text
            case Where.ATTACHMENT:
                return "\n".join(part.name for part in message.parts if part.name)
            case Where.BODY:
                return self._decode_body()
            case Where.TEXT:
                return f"{section_text(self._all(), 0, self._header_end())}\n\n{self._decode_body()}"

    def _decode_body(self) -> str:
        return "\n".join(message_text(self._all()[self._prefix_size :], self._message))

    def _values(self, name: str) -> Iterator[bytes]:
        octets, wanted = self._all(), name.lower().encode("utf-8", "replace")
        for field in iterate_fields(octets, 0, self._header_end()):
            if field.name == wanted:
                yield octets[field.value : field.end]

    def _header_end(self) -> int:
        return self._prefix_size + self._message.header_size

    def _all(self) -> bytes:
        if self._octets is None:
            self._octets = self._read()
        return self._octets
