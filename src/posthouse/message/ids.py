"""Names of things that must not be mixed up.

A queue id is the shard and a serial number in that shard, written in base 32 so that ids sort by time within
a shard. The serial is microseconds since 1970 or, if that was already used, the next free number: it never
goes back and is never reused, also when the clock does.
"""

from __future__ import annotations

from typing import NewType

QueueId = NewType("QueueId", str)
ShardNumber = NewType("ShardNumber", int)
Serial = NewType("Serial", int)

_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUES = {digit: value for value, digit in enumerate(_DIGITS)}
_SHARD_DIGITS = 2
_SERIAL_DIGITS = 11
MAX_SHARD = 32**_SHARD_DIGITS - 1
_PAIRS = tuple(a + b for a in _DIGITS for b in _DIGITS)


def _encode_serial(serial: int) -> str:
    # 55 bits as one digit and five pairs: half the steps of a digit-by-digit loop, on the path of every message.
    pairs = _PAIRS
    return (
        _DIGITS[serial >> 50]
        + pairs[serial >> 40 & 1023]
        + pairs[serial >> 30 & 1023]
        + pairs[serial >> 20 & 1023]
        + pairs[serial >> 10 & 1023]
        + pairs[serial & 1023]
    )


def make_queue_id(shard: ShardNumber, serial: Serial) -> QueueId:
    """Join a shard (0..1023) and a serial (0..2**55-1) to a 13 character id."""
    return QueueId(_PAIRS[shard] + _encode_serial(serial))


def split_queue_id(queue_id: str) -> tuple[ShardNumber, Serial]:
    """Take an id apart. Lower case is accepted. Raises ValueError when it is not a queue id."""
    text = queue_id.upper()
    if len(text) != _SHARD_DIGITS + _SERIAL_DIGITS:
        raise ValueError(f"not a queue id: {queue_id!r}")
    try:
        digits = [_VALUES[digit] for digit in text]
    except KeyError:
        raise ValueError(f"not a queue id: {queue_id!r}") from None
    shard = digits[0] * 32 + digits[1]
    serial = 0
    for digit in digits[_SHARD_DIGITS:]:
        serial = serial * 32 + digit
    return ShardNumber(shard), Serial(serial)
