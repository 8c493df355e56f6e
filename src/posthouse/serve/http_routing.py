"""Which route takes a path. Pure.

A path is compared segment by segment, each decoded for itself, so that no `%2F` makes segments. Among routes that fit,
the one whose first differing segment is literal wins; `{rest*}` comes last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

from posthouse.serve.http_messages import AnyRoute

_MAX_SEGMENTS = 64


@dataclass(slots=True)
class _Node:
    """`routes` end here; `rest` take whatever follows."""

    literal: dict[str, _Node] = field(default_factory=dict)
    named: _Node | None = None
    routes: list[AnyRoute] = field(default_factory=list)
    rest: list[AnyRoute] = field(default_factory=list)


class Router:
    def __init__(self, routes: Sequence[AnyRoute]) -> None:
        self._root = _Node()
        for route in routes:
            self._add(route)

    def _add(self, route: AnyRoute) -> None:
        node = self._root
        for segment in route.path.removeprefix("/").split("/"):
            if segment.endswith("*}"):
                node.rest.append(route)
                return
            if segment.startswith("{"):
                node.named = node.named or _Node()
                node = node.named
            else:
                node = node.literal.setdefault(segment, _Node())
        node.routes.append(route)

    def find(self, raw_path: str) -> Sequence[AnyRoute]:
        """All routes of the best fitting path, whatever their methods; none: there is no such path. `raw_path` as it
        was sent.
        """
        segments = raw_path.removeprefix("/").split("/")
        return _search(self._root, segments, 0) if len(segments) <= _MAX_SEGMENTS else ()


def _search(node: _Node, segments: Sequence[str], at: int) -> Sequence[AnyRoute]:
    if at == len(segments):
        return node.routes
    literal = node.literal.get(unquote(segments[at]))
    found = _search(literal, segments, at + 1) if literal is not None else ()
    if not found and node.named is not None and segments[at]:
        found = _search(node.named, segments, at + 1)
    return found or node.rest


def read_parameters(route_path: str, raw_path: str) -> dict[str, str]:
    """What stands in the braces of a route that fits."""
    found: dict[str, str] = {}
    segments = raw_path.removeprefix("/").split("/")
    for at, pattern in enumerate(route_path.removeprefix("/").split("/")):
        if pattern.endswith("*}"):
            found[pattern[1:-2]] = "/".join(map(unquote, segments[at:]))
        elif pattern.startswith("{"):
            found[pattern[1:-1]] = unquote(segments[at])
    return found
