"""Where final delivery puts a message: the words that routing and delivery share. Pure values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MaildirBox:
    """One Maildir; directories are made below `root` only."""

    root: str
    path: str


@dataclass(frozen=True, slots=True)
class AccountBox:
    """The store. Whose mailbox it is, is asked again at delivery: an account removed meanwhile is 5.1.1.

    So all recipients of a message that we deliver for are one job, and the message is parsed once for them.
    """


Box = MaildirBox | AccountBox
