"""Push subscriptions as they are kept: records of the kind "push" (RFC 8620 §7.2). Pure."""

from __future__ import annotations

import msgspec

from posthouse.access.jmap.records_methods import RecordType
from posthouse.ports.records import NEW, Record, RecordEdit, RecordId
from posthouse.ports.webpush import PushTarget
from posthouse.protocol.jmap.dates import write_utc_date
from posthouse.protocol.jmap.json import JsonObject

KIND = "push"
RECORD = RecordType(KIND, "P", ("id", "deviceClientId", "verificationCode", "expires", "types"))


class KeptPush(msgspec.Struct, frozen=True, omit_defaults=True):
    """`credential`: what it was made with; only that sees it (RFC 8620 §7.2). `code` is what the client has to learn at
    the URL. `expires` in seconds since 1970. `types` None: all.
    """

    credential: int
    device: str
    url: str
    code: str
    expires: float
    p256dh: str = ""
    auth: str = ""
    is_verified: bool = False
    types: tuple[str, ...] | None = None

    @property
    def target(self) -> PushTarget:
        return PushTarget(self.url, self.p256dh, self.auth)

    def as_edit(self, number: RecordId = NEW) -> RecordEdit:
        return RecordEdit(msgspec.to_builtins(self), number)

    def show(self, number: RecordId) -> JsonObject:
        """`url` and `keys` are never shown again; the code is when the client has told it."""
        return {
            "id": RECORD.name(number),
            "deviceClientId": self.device,
            "verificationCode": self.code if self.is_verified else None,
            "expires": write_utc_date(self.expires),
            "types": None if self.types is None else list(self.types),
        }


def read_push(record: Record) -> KeptPush:
    return msgspec.convert(dict(record.value), KeptPush)
