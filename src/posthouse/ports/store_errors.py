"""How the store says no: errors are ours and temporary, refusals are answers. Roles import them from `ports.store`."""

from __future__ import annotations


class StoreError(Exception):
    """It could not be done now; nothing of the request is stored. Temporary (4xx, NO [UNAVAILABLE])."""


class StoreFull(StoreError):
    """Free space or inodes are below `min_free`."""


class StoreBroken(StoreError):
    """An fsync failed: the shard is suspect until restart."""


class StoreRefusal(Exception):
    """The request cannot be done as it is; nothing is stored."""


class NoSuchAccount(StoreRefusal):
    """Unknown to the store, or removed."""


class NoSuchMailbox(StoreRefusal):
    pass


class MailboxExists(StoreRefusal):
    """The name, or the role, is taken."""


class MailboxHasChildren(StoreRefusal):
    pass


class MailboxNotEmpty(StoreRefusal):
    pass


class BadName(StoreRefusal):
    """Empty, too long, with "/" or control characters, or a parent below itself."""


class OverQuota(StoreRefusal):
    pass


class TooMany(StoreRefusal):
    """A limit of the store: mailboxes, depth, keywords, recipients; the text names it."""
