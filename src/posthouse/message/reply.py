"""What one side of SMTP answers the other: code, enhanced status code and text (RFC 5321 §4.2, RFC 3463)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reply:
    """`code` is 200..599, `enhanced` like "5.7.1" or "" when there is none, `text` one or more lines joined by LF."""

    code: int
    enhanced: str = ""
    text: str = ""

    @property
    def is_positive(self) -> bool:
        return 200 <= self.code < 400

    @property
    def is_transient(self) -> bool:
        return 400 <= self.code < 500

    @property
    def status(self) -> str:
        """The enhanced status code; where the peer gave none, the plain one of its class (RFC 3463 §3.1)."""
        return self.enhanced or f"{self.code // 100 if self.code < 600 else 5}.0.0"

    def __str__(self) -> str:
        head = f"{self.code} {self.enhanced} " if self.enhanced else f"{self.code} "
        return (head + " ".join(self.text.split("\n"))).strip()
