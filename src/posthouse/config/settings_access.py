"""The settings of reading mail: IMAP and POP3. Annotations are read at run time (see settings.py)."""

from datetime import timedelta
from typing import Annotated

import msgspec

from posthouse.config.kinds import Duration, Flag, Key, ListOf, Size, Text, Whole

_MANY = 1_000_000_000


class Imap(msgspec.Struct, frozen=True, kw_only=True):
    """What IMAP clients may do. The largest message taken is smtp.max_message_size."""

    timeout: Annotated[
        timedelta,
        Key(Duration("1m", "7d"), "How long a client that has logged in may be silent, IDLE included; 30m or more."),
    ] = timedelta(minutes=30)
    login_timeout: Annotated[
        timedelta, Key(Duration("1s", "1h"), "How long a client that has not logged in may be silent.")
    ] = timedelta(minutes=3)
    still_here: Annotated[
        timedelta,
        Key(Duration("0s", "29m"), "How often an idling client hears of us, so that no router forgets it; 0s: never."),
    ] = timedelta(minutes=2)
    max_command_line: Annotated[int, Key(Size("8K", "16M"), "Longest command, without its literals.")] = 64 << 10
    max_literal_before_login: Annotated[
        int, Key(Size("1K", "1M"), "Largest literal of a client that has not logged in.")
    ] = 8 << 10
    max_literal: Annotated[int, Key(Size("8K", "1G"), "Largest literal that is no message.")] = 1 << 20
    max_depth: Annotated[int, Key(Whole(10, 1000), "Depth of parentheses in a command.")] = 50
    max_search_keys: Annotated[int, Key(Whole(10, 100_000), "Keys of one SEARCH.")] = 1000
    max_errors: Annotated[int, Key(Whole(1, 1000), "Refused commands in a row after which the connection ends.")] = 20
    max_multiappend: Annotated[int, Key(Whole(1, 10_000), "Messages of one APPEND (MULTIAPPEND).")] = 100
    uploads: Annotated[
        int,
        Key(Size("1M", "1T"), "Octets of messages that clients of one worker upload at once; the next ones wait."),
    ] = 64 << 20
    message_limit: Annotated[
        int, Key(Whole(0, _MANY), "Messages one command works on (MESSAGELIMIT); 0: no limit.")
    ] = 0
    outbox: Annotated[str, Key(Text(), "Name of the mailbox that sends what is put into it.")] = "Outbox"
    hide: Annotated[
        tuple[str, ...],
        Key(
            ListOf(Text()),
            "Capabilities that are not announced, for clients that stumble over them; their commands still work.",
            example='["NOTIFY"]',
        ),
    ] = ()
    sessions_per_account: Annotated[
        int, Key(Whole(0, 1_000_000), "Sessions of one account, IMAP and POP3; more are refused with [LIMIT]. 0: any.")
    ] = 50
    sessions_per_account_and_address: Annotated[
        int, Key(Whole(0, 1_000_000), "Sessions of one account from one address; 0: any number.")
    ] = 20


class Pop3(msgspec.Struct, frozen=True, kw_only=True):
    """What POP3 clients may do. How many sessions an account may have is said in [imap]."""

    timeout: Annotated[
        timedelta,
        Key(Duration("1m", "7d"), "How long a client that has logged in may be silent; 10m or more (RFC 1939 §3)."),
    ] = timedelta(minutes=10)
    login_delay: Annotated[
        timedelta, Key(Duration("0s", "1d"), "Least time between two logins of an account (LOGIN-DELAY); 0s: none.")
    ] = timedelta(0)
    max_errors: Annotated[int, Key(Whole(1, 1000), "Refused commands in a row after which the connection ends.")] = 10
    marks_seen: Annotated[bool, Key(Flag(), "Whether what was retrieved counts as read after QUIT.")] = True
