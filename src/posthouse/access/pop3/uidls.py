"""Unique-ids of messages (RFC 1939 §7): 1 to 70 characters from 0x21 to 0x7E, none twice in a maildrop, the same in
every session.

A message that was imported keeps the one that its former server gave it, so that clients do not fetch all mail anew.
Others have UIDVALIDITY and UID in hexadecimal. Where imports from two servers brought the same one twice, the first
message has it and the others have one of ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_is_good = re.compile(r"[\x21-\x7e]{1,70}").fullmatch


def make_uidls(validity: int, uids: Sequence[int], imported: Mapping[int, str]) -> list[str]:
    """Parallel to `uids`, which ascend."""
    if not imported:
        head = f"{validity:08x}"
        return [f"{head}{uid:08x}" for uid in uids]
    owners: dict[str, int] = {}
    for uid in uids:
        given = imported.get(uid)
        if given is not None and _is_good(given):
            owners.setdefault(given, uid)
    return [_choose(validity, uid, imported.get(uid), owners) for uid in uids]


def _choose(validity: int, uid: int, given: str | None, owners: Mapping[str, int]) -> str:
    if given is not None and owners.get(given) == uid:
        return given
    ours = f"{validity:08x}{uid:08x}"
    while owners.get(ours, uid) != uid:  # somebody's import looks like ours
        ours += "+"
    return ours
