"""What is wrong with a whole request, or with an HTTP call beside it: problem details (RFC 7807, RFC 8620 §3.6.1).

No method has run when one of these is answered.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from posthouse.protocol.jmap.json import JsonObject, encode_json

CONTENT_TYPE = "application/problem+json"


class ProblemType(StrEnum):
    UNKNOWN_CAPABILITY = "urn:ietf:params:jmap:error:unknownCapability"
    NOT_JSON = "urn:ietf:params:jmap:error:notJSON"
    NOT_REQUEST = "urn:ietf:params:jmap:error:notRequest"
    LIMIT = "urn:ietf:params:jmap:error:limit"
    PLAIN = "about:blank"  # nothing more than what the status says (RFC 7807 §4.2)


@dataclass(frozen=True, slots=True)
class Problem:
    """`limit`: the name of the limit that was reached, with LIMIT alone."""

    type: ProblemType
    detail: str
    status: int = 400
    limit: str = ""

    def as_object(self) -> JsonObject:
        members: JsonObject = {"type": str(self.type), "status": self.status, "detail": self.detail}
        if self.limit:
            members["limit"] = self.limit
        return members

    def as_json(self) -> bytes:
        return encode_json(self.as_object())


class RequestRefused(Exception):
    """The request as a whole is not carried out."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def refuse_limit(limit: str, detail: str, status: int = 400) -> RequestRefused:
    """`limit`: its name in the core capability, such as "maxCallsInRequest" (RFC 8620 §3.6.1)."""
    return RequestRefused(Problem(ProblemType.LIMIT, detail, status, limit))
