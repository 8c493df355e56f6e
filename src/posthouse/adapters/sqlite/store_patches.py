"""What the writer did to many placements at once, said so that whoever keeps them need not read them again."""

from __future__ import annotations

from typing import NamedTuple

from posthouse.message.mailbox import UidSet


class FlagsPatch(NamedTuple):
    """`flags & keep | add` and `modseq` of `uids`; nothing else changed in the mailbox since its modseq was `since`."""

    account: int
    mailbox: int
    since: int
    modseq: int
    uids: UidSet
    add: int
    keep: int
