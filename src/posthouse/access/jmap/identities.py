"""Identities (RFC 8621 §6): who an account may send as, with signatures. Records of the kind `identity`.

Every address of the account has one that cannot be destroyed: it is made when somebody looks, and goes with the
address. Others are the user's own; their address must be one the account may send as. `isDefault` is a property of
ours: one identity has it, that of the login name when nobody chose.

`find_identity` and `list_identities` are for who sends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from posthouse.access.jmap.method import JmapParts
from posthouse.access.jmap.records_methods import RecordType
from posthouse.access.jmap.records_reading import read_addresses, read_flag, read_line, read_mail_address, read_text
from posthouse.message.mailbox import AccountId
from posthouse.ports.directory import Account, Accounts
from posthouse.ports.records import Record, RecordEdit, Records
from posthouse.protocol.jmap.errors import SetErrorType, invalid_properties, refuse_record
from posthouse.protocol.jmap.json import JsonObject

IDENTITY = RecordType(
    "identity",
    "I",
    ("id", "name", "email", "replyTo", "bcc", "textSignature", "htmlSignature", "mayDelete", "isDefault"),
)
_DEFAULTS: Mapping[str, object] = {
    "name": "",
    "replyTo": None,
    "bcc": None,
    "textSignature": "",
    "htmlSignature": "",
    "isDefault": False,
}
_BASE = "base"  # in the record: the address of the account that it belongs to
_ROUNDS = 3


async def list_identities(records: Records, accounts: Accounts, owner: AccountId) -> list[Record]:
    """All of them, in step with the account's addresses. Raises the store's errors, DirectoryError."""
    account = accounts.get(owner)
    found = await records.list_all(owner, IDENTITY.kind)
    if account is None:
        return found
    for _ in range(_ROUNDS):  # others may do the same at the same time: of two that are made the older one stays
        edits = plan_identities(found, account)
        if not edits:
            break
        await records.edit(owner, IDENTITY.kind, edits)
        found = await records.list_all(owner, IDENTITY.kind)
    return found


async def find_identity(parts: JmapParts, owner: AccountId, identity: str) -> JsonObject | None:
    """The object, by its id; None: there is none."""
    found = await list_identities(parts.records, parts.accounts, owner)
    rules = IdentityRules(parts.accounts, owner, find_default(found, parts.accounts.get(owner)))
    return next((rules.show(record) for record in found if IDENTITY.name(record.id) == identity), None)


def plan_identities(found: Sequence[Record], account: Account) -> list[RecordEdit]:
    """What must be made and removed, so that each address of the account has one."""
    wanted = {address.casefold(): address for address in account.addresses or (account.address,)}
    edits: list[RecordEdit] = []
    for record in found:
        base = record.value.get(_BASE)
        if isinstance(base, str) and wanted.pop(base.casefold(), None) is None:
            edits.append(RecordEdit(None, record.id))
    made = [
        {**_DEFAULTS, "name": account.display_name, "email": address, _BASE: address} for address in wanted.values()
    ]
    return edits + [RecordEdit(value) for value in made]


def find_default(found: Sequence[Record], account: Account | None) -> Record | None:
    """The one that was chosen, else that of the login name, else the first."""
    chosen = [record for record in found if record.value.get("isDefault")]
    login = [record for record in found if account is not None and record.value.get(_BASE) == account.address]
    return next(iter([*chosen, *login, *found]), None)


@dataclass(frozen=True, slots=True)
class IdentityRules:
    """A `Rules`. `default`: the one that is the default now."""

    accounts: Accounts
    owner: AccountId
    default: Record | None

    @property
    def type(self) -> RecordType:
        return IDENTITY

    @property
    def defaults(self) -> Mapping[str, object]:
        return _DEFAULTS

    def show(self, record: Record) -> JsonObject:
        value = record.value
        own: JsonObject = {
            "id": IDENTITY.name(record.id),
            "mayDelete": _BASE not in value,
            "isDefault": self.default is not None and self.default.id == record.id,
        }
        return {name: own[name] if name in own else value.get(name) for name in IDENTITY.properties}

    def read(self, members: JsonObject, old: Record | None) -> RecordEdit:
        if "mayDelete" in members and (old is None or members["mayDelete"] != (_BASE not in old.value)):
            raise invalid_properties(["mayDelete"], "The server sets it")
        value: JsonObject = {
            "name": read_line(members, "name"),
            "email": self._read_email(members, old),
            "replyTo": read_addresses(members, "replyTo"),
            "bcc": read_addresses(members, "bcc"),
            "textSignature": read_text(members, "textSignature"),
            "htmlSignature": read_text(members, "htmlSignature"),
            "isDefault": read_flag(members, "isDefault"),
        }
        if old is not None and _BASE in old.value:
            value[_BASE] = old.value[_BASE]
        return RecordEdit(value)

    def _read_email(self, members: JsonObject, old: Record | None) -> str:
        if old is not None:
            if members.get("email") != old.value["email"]:
                raise invalid_properties(["email"], "It cannot be changed")
            return str(old.value["email"])
        address = read_mail_address(members.get("email"), "email")
        if not self.accounts.may_send_as(self.owner, address):
            raise refuse_record(SetErrorType.FORBIDDEN_FROM, f"This account may not send as {address}")
        return str(address)

    def check_removal(self, record: Record) -> None:
        if _BASE in record.value:
            raise refuse_record(SetErrorType.FORBIDDEN, "It goes when the account loses the address")
