"""What is wrong with one method call (RFC 8620 §3.6.2) or one record of a /set (RFC 8620 §5.3): values and their names.

The names of RFC 8621, RFC 9404 and RFC 9007 are here too, so that nobody writes one by hand. Descriptions are for
developers of clients and never show what the client may not know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec

from posthouse.protocol.jmap.json import JsonObject


class ErrorType(StrEnum):
    """Method-level errors."""

    SERVER_UNAVAILABLE = "serverUnavailable"
    SERVER_FAIL = "serverFail"
    SERVER_PARTIAL_FAIL = "serverPartialFail"
    UNKNOWN_METHOD = "unknownMethod"
    INVALID_ARGUMENTS = "invalidArguments"
    INVALID_RESULT_REFERENCE = "invalidResultReference"
    FORBIDDEN = "forbidden"
    ACCOUNT_NOT_FOUND = "accountNotFound"
    ACCOUNT_NOT_SUPPORTED_BY_METHOD = "accountNotSupportedByMethod"
    ACCOUNT_READ_ONLY = "accountReadOnly"
    REQUEST_TOO_LARGE = "requestTooLarge"
    STATE_MISMATCH = "stateMismatch"
    CANNOT_CALCULATE_CHANGES = "cannotCalculateChanges"
    FROM_ACCOUNT_NOT_FOUND = "fromAccountNotFound"
    FROM_ACCOUNT_NOT_SUPPORTED_BY_METHOD = "fromAccountNotSupportedByMethod"
    ANCHOR_NOT_FOUND = "anchorNotFound"
    UNSUPPORTED_SORT = "unsupportedSort"
    UNSUPPORTED_FILTER = "unsupportedFilter"
    TOO_MANY_CHANGES = "tooManyChanges"
    UNKNOWN_DATA_TYPE = "unknownDataType"  # RFC 9404 §4.3


class MethodError(Exception):
    """Ends a method call; nothing else of the request is touched by it."""

    def __init__(self, kind: ErrorType, description: str = "") -> None:
        super().__init__(description or str(kind))
        self.kind = kind
        self.description = description

    def as_object(self) -> JsonObject:
        members: JsonObject = {"type": str(self.kind)}
        if self.description:
            members["description"] = self.description
        return members


def invalid_arguments(description: str) -> MethodError:
    return MethodError(ErrorType.INVALID_ARGUMENTS, description)


class SetErrorType(StrEnum):
    """Of one record. The first are those of RFC 8620 §5.3, then §5.4, RFC 8621 and RFC 9007."""

    FORBIDDEN = "forbidden"
    OVER_QUOTA = "overQuota"
    TOO_LARGE = "tooLarge"
    RATE_LIMIT = "rateLimit"
    NOT_FOUND = "notFound"
    INVALID_PATCH = "invalidPatch"
    WILL_DESTROY = "willDestroy"
    INVALID_PROPERTIES = "invalidProperties"
    SINGLETON = "singleton"
    ALREADY_EXISTS = "alreadyExists"
    MAILBOX_HAS_CHILD = "mailboxHasChild"
    MAILBOX_HAS_EMAIL = "mailboxHasEmail"
    BLOB_NOT_FOUND = "blobNotFound"
    TOO_MANY_KEYWORDS = "tooManyKeywords"
    TOO_MANY_MAILBOXES = "tooManyMailboxes"
    INVALID_EMAIL = "invalidEmail"
    TOO_MANY_RECIPIENTS = "tooManyRecipients"
    NO_RECIPIENTS = "noRecipients"
    INVALID_RECIPIENTS = "invalidRecipients"
    FORBIDDEN_MAIL_FROM = "forbiddenMailFrom"
    FORBIDDEN_FROM = "forbiddenFrom"
    FORBIDDEN_TO_SEND = "forbiddenToSend"
    CANNOT_UNSEND = "cannotUnsend"
    MDN_ALREADY_SENT = "mdnAlreadySent"


class SetError(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """`type` is a SetErrorType. Which other member goes with which type is RFC 8620 §5.3, RFC 8621 §4.6 and §7.5."""

    type: str
    description: str | None = None
    properties: Sequence[str] | None = None  # invalidProperties
    existing_id: str | None = None  # alreadyExists
    not_found: Sequence[str] | None = None  # blobNotFound
    max_size: int | None = None  # tooLarge
    max_recipients: int | None = None  # tooManyRecipients
    invalid_recipients: Sequence[str] | None = None  # invalidRecipients


class RecordRefused(Exception):
    """Ends the work on one record of a /set, /copy, /import or /parse."""

    def __init__(self, error: SetError) -> None:
        super().__init__(error.description or error.type)
        self.error = error


def refuse_record(kind: SetErrorType, description: str | None = None) -> RecordRefused:
    return RecordRefused(SetError(str(kind), description))


def invalid_properties(properties: Sequence[str], description: str | None = None) -> RecordRefused:
    return RecordRefused(SetError(str(SetErrorType.INVALID_PROPERTIES), description, tuple(properties)))


def blobs_not_found(blobs: Sequence[str]) -> RecordRefused:
    return RecordRefused(SetError(str(SetErrorType.BLOB_NOT_FOUND), not_found=tuple(blobs)))


SetErrors = Mapping[str, SetError]
