"""The settings of the message store and of delivery into it. Annotations are read at run time (see settings.py)."""

from datetime import timedelta
from typing import Annotated

import msgspec

from posthouse.config.kinds import Choice, Duration, Flag, Key, Size, Whole


class Store(msgspec.Struct, frozen=True, kw_only=True):
    """Where accounts keep their mail."""

    shards: Annotated[
        int,
        Key(
            Whole(1, 1000),
            "Databases that new accounts are spread over. One is fastest until its disk or its size is the limit:"
            " what is committed together costs one sync.",
        ),
    ] = 1
    undelete: Annotated[
        timedelta, Key(Duration("0s", "3650d"), "How long removed mail and removed accounts can be brought back.")
    ] = timedelta(days=14)
    body_file_size: Annotated[
        int, Key(Size("1K", "100M"), "Messages beyond this size are files of their own, not rows.")
    ] = 128 << 10
    min_free: Annotated[
        int, Key(Size("0", "10T"), "Free space of the data directory below which no mail is added.")
    ] = 256 << 20


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """How mail comes into accounts."""

    over_quota: Annotated[
        str,
        Key(
            Choice(("later", "refuse")),
            "What a full mailbox answers to RCPT: 452, so that the sender tries again, or 552.",
        ),
    ] = "later"
    over_quota_queued: Annotated[
        str,
        Key(
            Choice(("later", "refuse")),
            "What becomes of mail that was taken and then does not fit: tried again, or sent back (LMTP: 452, 552).",
        ),
    ] = "refuse"
    tag_mailbox: Annotated[
        bool, Key(Flag(), "Whether mail for name+tag goes to the mailbox of the tag's name, where there is one.")
    ] = True
    max_recipients: Annotated[
        int,
        Key(Whole(1, 1_000_000), "Recipients of one message when aliases have been followed; more come in another."),
    ] = 10_000
    vacation_interval: Annotated[
        timedelta, Key(Duration("1h", "365d"), "For how long a sender gets no second vacation answer of an account.")
    ] = timedelta(days=7)
