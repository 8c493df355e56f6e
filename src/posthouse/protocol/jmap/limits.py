"""The limits of the core capability (RFC 8620 §2): announced in the session, enforced here and by the driver. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from posthouse.protocol.jmap.errors import ErrorType, MethodError
from posthouse.protocol.jmap.json import MAX_DEPTH

CORE = "urn:ietf:params:jmap:core"


class CoreLimits(msgspec.Struct, frozen=True, rename="camel"):
    """Written as it is, it is the value of the core capability."""

    max_size_upload: int = 50_000_000
    max_concurrent_upload: int = 4
    max_size_request: int = 10_000_000
    max_concurrent_requests: int = 4
    max_calls_in_request: int = 64
    max_objects_in_get: int = 500
    max_objects_in_set: int = 500
    collation_algorithms: Sequence[str] = ("i;unicode-casemap", "i;ascii-casemap", "i;octet")


DEFAULT_LIMITS = CoreLimits()
DEPTH = MAX_DEPTH  # of a request


def check_get_size(count: int, limits: CoreLimits) -> None:
    """Raises MethodError (RFC 8620 §5.1)."""
    if count > limits.max_objects_in_get:
        raise MethodError(ErrorType.REQUEST_TOO_LARGE, f"At most {limits.max_objects_in_get} ids in one call")


def check_set_size(count: int, limits: CoreLimits) -> None:
    """Raises MethodError (RFC 8620 §5.3). What is created, updated and destroyed counts together."""
    if count > limits.max_objects_in_set:
        raise MethodError(ErrorType.REQUEST_TOO_LARGE, f"At most {limits.max_objects_in_set} records in one call")
