"""Where an account forwards its mail: read and written by its owner or an administrator.

What cannot be done is `DirectoryRefusal` with words for people, and nothing is changed. Methods block until the change
is durable.
"""

from __future__ import annotations

from collections.abc import Sequence

from posthouse.manage.accounts import read_address
from posthouse.message.mailbox import AccountId
from posthouse.ports.directory_admin import DirectoryAdmin, Forwarding

Plain = dict[str, object]


class ForwardingOperations:
    def __init__(self, admin: DirectoryAdmin) -> None:
        self._admin = admin

    def read(self, account: AccountId) -> Plain:
        """`{"targets": [...], "keepsCopy": true}`; without targets nothing is forwarded."""
        return show_forwarding(self._admin.read_forwarding(account))

    def write(self, account: AccountId, targets: Sequence[str], *, keeps_copy: bool) -> Plain:
        """What it is now. Without targets nothing is forwarded any more."""
        addresses = [read_address(target) for target in targets]
        return show_forwarding(self._admin.set_forwarding(account, addresses, keeps_copy=keeps_copy))


def show_forwarding(forwarding: Forwarding) -> Plain:
    return {"targets": list(forwarding.targets), "keepsCopy": forwarding.keeps_copy}
