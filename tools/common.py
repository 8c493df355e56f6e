"""What the checks share: which files are ours, and how findings are told."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def list_files(*patterns: str) -> list[Path]:
    """Files in the work tree that git tracks or would track, sorted."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    names = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return [path for name in sorted(set(names)) if (path := ROOT / name).is_file()]


def show(path: Path) -> str:
    return str(path.relative_to(ROOT))


def finish(check: str, findings: Iterable[str]) -> None:
    """Prints every finding and ends the process: 1 if there was any."""
    found = list(findings)
    for finding in found:
        print(finding)
    print(f"{check}: {f'{len(found)} to mend' if found else 'fine'}")
    sys.exit(1 if found else 0)
