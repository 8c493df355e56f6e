"""What `posthouse check` says of one thing. An error keeps the server from working, a warning does not."""

from __future__ import annotations

from dataclasses import dataclass

OK, WARNING, ERROR = "ok", "warning", "error"


@dataclass(frozen=True, slots=True)
class Finding:
    area: str
    level: str
    text: str
