"""What all commands need: the configuration, who we run as, errors with the right exit code, and output."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from posthouse.app.control_client import Control
    from posthouse.config import Settings

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")


class FailedError(click.ClickException):
    """Exit code 1."""

    exit_code = 1

    def show(self, file: object = None) -> None:
        click.echo(f"posthouse: {self.message}", err=True)


class BadConfigurationError(FailedError):
    """Exit code 2: each line of the message names file, line, key and what is allowed."""

    exit_code = 2

    def show(self, file: object = None) -> None:
        click.echo(self.message, err=True)


@dataclass(slots=True)
class Context:
    """What `-c` said."""

    file: str | None

    def find_file(self) -> str:
        from posthouse.config import ConfigError
        from posthouse.config.reader import find_file

        try:
            return find_file(self.file, os.environ)
        except ConfigError as error:
            raise BadConfigurationError(str(error)) from None

    def load(self) -> Settings:
        """Raises BadConfigurationError."""
        from posthouse.config import ConfigError, load

        try:
            return load(self.file)
        except ConfigError as error:
            raise BadConfigurationError(str(error)) from None

    def load_as_user(self) -> Settings:
        """Also become `user`, before anything is opened. Raises FailedError."""
        settings = self.load()
        become_user(settings)
        return settings

    @contextlib.contextmanager
    def control(self, what: str) -> Iterator[Control]:
        """The running server or, without one, its files."""
        from posthouse.app.control_access import open_control
        from posthouse.app.control_client import ControlError

        settings = self.load_as_user()
        try:
            with open_control(settings, what) as control:
                yield control
        except ControlError as error:
            raise FailedError(str(error)) from None


def become_user(settings: Settings) -> None:
    from posthouse.app.privileges import PrivilegeError, become, find_identity, find_unreadable

    try:
        identity = find_identity(settings.user)
        become(identity)
    except PrivilegeError as error:
        raise FailedError(str(error)) from None
    os.umask(0o077)
    # Most of the program is imported only now.
    unreadable = find_unreadable([os.__file__, click.__file__, __file__])
    if unreadable is not None:
        raise FailedError(f"user {identity.name!r} cannot read {unreadable}: install posthouse where it can")


def print_json(items: Iterable[object]) -> int:
    """One object per line; how many there were."""
    import msgspec

    encode = msgspec.json.Encoder().encode
    count = 0
    out = sys.stdout.buffer
    for item in items:
        out.write(encode(item) + b"\n")
        count += 1
    out.flush()
    return count


def make_console() -> Console:
    """Colours only on a terminal; elsewhere lines are as wide as they need to be."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=200, color_system=None)
    return console


def draw_table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> int:
    """A plain table; how many rows it had. Cell texts are shown as they are, without markup or control characters."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
    count = 0
    for row in rows:
        table.add_row(*(Text(clean(cell)) if isinstance(cell, str) else cell for cell in row))
        count += 1
    if count:
        make_console().print(table)
    return count


def clean(text: str) -> str:
    """What peers wrote must not reach the terminal as control characters."""
    return "".join(ch if ch.isprintable() or ch == "\n" else "\N{REPLACEMENT CHARACTER}" for ch in text)


def format_age(seconds: float) -> str:
    """ "3d4h", "5m", "12s": the two largest units."""
    left = int(seconds)
    parts = []
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, length)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts[:2]) or "0s"


def format_octets(octets: int) -> str:
    size = float(octets)
    for unit in ("B", "K", "M", "G", "T"):
        if size < 1024 or unit == "T":
            return f"{size:.0f}{unit}" if unit == "B" or size >= 10 else f"{size:.1f}{unit}"
        size /= 1024
    return ""
