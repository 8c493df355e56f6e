"""`posthouse domain`, `account` and `alias`: written straight to directory.db, with or without a running server."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from posthouse.app.cli.common import Context, FailedError, draw_table, format_octets, json_option, print_json

if TYPE_CHECKING:
    from posthouse.app.account_tools import AccountTools
    from posthouse.ports.directory_admin import AccountChange

Item = Mapping[str, object]


@contextlib.contextmanager
def open_tools(context: Context) -> Iterator[AccountTools]:
    from posthouse.app.account_tools import open_account_tools
    from posthouse.ports.directory import DirectoryError
    from posthouse.ports.directory_admin import DirectoryRefusal

    settings = context.load_as_user()
    try:
        with open_account_tools(settings) as tools:
            yield tools
    except (DirectoryRefusal, DirectoryError) as error:
        raise FailedError(str(error)) from None


def _show(items: Iterable[Item], columns: Sequence[str], *, as_json: bool, empty: str) -> None:
    if as_json:
        print_json(items)
    elif not draw_table([name.replace("_", " ") for name in columns], (_make_row(item, columns) for item in items)):
        click.echo(empty)


def _make_row(item: Item, columns: Sequence[str]) -> list[str]:
    return [_write_cell(name, item[name]) for name in columns]


def _write_cell(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    if name == "quota" and isinstance(value, int):
        return format_octets(value)
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


# -- domains


@click.group()
def domain() -> None:
    """Domains whose mail ends here."""


@domain.command("add")
@click.argument("name", metavar="DOMAIN")
@click.option("--alias-of", metavar="OTHER", default="", help="Its addresses are those of OTHER.")
@click.pass_obj
def add_domain(context: Context, name: str, alias_of: str) -> None:
    """Host a domain."""
    with open_tools(context) as tools:
        tools.domains.add(name, alias_of)
    click.echo(f"{name} is an alias of {alias_of}" if alias_of else f"{name} is hosted here")


@domain.command("remove")
@click.argument("name", metavar="DOMAIN")
@click.pass_obj
def remove_domain(context: Context, name: str) -> None:
    """Host it no more; its accounts and aliases must be removed first."""
    with open_tools(context) as tools:
        tools.domains.remove(name)
    click.echo(f"{name} removed")


@domain.command("list")
@json_option
@click.pass_obj
def list_domains(context: Context, as_json: bool) -> None:
    """List hosted domains."""
    with open_tools(context) as tools:
        columns = ("domain", "alias_of", "accounts", "aliases")
        _show(tools.domains.list_all(), columns, as_json=as_json, empty="No domain is hosted.")


# -- aliases


@click.group()
def alias() -> None:
    """Addresses that stand for others, here or elsewhere."""


@alias.command("add")
@click.argument("address", metavar="ADDRESS")
@click.argument("targets", metavar="TARGET...", nargs=-1, required=True)
@click.pass_obj
def add_alias(context: Context, address: str, targets: tuple[str, ...]) -> None:
    """Make an alias, or add targets to one. @DOMAIN takes all that nobody else in the domain does."""
    with open_tools(context) as tools:
        entry = tools.aliases.add(address, targets)
    click.echo(f"{entry['address']} stands for {_write_cell('targets', entry['targets'])}")


@alias.command("remove")
@click.argument("address", metavar="ADDRESS")
@click.argument("targets", metavar="[TARGET...]", nargs=-1)
@click.pass_obj
def remove_alias(context: Context, address: str, targets: tuple[str, ...]) -> None:
    """Remove an alias, or some of its targets."""
    with open_tools(context) as tools:
        tools.aliases.remove(address, targets)
    click.echo(f"{', '.join(targets) or 'all'} removed from {address}")


@alias.command("list")
@click.option("--domain", "only", metavar="D", default="", help="Those of this domain.")
@json_option
@click.pass_obj
def list_aliases(context: Context, only: str, as_json: bool) -> None:
    """List aliases and their targets."""
    with open_tools(context) as tools:
        _show(tools.aliases.list_all(only), ("address", "targets"), as_json=as_json, empty="There are no aliases.")


# -- accounts


@click.group()
def account() -> None:
    """People who get mail here and log in."""


def _read_password(*, from_stdin: bool) -> str:
    """ "": make one."""
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
        if not password:
            raise FailedError("no password on standard input")
        return password
    if not sys.stdin.isatty():
        return ""
    prompted = click.prompt("Password (empty: make one)", default="", hide_input=True, show_default=False)
    if prompted and click.prompt("Once more", hide_input=True) != prompted:
        raise FailedError("the two were not the same; nothing was changed")
    return str(prompted)


def _read_size(_: click.Context, __: click.Parameter, value: str | None) -> int | None:
    from posthouse.config.kinds import BadValueError, parse_size

    try:
        return None if value is None else 0 if value == "none" else parse_size(value)
    except BadValueError as error:
        raise click.BadParameter(str(error)) from None


_Command = Callable[..., None]


def _describing_options(command: _Command) -> _Command:
    for option in (
        click.option("--admin/--no-admin", "is_admin", default=None, help="May administer the server."),
        click.option("--quota-emails", type=click.IntRange(0), metavar="N", help="Most emails; 0: no limit."),
        click.option("--quota", callback=_read_size, metavar="SIZE", help="Like 10G; none: no limit."),
        click.option("--name", metavar="TEXT", help="The name people see."),
    ):
        command = option(command)
    return command


def _make_change(options: Mapping[str, object]) -> AccountChange:
    from posthouse.ports.directory_admin import AccountChange

    name, octets, emails, is_admin = (options[each] for each in ("name", "quota", "quota_emails", "is_admin"))
    return AccountChange(
        display_name=name if isinstance(name, str) else None,
        quota_octets=octets if isinstance(octets, int) else None,
        quota_emails=emails if isinstance(emails, int) else None,
        is_admin=is_admin if isinstance(is_admin, bool) else None,
    )


_password_stdin = click.option(
    "--password-stdin", "from_stdin", is_flag=True, help="Read the password from standard input."
)


def _say_password(address: str, password: str, *, is_made: bool) -> None:
    click.echo(f"password of {address}: {password}" if is_made else f"password of {address} set")


@account.command("add")
@click.argument("address", metavar="ADDRESS")
@_password_stdin
@_describing_options
@click.pass_obj
def add_account(context: Context, /, address: str, from_stdin: bool, **options: object) -> None:
    """Make an account. Without a password one is made and shown once."""
    password = _read_password(from_stdin=from_stdin)
    with open_tools(context) as tools:
        made = tools.add_account(address, _make_change(options), password)
    click.echo(f"{address} added")
    _say_password(address, made, is_made=not password)


@account.command("set")
@click.argument("address", metavar="ADDRESS")
@_describing_options
@click.pass_obj
def change_account(context: Context, /, address: str, **options: object) -> None:
    """Change name, quota or rights of an account."""
    with open_tools(context) as tools:
        tools.accounts.change(address, _make_change(options))
    click.echo(f"{address} changed")


@account.command("remove")
@click.argument("address", metavar="ADDRESS")
@click.pass_obj
def remove_account(context: Context, address: str) -> None:
    """Remove an account. Its mail is erased after the undelete time; until then `undelete` brings it back."""
    with open_tools(context) as tools:
        dead = tools.accounts.remove(address)
    click.echo(f"{address} removed")
    if dead:
        click.echo(f"Aliases that still name it: {', '.join(dead)}", err=True)


@account.command("undelete")
@click.argument("address", metavar="ADDRESS")
@click.pass_obj
def undelete_account(context: Context, address: str) -> None:
    """Bring a removed account back, with its mail."""
    with open_tools(context) as tools:
        tools.accounts.undelete(address)
    click.echo(f"{address} is back")


@account.command("list")
@click.option("--domain", "only", metavar="D", default="", help="Those of this domain.")
@click.option("--removed", is_flag=True, help="Those that can still be brought back.")
@json_option
@click.pass_obj
def list_accounts(context: Context, only: str, removed: bool, as_json: bool) -> None:
    """List accounts."""
    with open_tools(context) as tools:
        if removed:
            columns: Sequence[str] = ("id", "address", "removed")
            _show(tools.accounts.list_removed(), columns, as_json=as_json, empty="No account was removed.")
            return
        columns = ("id", "address", "name", "addresses", "quota", "quota_emails", "disabled", "admin")
        _show(tools.accounts.list_all(only), columns, as_json=as_json, empty="There are no accounts.")


@account.command("password")
@click.argument("address", metavar="ADDRESS")
@_password_stdin
@click.pass_obj
def set_password(context: Context, address: str, from_stdin: bool) -> None:
    """Set the main password. Without one it is made and shown once."""
    password = _read_password(from_stdin=from_stdin)
    with open_tools(context) as tools:
        made = tools.set_password(address, password)
    _say_password(address, made, is_made=not password)


@account.command("reset-factors")
@click.argument("address", metavar="ADDRESS")
@click.pass_obj
def reset_factors(context: Context, address: str) -> None:
    """Take codes and passkeys of the web page away from somebody who has lost them."""
    with open_tools(context) as tools:
        tools.reset_factors(address)
    click.echo(f"{address} signs in with the password alone")


def _set_disabled(context: Context, address: str, *, is_disabled: bool) -> None:
    from posthouse.ports.directory_admin import AccountChange

    with open_tools(context) as tools:
        tools.accounts.change(address, AccountChange(is_disabled=is_disabled))


@account.command("disable")
@click.argument("address", metavar="ADDRESS")
@click.pass_obj
def disable_account(context: Context, address: str) -> None:
    """Nobody can log in or send as it any more; mail for it is still delivered."""
    _set_disabled(context, address, is_disabled=True)
    click.echo(f"{address} disabled")


@account.command("enable")
@click.argument("address", metavar="ADDRESS")
@click.pass_obj
def enable_account(context: Context, address: str) -> None:
    """The opposite of disable."""
    _set_disabled(context, address, is_disabled=False)
    click.echo(f"{address} enabled")


@account.command("forward")
@click.argument("address", metavar="ADDRESS")
@click.argument("targets", metavar="[TARGET...]", nargs=-1)
@click.option("--copy", "keeps_copy", is_flag=True, help="The account gets its mail as well.")
@click.option("--off", is_flag=True, help="Nothing is forwarded any more.")
@click.pass_obj
def forward_account(context: Context, address: str, targets: tuple[str, ...], keeps_copy: bool, off: bool) -> None:
    """Forward the mail of an account to these addresses, in place of those before; without any: how it stands."""
    from posthouse.manage.forwarding import ForwardingOperations

    if off and targets:
        raise click.UsageError("--off goes without targets")
    with open_tools(context) as tools:
        operations, number = ForwardingOperations(tools.admin), tools.accounts.find(address).id
        is_change = off or bool(targets)
        now = operations.write(number, targets, keeps_copy=keeps_copy) if is_change else operations.read(number)
    if not now["targets"]:
        click.echo(f"{address} is not forwarded")
    else:
        copy = "a copy stays" if now["keepsCopy"] else "no copy stays"
        click.echo(f"{address} is forwarded to {_write_cell('targets', now['targets'])}; {copy}")


@account.command("outbox")
@click.argument("address", metavar="ADDRESS")
@click.argument("state", metavar="[on|off]", type=click.Choice(("on", "off")), required=False)
@click.pass_obj
def turn_outbox(context: Context, address: str, state: str | None) -> None:
    """Open or shut the Outbox, a mailbox whose messages are sent (docs/sending-by-imap.md), or tell how it stands."""
    from posthouse.app.cli.transfer import run_command
    from posthouse.app.transfer import is_outbox_on
    from posthouse.app.transfer import turn_outbox as turn

    settings = context.load_as_user()
    if state is None:
        state = "on" if run_command(is_outbox_on(settings, address)) else "off"
    else:
        run_command(turn(settings, address, is_on=state == "on"))
    click.echo(f"The Outbox of {address} is {state}")


@account.command("hide")
@click.argument("address", metavar="ADDRESS")
@click.argument("names", metavar="[CAPABILITY...]", nargs=-1)
@click.pass_obj
def hide_capabilities(context: Context, address: str, names: tuple[str, ...]) -> None:
    """Hide capabilities of IMAP from an account's programs, from the next login on; without names none."""
    from posthouse.app.cli.transfer import run_command
    from posthouse.app.transfer import hide_capabilities as hide

    run_command(hide(context.load_as_user(), address, names))
    click.echo(f"{address} is not shown {', '.join(names)}" if names else f"{address} is shown everything")


@account.group("address")
def addresses() -> None:
    """More addresses of an account."""


@addresses.command("add")
@click.argument("login", metavar="ACCOUNT")
@click.argument("address", metavar="ADDRESS")
@click.option("--primary", is_flag=True, help="Make it the login name.")
@click.pass_obj
def add_address(context: Context, login: str, address: str, primary: bool) -> None:
    """Give an account one more address."""
    with open_tools(context) as tools:
        tools.accounts.add_address(login, address, is_primary=primary)
    click.echo(f"{address} belongs to {login}")


@addresses.command("remove")
@click.argument("login", metavar="ACCOUNT")
@click.argument("address", metavar="ADDRESS")
@click.pass_obj
def remove_address(context: Context, login: str, address: str) -> None:
    """Take an address away from an account."""
    with open_tools(context) as tools:
        tools.accounts.remove_address(login, address)
    click.echo(f"{address} removed from {login}")


@account.group("app-password")
def app_password() -> None:
    """Passwords for single programs and devices."""


@app_password.command("add")
@click.argument("address", metavar="ACCOUNT")
@click.argument("name", metavar="NAME")
@click.option("--scope", "scopes", multiple=True, metavar="SCOPE", help="read, send, manage; repeat it. Default: all.")
@click.option("--save-sent", default="auto", metavar="WHEN", help="File what it sends: auto, always, never.")
@click.option("--no-dedupe", is_flag=True, help="What it sends twice goes out twice.")
@click.pass_obj
def add_app_password(
    context: Context, address: str, name: str, scopes: tuple[str, ...], save_sent: str, no_dedupe: bool
) -> None:
    """Make a password for one program; it is shown once."""
    from posthouse.manage.accounts import AppPasswordOptions

    with open_tools(context) as tools:
        made = tools.add_app_password(address, name, AppPasswordOptions(scopes, save_sent, not no_dedupe))
    click.echo(f"password of {address} for {name}: {made}")


@app_password.command("list")
@click.argument("address", metavar="ACCOUNT")
@json_option
@click.pass_obj
def list_app_passwords(context: Context, address: str, as_json: bool) -> None:
    """List the passwords of an account, not what they are."""
    with open_tools(context) as tools:
        columns = ("name", "kind", "scopes", "created", "last_used", "save_sent", "deduplicates")
        _show(tools.list_passwords(address), columns, as_json=as_json, empty="It has no passwords.")


@app_password.command("remove")
@click.argument("address", metavar="ACCOUNT")
@click.argument("name", metavar="NAME")
@click.pass_obj
def remove_app_password(context: Context, address: str, name: str) -> None:
    """Remove a password: that program cannot log in any more."""
    with open_tools(context) as tools:
        tools.remove_app_password(address, name)
    click.echo(f"{name} removed from {address}")
