"""Writes the client's side of the dialogue scripts as seeds: `python -m tests.fuzz.make_smtp_server_seeds`."""

from __future__ import annotations

from pathlib import Path

from tests.dialogues.dialogue_script import Script, list_scripts, read_script
from tests.fuzz.smtp_server_target import PLAIN, SMALL, WITH_LMTP, WITH_TLS

SEEDS = Path(__file__).parent / "seeds" / "smtp_server"
MAX_SEED = 4096


def choose_kind(script: Script) -> int:
    if script.settings.get("lmtp"):
        return WITH_LMTP
    if "tls" in script.abilities:
        return WITH_TLS
    return SMALL if "max_size" in script.settings else PLAIN


def main() -> None:
    SEEDS.mkdir(parents=True, exist_ok=True)
    for path in list_scripts():
        script = read_script(path)
        octets = b"".join(step.octets for step in script.steps if step.kind == "C")
        (SEEDS / path.stem).write_bytes(bytes([choose_kind(script)]) + octets[:MAX_SEED])


if __name__ == "__main__":
    main()
