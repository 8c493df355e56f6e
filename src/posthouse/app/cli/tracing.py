"""`posthouse trace`: a message's story from the journal. Works on the files, whether a server runs or not."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from posthouse.app.cli.common import Context, FailedError, clean, json_option, make_console, print_json

if TYPE_CHECKING:
    from posthouse.adapters.sqlite.journal_index import JournalIndex
    from posthouse.manage.trace import Story


@click.command()
@click.argument("what", metavar="MESSAGE-ID|QUEUE-ID|ADDRESS")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="The latest N messages.")
@json_option
@click.pass_obj
def trace(context: Context, what: str, limit: int, as_json: bool) -> None:
    """What happened to a message, from the first byte to a mailbox or the remote reply."""
    from posthouse.adapters.sqlite.journal_index import JournalIndex
    from posthouse.manage.trace import to_plain
    from posthouse.manage.trace import trace as find_stories

    settings = context.load_as_user()
    root = Path(settings.data) / "journal"
    if not Path(settings.data).is_dir():
        raise FailedError(f"{settings.data}: there is no such directory")
    index = JournalIndex(root)
    try:
        _catch_up(index, shows=not as_json)
        stories = find_stories(index, what, limit)
    except OSError as error:
        raise FailedError(f"{root}: {error.strerror}") from None
    finally:
        index.close()
    if as_json:
        print_json(to_plain(record) for story in stories for record in story.records)
    elif stories:
        _draw(stories)
    if not stories:
        raise FailedError(f"nothing is known of {what}")


def _catch_up(index: JournalIndex, *, shows: bool) -> None:
    """A bar only for work that takes a while, and only on a terminal."""
    from rich.progress import Progress

    with Progress(transient=True, disable=not (shows and make_console().is_terminal)) as progress:
        task = progress.add_task("Reading the journal", total=None, visible=False)
        began = time.monotonic()

        def tell(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total, visible=time.monotonic() - began > 1.0)

        index.catch_up(tell)


_COLOURS = {"delivered": "green", "relayed": "green", "deferred": "yellow", "failed": "red", "expired": "red"}


def _draw(stories: Sequence[Story]) -> None:
    from rich.text import Text

    from posthouse.manage.trace import describe, read_time

    console = make_console()
    for story in stories:
        began = story.began
        day = time.strftime("%Y-%m-%d", time.localtime(began))
        console.print(Text(f"{story.id}  {day}", style="bold"))
        for record in story.records:
            at = read_time(record)
            words, details = describe(record)
            clock = time.strftime("%H:%M:%S", time.localtime(at)) + f".{int(at * 1000) % 1000:03d}"
            line = Text(f"  {clock}  +{at - began:9.3f}s  ")
            line.append(clean(words), style=_COLOURS.get(str(record.get("step")), ""))
            line.append(f"  {clean(details)}" if details else "", style="dim")
            console.print(line, soft_wrap=True)
        console.print()
