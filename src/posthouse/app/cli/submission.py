"""`posthouse sendmail`: the usual sendmail options, the exit codes of sysexits.h."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from posthouse.app.cli.common import Context, FailedError

if TYPE_CHECKING:
    from posthouse.app.sendmail import Options

_MAX_SIZE = 1 << 30  # of one message of -bs: the server has the last word


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
        if options.flush is not None:
            _flush(context.obj, options.flush)
        elif options.mode == "p":
            from posthouse.app.cli.queue import list_queue

            context.invoke(list_queue, domain=None, sender=None, status=None, limit=None, as_json=False)
        elif options.mode == "v":
            context.exit(_verify(context.obj, options))
        elif options.mode == "s":
            _speak_smtp(context.obj)
        elif options.mode != "m" or sys.stdin.buffer.closed:
            raise SendmailError(64, f"mode -b{options.mode} is not offered")
        else:
            send(options, sys.stdin.buffer, *_find_server(context.obj))
    except SendmailError as error:
        click.echo(f"sendmail: {error}", err=True)
        context.exit(error.code)


def _flush(context: Context, what: str) -> None:
    """`-q`: try now what waits."""
    from posthouse.app.sendmail import SendmailError
    from posthouse.app.submit_protocol import EX_TEMPFAIL

    args: dict[str, object] = {"all": True}
    if what:
        args = {"ids": [what[1:]]} if what[0] == "I" else {"domain": what[1:]}
    try:
        with context.control("posthouse sendmail -q") as control:
            control.call("queue.change", {"action": "retry", **args})
    except FailedError as error:
        raise SendmailError(EX_TEMPFAIL, str(error)) from None


def _verify(context: Context, options: Options) -> int:
    from posthouse.app.sendmail import verify
    from posthouse.app.submit_protocol import exit_code_of

    worst = 0
    for verdict in verify(options, *_find_server(context)):
        word = "deliverable" if verdict.code < 400 else "not deliverable"
        click.echo(f"{verdict.address}... {word}" + ("" if verdict.code < 400 else f": {verdict.code} {verdict.text}"))
        worst = worst or exit_code_of(verdict.code, verdict.text)
    return worst


def _speak_smtp(context: Context) -> None:
    from posthouse.app.sendmail import SendmailError
    from posthouse.app.sendmail_smtp import Dialogue, run
    from posthouse.app.submit_protocol import EX_TEMPFAIL

    runtimes, hostname = _find_server(context)
    try:
        run(Dialogue(runtimes, hostname, _MAX_SIZE), sys.stdin.fileno(), sys.stdout.fileno())
    except OSError as error:
        raise SendmailError(EX_TEMPFAIL, f"the client is gone: {error.strerror}") from None


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
