"""Ids (RFC 8620 §1.2), and creation ids that stand for them within a request (RFC 8620 §5.3). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec

# As arguments have them. The pattern is searched for, so it says where it begins and ends.
Id = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_-]{1,255}\Z")]


def resolve_id(text: str, created: Mapping[str, str]) -> str | None:
    """The id that is meant: "#" and a creation id mean what was created under it. None: nothing was."""
    return created.get(text[1:]) if text.startswith("#") else text
