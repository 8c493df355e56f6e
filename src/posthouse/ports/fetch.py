"""Small documents from servers that the configuration or a peer names, by HTTPS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


class FetchError(Exception):
    """No answer: not resolved, refused, too slow, too big, or an address that must not be asked."""


@dataclass(frozen=True, slots=True)
class Fetched:
    status: int
    body: bytes


class Fetch(Protocol):
    async def get(self, url: str) -> Fetched:
        """Redirects are not followed. Raises FetchError."""

    async def post_form(self, url: str, form: Mapping[str, str], login: tuple[str, str] | None = None) -> Fetched:
        """`login` is a name and a password for Basic. Raises FetchError."""

    async def post(self, url: str, octets: bytes, headers: Mapping[str, str]) -> Fetched:
        """Raises FetchError."""


class FakeFetch:
    """`answers` by URL; a URL that is not there fails. `asked` lists (URL, form), `posted` (URL, octets, headers)."""

    def __init__(self, answers: Mapping[str, Fetched]) -> None:
        self.answers = dict(answers)
        self.asked: list[tuple[str, Mapping[str, str]]] = []
        self.posted: list[tuple[str, bytes, Mapping[str, str]]] = []

    async def get(self, url: str) -> Fetched:
        return self._answer(url, {})

    async def post_form(self, url: str, form: Mapping[str, str], login: tuple[str, str] | None = None) -> Fetched:
        return self._answer(url, form)

    async def post(self, url: str, octets: bytes, headers: Mapping[str, str]) -> Fetched:
        self.posted.append((url, octets, headers))
        return self._answer(url, {})

    def _answer(self, url: str, form: Mapping[str, str]) -> Fetched:
        self.asked.append((url, form))
        if url not in self.answers:
            raise FetchError(f"{url}: no route to host")
        return self.answers[url]
