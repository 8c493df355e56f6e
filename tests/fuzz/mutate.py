"""Fuzzing without a library: the kept seeds, changed at random, for as long as is asked.

    python -m tests.fuzz.mutate SECONDS [SEED]

Prints how many sessions were played; a session that breaks a promise raises, after its input was printed. What the
coverage-guided fuzzer (fuzz_smtp_server) found is among the seeds, so that this begins where it ended.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

from tests.fuzz.smtp_server_target import check_session

SEEDS = Path(__file__).parent / "seeds" / "smtp_server"
_SPLICES = (
    b"\r\n",
    b"\n",
    b"\r",
    b".\r\n",
    b"\r\n.\r\n",
    b"BDAT 5 LAST\r\n",
    b"\x00",
    b"\xff",
    b"<@a,@b:c@d>",
    b" " * 50,
    b"AUTH PLAIN AGFsaWNlAHJpZ2h0\r\n",
    b"AUTH LOGIN\r\n",
    b"*\r\n",
    b"=\r\n",
)


def mutate(data: bytes, seeds: list[bytes], chance: random.Random) -> bytes:
    """One to eight changes: cut, double, splice in, flip, or go on with another seed."""
    mutated = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        at = chance.randint(0, len(mutated))
        to = min(len(mutated), at + chance.randint(0, 20))
        match chance.randint(0, 4):
            case 0:
                del mutated[at:to]
            case 1:
                mutated[at:at] = mutated[at:to] * chance.randint(1, 4)
            case 2:
                mutated[at:at] = chance.choice(_SPLICES)
            case 3:
                mutated[at:to] = chance.randbytes(to - at)
            case _:
                mutated[at:] = chance.choice(seeds)
    return bytes(mutated)


def main(seconds: float, seed: int) -> int:
    """How many sessions were played."""
    chance = random.Random(seed)
    seeds = [path.read_bytes() for path in sorted(SEEDS.iterdir())]
    end = time.monotonic() + seconds
    count = 0
    while time.monotonic() < end:
        data = mutate(chance.choice(seeds), seeds, chance)
        try:
            check_session(data)
        except BaseException:
            print(f"seed {seed}, session {count}: {data!r}", file=sys.stderr)
            raise
        count += 1
    return count


if __name__ == "__main__":
    chosen = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(2**32)
    print(f"{main(float(sys.argv[1]), chosen)} sessions, none broke a promise (seed {chosen})")
