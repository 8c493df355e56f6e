"""What a core's `next_event` gives when it has nothing to tell until more bytes or an answer come."""

from __future__ import annotations

import enum
from typing import Final, Literal


class NeedData(enum.Enum):
    NEED_DATA = "need data"

    def __repr__(self) -> str:
        return "NEED_DATA"


NEED_DATA: Final[Literal[NeedData.NEED_DATA]] = NeedData.NEED_DATA
