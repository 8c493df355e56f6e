"""The documentation is complete: docs/manual.md has every command and every key, and internal links resolve.

Commands come from the click tree itself, keys from the settings classes, so neither list is kept by hand.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import click

from tools.common import ROOT, finish, list_files, show

MANUAL = ROOT / "docs" / "manual.md"
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$", re.MULTILINE)


def walk_commands(group: click.Command, words: tuple[str, ...]) -> Iterator[tuple[str, click.Command]]:
    if isinstance(group, click.Group):
        for name, command in sorted(group.commands.items()):
            if not command.hidden:
                yield from walk_commands(command, (*words, name))
    else:
        yield " ".join(words), group


def check_commands(manual: str) -> Iterator[str]:
    cli = importlib.import_module("posthouse.app.cli").main
    for name, command in walk_commands(cli, ("posthouse",)):
        if name not in manual:
            yield f"docs/manual.md: command `{name}` is missing"
        for parameter in command.params:
            options = [option for option in parameter.opts if option.startswith("--")]
            for option in options:
                if option not in ("--help", "--version") and option not in manual:
                    yield f"docs/manual.md: option `{option}` of `{name}` is missing"


def check_keys(manual: str) -> Iterator[str]:
    describe = importlib.import_module("posthouse.config.describe")
    for key in describe.list_keys():
        if f"`{key}`" not in manual:
            yield f"docs/manual.md: configuration key `{key}` is missing"
    if describe.render_manual(manual) != manual:
        yield "docs/manual.md: its tables differ from the settings: run `make manual`"


def make_anchor(heading: str) -> str:
    """As the usual forges make it: lower case, spaces to hyphens, punctuation dropped."""
    plain = re.sub(r"[`*_]|\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", plain.lower()).strip().replace(" ", "-")


def find_anchors(path: Path) -> set[str]:
    return {make_anchor(heading) for heading in HEADING.findall(FENCE.sub("", path.read_text()))}


def check_links(path: Path) -> Iterator[str]:
    for target in LINK.findall(FENCE.sub("", path.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        other = (path.parent / name).resolve() if name else path
        if not other.exists():
            yield f"{show(path)}: link to {target} leads nowhere"
        elif anchor and other.suffix == ".md" and anchor not in find_anchors(other):
            yield f"{show(path)}: {target} names no heading"


def check() -> Iterator[str]:
    manual = MANUAL.read_text() if MANUAL.exists() else ""
    yield from check_commands(manual)
    yield from check_keys(manual)
    for path in list_files("*.md"):
        yield from check_links(path)


if __name__ == "__main__":
    finish("documentation", check())
