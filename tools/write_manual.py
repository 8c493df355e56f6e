"""Writes the generated part of docs/manual.md from the tree of settings."""

from __future__ import annotations

from pathlib import Path

from posthouse.config.describe import render_manual

MANUAL = Path(__file__).resolve().parent.parent / "docs" / "manual.md"


def main() -> None:
    MANUAL.write_text(render_manual(MANUAL.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
