"""`posthouse sendmail`: the usual sendmail options, the exit codes of sysexits.h."""

from __future__ import annotations

import sys

import click

from posthouse.app.cli.common import Context


@click.command(
    context_settings={
        "ignore_unknown_options": True,
        "allow_interspersed_args": False,
        "help_option_names": ["--help"],
    },
    options_metavar="[-t] [-f FROM] [-F NAME] [-i] [-N DSN] [-R RET] [-V ENVID]",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[RCPT]...")
@click.pass_context
def sendmail(context: click.Context, arguments: tuple[str, ...]) -> None:
    """Take a message from standard input, as the sendmail of other systems does."""
    from posthouse.app.sendmail import SendmailError, parse_options, send

    try:
        options = parse_options(arguments)
        if options.mode == "p":
            from posthouse.app.cli.queue import list_queue

            context.invoke(list_queue, domain=None, sender=None, status=None, limit=None, as_json=False)
            return
        if options.mode not in ("m", "") or sys.stdin.buffer.closed:
            raise SendmailError(64, f"mode -b{options.mode} is not offered")
        runtimes, hostname = _find_server(context.obj)
        send(options, sys.stdin.buffer, runtimes, hostname)
    except SendmailError as error:
        click.echo(f"sendmail: {error}", err=True)
        context.exit(error.code)


def _find_server(context: Context) -> tuple[list[str], str]:
    """Users who may not read the configuration still find a server that was started as root."""
    import socket

    from posthouse.app.control_client import list_runtimes
    from posthouse.app.sendmail import SendmailError
    from posthouse.app.submit_protocol import EX_CONFIG
    from posthouse.config import ConfigError, load

    try:
        settings = load(context.file)
    except ConfigError as error:
        if context.file is not None:
            raise SendmailError(EX_CONFIG, str(error)) from None
        return ["/run/posthouse"], socket.getfqdn()
    return list_runtimes(settings), settings.hostname
