"""Coverage-guided fuzzing of the IMAP server core:

    python -m tests.fuzz.fuzz_imap_server tests/fuzz/seeds/imap_server -max_total_time=600

Whatever libFuzzer takes may follow. New inputs land in the directory named; those that show something new are worth
keeping, and pytest replays them.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["posthouse"]):
    from tests.fuzz.imap_server_target import check_session

if __name__ == "__main__":
    atheris.Setup(sys.argv, check_session)
    atheris.Fuzz()
