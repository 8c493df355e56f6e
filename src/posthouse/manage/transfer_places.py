"""Mailboxes by their path from the top, made at first need. For one account."""

from __future__ import annotations

from posthouse.message.mailbox import ROLE_NAMES, AccountId, MailboxId, Role
from posthouse.ports.store import Mailboxes, MailboxExists

MAX_NAME_OCTETS = 255
_MAX_DEPTH = 40

Path = tuple[str, ...]


class Places:
    def __init__(self, account: AccountId, mailboxes: Mailboxes) -> None:
        self._account, self._mailboxes = account, mailboxes
        self._known: dict[tuple[Path, Role | None], MailboxId] = {}

    def forget(self) -> None:
        """Somebody else has changed them."""
        self._known.clear()

    async def find(self, path: Path, role: Role | None = None) -> MailboxId:
        """With a role, the account's mailbox of that role, whatever its name. Raises StoreRefusal, StoreError.

        Nothing is put into Scheduled: it would look as if it were to be sent.
        """
        if role is Role.SCHEDULED or (len(path) == 1 and path[0].lower() == ROLE_NAMES[Role.SCHEDULED].lower()):
            path, role = (f"{ROLE_NAMES[Role.SCHEDULED]} (imported)",), None
        found = self._known.get((path, role))
        if found is None:
            found = self._known[path, role] = await self._open(path, role)
        return found

    async def _open(self, path: Path, role: Role | None) -> MailboxId:
        if role is not None or not path:
            return (await self._mailboxes.open_role(self._account, role or Role.INBOX)).id
        names = tuple(clean_name(name) for name in path[:_MAX_DEPTH])
        there = {(box.parent, box.name): box.id for box in await self._mailboxes.list_all(self._account)}
        parent: MailboxId | None = None
        for number, name in enumerate(names):
            if number == 0 and name.upper() == "INBOX":
                parent = (await self._mailboxes.open_role(self._account, Role.INBOX)).id
                continue
            parent = there.get((parent, name)) or await self._make(name, parent)
        assert parent is not None
        return parent

    async def _make(self, name: str, parent: MailboxId | None) -> MailboxId:
        try:
            return (await self._mailboxes.create(self._account, name, parent)).id
        except MailboxExists:  # made just now by somebody else
            for box in await self._mailboxes.list_all(self._account):
                if (box.parent, box.name) == (parent, name):
                    return box.id
            raise


def clean_name(name: str) -> str:
    """As a mailbox may be called."""
    text = "".join(each if each.isprintable() and each != "/" else "_" for each in name).strip() or "_"
    return text.encode("utf-8", "replace")[:MAX_NAME_OCTETS].decode("utf-8", "ignore")
