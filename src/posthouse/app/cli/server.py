"""The commands about the server itself: init, check, serve, demo, sessions, fsck."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from posthouse.app.cli.common import BadConfigurationError, Context, FailedError, draw_table, json_option, print_json

if TYPE_CHECKING:
    from posthouse.app.finding import Finding
    from posthouse.config import Settings


@click.command()
@click.option("--hostname", required=True, metavar="NAME", help="This server's full name, as in DNS.")
@click.option("--domain", required=True, metavar="DOMAIN", help="The domain whose mail ends here.")
@click.option("--data", required=True, metavar="DIR", help="Where everything is kept.")
@click.pass_obj
def init(context: Context, hostname: str, domain: str, data: str) -> None:
    """Write a commented configuration, make the data directory and an administrator. Overwrites nothing."""
    import os

    from posthouse.app.init import InitError, initialise
    from posthouse.config import ConfigError

    file = context.file or os.environ.get("POSTHOUSE_CONFIG") or "posthouse.toml"
    try:
        written = initialise(file, hostname, domain, data)
    except ConfigError as error:
        raise BadConfigurationError("\n".join(f"{each.key}: {each.text}" for each in error.problems)) from None
    except InitError as error:
        raise FailedError(str(error)) from None
    click.echo(f"Wrote {written.file}; data goes to {written.data}.")
    if written.password:
        click.echo(f"Account {written.account}, an administrator; its password, shown only now: {written.password}")
    click.echo("Next:")
    click.echo(f"  1. read and adapt {written.file} (certificate, user)")
    click.echo(f"  2. in DNS: an MX record of {domain} to {hostname}, and {hostname} to this machine and back")
    click.echo(f"  3. posthouse -c {written.file} check")
    click.echo(f"  4. posthouse -c {written.file} account add YOU@{domain}")
    click.echo(f"  5. posthouse -c {written.file} serve")


@click.command()
@click.option("--defaults", is_flag=True, help="Print every key with its default, as TOML.")
@click.option("--no-network", is_flag=True, help="Leave out what asks other hosts.")
@json_option
@click.pass_obj
def check(context: Context, defaults: bool, no_network: bool, as_json: bool) -> None:
    """Say what is wrong with configuration, data directory, ports, certificate, clock and network."""
    if defaults:
        from posthouse.config.describe import render_defaults

        click.echo(render_defaults(), nl=False)
        return
    settings = context.load()
    findings = _find_all(settings, asks_others=not no_network)
    if as_json:
        print_json({"area": each.area, "level": each.level, "text": each.text} for each in findings)
    else:
        _draw_findings(findings)
    from posthouse.app.check import is_good

    if not is_good(findings):
        sys.exit(1)


def _find_all(settings: Settings, *, asks_others: bool) -> list[Finding]:
    import asyncio

    from posthouse.adapters.clock import SystemClock
    from posthouse.app.check import check_all, check_network, connect_and_close
    from posthouse.app.privileges import PrivilegeError, find_identity

    try:
        identity = find_identity(settings.user)
    except PrivilegeError as error:
        raise BadConfigurationError(f"user: {error}") from None
    findings = check_all(settings, identity, SystemClock())
    if asks_others:
        from posthouse.adapters.dns.resolver import DnsResolver
        from posthouse.adapters.dns.system import make_servers

        servers = make_servers([(bind.host, bind.port) for bind in settings.dns.servers])

        async def ask() -> list[Finding]:
            return await check_network(settings, DnsResolver(servers, SystemClock()), connect_and_close)

        findings += asyncio.run(ask())
    return findings


def _draw_findings(findings: list[Finding]) -> None:
    from rich.text import Text

    from posthouse.app.cli.common import clean

    styles = {"ok": "green", "warning": "yellow", "error": "bold red"}
    draw_table(
        ("", "what", "finding"),
        ((Text(each.level, style=styles[each.level]), Text(each.area), Text(clean(each.text))) for each in findings),
    )


@click.command()
@click.pass_obj
def serve(context: Context) -> None:
    """Run in the foreground. SIGTERM: finish what is in hand, stop within 30 s. SIGHUP: reload."""
    settings = context.load()
    from posthouse.app.supervisor import run

    sys.exit(run(context.find_file(), settings))


@click.command()
@click.option("--check", "verifies", is_flag=True, help="Send mail, verify where it went, print a table, exit 0 or 1.")
def demo(verifies: bool) -> None:
    """Two servers and a DNS server on loopback send each other mail."""
    from posthouse.app.demo import run_demo

    sys.exit(run_demo(check=verifies))


@click.group()
def sessions() -> None:
    """Who is connected."""


@sessions.command("list")
@json_option
@click.pass_obj
def list_sessions(context: Context, as_json: bool) -> None:
    """List open sessions."""
    with context.control("posthouse sessions list") as control:
        items = control.stream("sessions.list", {})
        if as_json:
            print_json(items)
            return
        rows = [{str(name): value for name, value in item.items()} for item in items]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    if not draw_table(columns, ([str(row.get(name) or "") for name in columns] for row in rows)):
        click.echo("Nobody is connected.")


@sessions.command()
@click.argument("session_id", metavar="ID")
@click.pass_obj
def kill(context: Context, session_id: str) -> None:
    """End a session."""
    with context.control("posthouse sessions kill") as control:
        answer = control.call("sessions.kill", {"id": session_id})
    if not isinstance(answer, dict) or not answer.get("changed"):
        raise FailedError(f"no session {session_id}")
    click.echo(f"{session_id} ended")


@click.command()
@click.option("--repair", is_flag=True, help="Repair what can be; only with no server running.")
@click.option("--deep", is_flag=True, help="Also read every message and compare its hash.")
@json_option
@click.pass_obj
def fsck(context: Context, repair: bool, deep: bool, as_json: bool) -> None:
    """Verify every durable state and say what would be repaired."""
    from posthouse.app.cli.repair import run_fsck

    sys.exit(run_fsck(context.load_as_user(), repair=repair, as_json=as_json, deep=deep))
