"""Where an account forwards its mail, as the row of `setting` with the key `forwarding` keeps it: JSON.

What cannot be read is no forwarding: the mail stays in the account.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence

from posthouse.adapters.sqlite.directory_names import key_of
from posthouse.message.address import Address, AddressError, parse_address
from posthouse.ports.directory_admin import MAX_FORWARDS, DirectoryRefusal, Forwarding

KEY = "forwarding"


def write_forwarding(forwarding: Forwarding) -> str:
    return json.dumps({"targets": forwarding.targets, "keepsCopy": forwarding.keeps_copy}, ensure_ascii=False)


def read_forwarding(text: str) -> Forwarding:
    try:
        value = json.loads(text) if text else None
    except ValueError:
        value = None
    if not isinstance(value, dict) or not isinstance(value.get("targets"), list):
        return Forwarding()
    targets = tuple(each for each in value["targets"] if isinstance(each, str))
    return Forwarding(targets, value.get("keepsCopy") is not False)


def list_targets(text: str, own: Address) -> Sequence[Address]:
    """What mail to that address of the account becomes; none: it stays."""
    forwarding = read_forwarding(text)
    found: list[Address] = []
    for target in forwarding.targets:
        with contextlib.suppress(AddressError):
            found.append(parse_address(target))
    return (own, *found) if found and forwarding.keeps_copy else tuple(found)


def make_forwarding(targets: Sequence[Address], *, keeps_copy: bool) -> Forwarding:
    """Each target once. Raises DirectoryRefusal."""
    found = {_key(target): str(target) for target in reversed(targets)}
    if len(found) > MAX_FORWARDS:
        raise DirectoryRefusal(f"mail is forwarded to at most {MAX_FORWARDS} addresses")
    return Forwarding(tuple(reversed(found.values())), keeps_copy or not found)


def _key(target: Address) -> str:
    try:
        return key_of(target)
    except AddressError as error:
        raise DirectoryRefusal(f"{target}: {error}") from None
