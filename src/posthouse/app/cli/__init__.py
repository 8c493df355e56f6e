"""The command line: `posthouse [-c FILE] COMMAND`.

Commands are declared here and do their imports when they run, so that `--help` and the small ones are quick. Exit
codes: 0 done, 1 failed, 2 wrong usage or configuration; `sendmail` has those of sysexits.h.
"""

from __future__ import annotations

import click

from posthouse import __version__
from posthouse.app.cli.accounts import account, alias, domain
from posthouse.app.cli.common import Context
from posthouse.app.cli.queue import queue
from posthouse.app.cli.server import check, demo, fsck, init, serve, sessions
from posthouse.app.cli.submission import sendmail
from posthouse.app.cli.tracing import trace
from posthouse.app.cli.transfer import export, import_mail
from posthouse.app.cli.undelete import undelete


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("-c", "--config", "file", metavar="FILE", help="Configuration file.")
@click.version_option(__version__, prog_name="posthouse")
@click.pass_context
def main(context: click.Context, file: str | None) -> None:
    """A complete Internet mail system.

    The configuration is FILE, else $POSTHOUSE_CONFIG, else ./posthouse.toml, else /etc/posthouse/posthouse.toml.
    """
    context.obj = Context(file)


for _command in (init, check, serve, demo, domain, account, alias, queue, trace, sendmail, sessions, fsck):
    main.add_command(_command)
for _command in (import_mail, export, undelete):
    main.add_command(_command)
