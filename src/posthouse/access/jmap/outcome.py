"""What a /set has done so far, record by record, and the response it becomes (RFC 8620 §5.3). Pure."""

from __future__ import annotations

from posthouse.protocol.jmap.errors import SetError
from posthouse.protocol.jmap.responses import SetResponse


class SetOutcome:
    """`created`: what the client does not know of each new record."""

    def __init__(self) -> None:
        self.created: dict[str, object] = {}
        self.updated: dict[str, object | None] = {}
        self.destroyed: list[str] = []
        self.not_created: dict[str, SetError] = {}
        self.not_updated: dict[str, SetError] = {}
        self.not_destroyed: dict[str, SetError] = {}

    def respond(self, account_id: str, old_state: str, new_state: str) -> SetResponse:
        return SetResponse(
            account_id=account_id,
            old_state=old_state,
            new_state=new_state,
            created=self.created or None,
            updated=self.updated or None,
            destroyed=self.destroyed or None,
            not_created=self.not_created or None,
            not_updated=self.not_updated or None,
            not_destroyed=self.not_destroyed or None,
        )
