"""The settings of submission: what accounts may send. Annotations are read at run time (see settings.py)."""

from datetime import timedelta
from typing import Annotated

import msgspec

from posthouse.config.kinds import Duration, Flag, Key, Whole

_MANY = 1_000_000_000


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """What accounts may send, by whatever way. Limits count per account; 0 is no limit."""

    hide_address: Annotated[
        bool, Key(Flag(), "Whether Received says nothing of the address and the name of a client that logged in.")
    ] = True
    undo: Annotated[
        timedelta,
        Key(Duration("0s", "1d"), "How long mail of the submission listeners waits in Scheduled, to be taken back."),
    ] = timedelta(0)
    max_future_release: Annotated[
        timedelta, Key(Duration("0s", "3650d"), "How far ahead mail may be scheduled (FUTURERELEASE); 0s: not at all.")
    ] = timedelta(days=366)
    remember: Annotated[
        timedelta, Key(Duration("1m", "30d"), "How long the same message again is answered, but not sent again.")
    ] = timedelta(days=1)
    messages_per_hour: Annotated[int, Key(Whole(0, _MANY), "Messages of one account; more are 450.")] = 300
    recipients_per_hour: Annotated[int, Key(Whole(0, _MANY), "Recipients of one account; more are 450.")] = 500
    recipients_per_day: Annotated[int, Key(Whole(0, _MANY), "Recipients of one account; more are 450.")] = 2000
    recipients_per_message: Annotated[int, Key(Whole(0, 1_000_000), "Recipients of one message; more are 550.")] = 500
    hold_suspicious: Annotated[
        bool,
        Key(
            Flag(),
            "Whether mail is held when two of three hold within an hour: many new recipients, many failures, a network"
            " the account never sent from.",
        ),
    ] = True
    new_recipients: Annotated[
        int, Key(Whole(0, _MANY), "Recipients never written to before, within an hour, that look suspicious; 0: never.")
    ] = 50
    failures: Annotated[
        int, Key(Whole(0, _MANY), "Recipients that failed within an hour that look suspicious; 0: never.")
    ] = 20
