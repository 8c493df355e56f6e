"""Responses of the standard methods (RFC 8620 §5). Members that are UNSET are left out. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from posthouse.protocol.jmap.errors import SetError

UNSET = msgspec.UNSET
Unset = msgspec.UnsetType


class GetResponse(msgspec.Struct, rename="camel", kw_only=True):
    """RFC 8620 §5.1."""

    account_id: str
    state: str
    list: Sequence[object]
    not_found: Sequence[str] = ()


class ChangesResponse(msgspec.Struct, rename="camel", kw_only=True):
    """RFC 8620 §5.2. `updated_properties` is Mailbox/changes' own (RFC 8621 §2.2)."""

    account_id: str
    old_state: str
    new_state: str
    has_more_changes: bool = False
    created: Sequence[str] = ()
    updated: Sequence[str] = ()
    destroyed: Sequence[str] = ()
    updated_properties: Sequence[str] | Unset | None = UNSET


class SetResponse(msgspec.Struct, rename="camel", kw_only=True):
    """RFC 8620 §5.3; None where there is nothing to tell."""

    account_id: str
    old_state: str | None
    new_state: str
    created: Mapping[str, object] | None = None
    updated: Mapping[str, object | None] | None = None
    destroyed: Sequence[str] | None = None
    not_created: Mapping[str, SetError] | None = None
    not_updated: Mapping[str, SetError] | None = None
    not_destroyed: Mapping[str, SetError] | None = None


class QueryResponse(msgspec.Struct, rename="camel", kw_only=True):
    """RFC 8620 §5.5."""

    account_id: str
    query_state: str
    can_calculate_changes: bool
    position: int
    ids: Sequence[str]
    total: int | Unset = UNSET
    limit: int | Unset = UNSET
    collapse_threads: bool | Unset = UNSET  # Email/query (RFC 8621 §4.4.3)


class AddedItem(msgspec.Struct):
    id: str
    index: int


class QueryChangesResponse(msgspec.Struct, rename="camel", kw_only=True):
    """RFC 8620 §5.6."""

    account_id: str
    old_query_state: str
    new_query_state: str
    removed: Sequence[str] = ()
    added: Sequence[AddedItem] = ()
    total: int | Unset = UNSET
