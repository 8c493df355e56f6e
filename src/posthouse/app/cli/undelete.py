"""`posthouse undelete`: expunged mail listed and brought back, within `store.undelete`."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from posthouse.app.cli.common import Context, draw_table, json_option, print_json
from posthouse.app.cli.transfer import run_command

if TYPE_CHECKING:
    from posthouse.config import Settings

_GONE_COLUMNS = ("id", "removed", "mailbox", "size", "from", "subject")


def _read_age(_: click.Context, __: click.Parameter, value: str | None) -> timedelta | None:
    from posthouse.config.kinds import BadValueError, parse_duration

    try:
        return None if value is None else parse_duration(value)
    except BadValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@click.argument("account", metavar="ACCOUNT")
@click.argument("ids", metavar="[ID...]", nargs=-1, type=click.IntRange(1))
@click.option("--all", "wants_all", is_flag=True, help="Bring back all that are listed.")
@click.option("--since", metavar="AGE", callback=_read_age, help="Only what was removed since, as in 2d or 6h.")
@click.option("--mailbox", metavar="NAME", help="Only what was removed from there.")
@json_option
@click.pass_obj
def undelete(
    context: Context, /, account: str, ids: tuple[int, ...], wants_all: bool, as_json: bool, **choice: Any
) -> None:
    """List removed mail of an account; with ID or --all bring it back to where it was."""
    settings = context.load_as_user()
    if not (ids or wants_all):
        found = run_command(_list_gone(settings, account, choice))
        if as_json:
            print_json(found)
        elif not draw_table(_GONE_COLUMNS, ([str(row[name]) for name in _GONE_COLUMNS] for row in found)):
            click.echo("Nothing can be brought back.")
        return
    count = run_command(_bring_back(settings, account, choice, ids))
    if as_json:
        print_json([{"restored": count}])
    else:
        click.echo(f"{count} brought back")
    if not count:
        raise click.exceptions.Exit(1)


async def _list_gone(settings: Settings, account: str, choice: dict[str, Any]) -> list[dict[str, object]]:
    from posthouse.app.transfer import open_office
    from posthouse.message.instant import Instant, format_rfc3339

    async with open_office(settings, account) as office:
        return [
            {
                "id": each.email,
                "removed": format_rfc3339(Instant(each.gone)),
                "mailbox": name,
                "size": each.size,
                "from": each.sender,
                "subject": each.subject,
            }
            for each, name in await office.list_gone(choice["since"], choice["mailbox"])
        ]


async def _bring_back(settings: Settings, account: str, choice: dict[str, Any], ids: tuple[int, ...]) -> int:
    from posthouse.app.transfer import open_office

    async with open_office(settings, account) as office:
        found = [each.email for each, _ in await office.list_gone(choice["since"], choice["mailbox"])]
        wanted = [email for email in found if not ids or email in ids]
        return len(await office.store.undelete(office.id, wanted)) if wanted else 0
