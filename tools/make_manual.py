"""Writes the tables of docs/manual.md anew from the settings (`make manual`)."""

from __future__ import annotations

from posthouse.config.describe import render_manual
from tools.common import ROOT


def main() -> None:
    path = ROOT / "docs" / "manual.md"
    path.write_text(render_manual(path.read_text()))


if __name__ == "__main__":
    main()
