"""Domains, accounts and aliases for the administration page: pages of lists, and changes that lock nobody out.

Plain functions over `manage/accounts.py`; they block until a change is durable. What cannot be done is
`DirectoryRefusal` with words for people.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from posthouse.manage.accounts import Plain, read_address, read_domain, show_account, show_alias
from posthouse.message.mailbox import AccountId
from posthouse.ports.directory import Account
from posthouse.ports.directory_admin import AccountChange, AliasEntry, DirectoryAdmin, DirectoryRefusal
from posthouse.protocol.sasl.prep import prepare

MAX_PAGE = 1000


@dataclass(frozen=True, slots=True)
class ListQuery:
    """`text`: what a name must contain. `after`: the login name of the last one seen."""

    domain: str = ""
    text: str = ""
    after: str = ""
    limit: int = 200


def list_accounts(admin: DirectoryAdmin, query: ListQuery) -> Plain:
    """`{"items": [...], "more": bool}`, by domain and local part."""
    domain = read_domain(query.domain) if query.domain else ""
    after = read_address(query.after) if query.after else None
    found = (account for account in admin.list_accounts(domain, after) if _mentions(account, query.text))
    return _cut(map(show_account, found), query.limit)


def _mentions(account: Account, text: str) -> bool:
    words = (account.display_name, *account.addresses)
    return not text or any(text.casefold() in word.casefold() for word in words)


def list_aliases(admin: DirectoryAdmin, query: ListQuery) -> Plain:
    entries = admin.list_aliases(read_domain(query.domain) if query.domain else "")
    text = query.text.casefold()
    found = (
        entry
        for entry in entries
        if not text or any(text in word.casefold() for word in (entry.address, *entry.targets))
    )
    return _cut(map(show_alias, _skip(found, query.after)), query.limit)


def _skip(entries: Iterable[AliasEntry], after: str) -> Iterator[AliasEntry]:
    waits = bool(after)
    for entry in entries:
        if not waits:
            yield entry
        waits = waits and entry.address != after


def _cut(items: Iterator[Plain], limit: int) -> Plain:
    page = list(islice(items, limit + 1))
    return {"items": page[:limit], "more": len(page) > limit}


def check_password(password: str) -> None:
    """Before an account is made for it. Raises DirectoryRefusal."""
    try:
        prepare(password)
    except ValueError as error:
        raise DirectoryRefusal(str(error)) from None


def check_own(account: Account, own: AccountId, change: AccountChange) -> None:
    """An administrator cannot take the way back from himself: another one can. Raises DirectoryRefusal."""
    if account.id == own and (change.is_disabled or change.is_admin is False):
        raise DirectoryRefusal("This is your own account: another administrator can do that")


def check_removal(account: Account, own: AccountId) -> None:
    """Raises DirectoryRefusal."""
    if account.id == own:
        raise DirectoryRefusal("This is your own account: another administrator can remove it")
