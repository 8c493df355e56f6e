"""`posthouse import`, `export` and `undelete`."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import ipaddress
import re
from collections.abc import Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click

from posthouse.app.cli.common import Context, FailedError, format_octets, json_option, make_console, print_json

if TYPE_CHECKING:
    from posthouse.config import Settings
    from posthouse.manage.transfer import ImportOptions, ImportResult
    from posthouse.manage.transfer_export import ExportResult
    from posthouse.ports.transfer import Report, Sink, Source

T = TypeVar("T")
MAX_MESSAGE = 128 << 20
_SHOWN_TROUBLES = 20


class _Interrupted(FailedError):
    exit_code = 130


def run_command(work: Coroutine[Any, Any, T]) -> T:
    """What can go wrong outside is one line and exit code 1; Ctrl-C is 130."""
    from posthouse.ports.directory import DirectoryError
    from posthouse.ports.store import StoreError, StoreRefusal
    from posthouse.ports.transfer import TransferError

    try:
        return asyncio.run(work)
    except (DirectoryError, StoreError, StoreRefusal, TransferError) as error:
        raise FailedError(str(error)) from None
    except KeyboardInterrupt:
        raise _Interrupted("interrupted; the same command goes on from here") from None


@contextlib.contextmanager
def show_progress(what: str, *, as_json: bool) -> Iterator[Report]:
    """A bar on a terminal, nothing elsewhere."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = make_console()
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=as_json or not console.is_terminal) as progress:
        task = progress.add_task(what, total=None)

        def report(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total or None)

        yield report


@dataclasses.dataclass(frozen=True, slots=True)
class _Import:
    context: Context
    account: str


@click.group("import")
@click.argument("account", metavar="ACCOUNT")
@click.pass_context
def import_mail(context: click.Context, account: str) -> None:
    """Bring mail into an account. A command that was interrupted goes on where it stopped."""
    context.obj = _Import(context.obj, account)


_Command = Callable[..., None]


def _common_options(command: _Command) -> _Command:
    for option in (
        json_option,
        click.option("--again", is_flag=True, help="Import from the beginning, what was imported before too."),
        click.option("--ignore-quota", is_flag=True, help="Go beyond the account's quota."),
    ):
        command = option(command)
    return command


@import_mail.command("mbox")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(exists=True))
@click.option("--mailbox", metavar="NAME", help="Where it goes, as in Work/2024. Default: the file's name.")
@click.option("--no-labels", is_flag=True, help="Take no notice of Gmail's labels.")
@_common_options
@click.pass_obj
def import_mbox(
    wanted: _Import, /, files: tuple[str, ...], mailbox: str | None, no_labels: bool, **flags: bool
) -> None:
    """Import mbox files, also those of Google Takeout and Thunderbird, or all *.mbox of a directory."""
    from posthouse.adapters.mbox import MboxSource, find_files

    sources: list[tuple[str, Source]] = []
    for given in files:
        for file, path in find_files(given):
            target = _read_path(mailbox) if mailbox else path
            sources.append((file, MboxSource(file, target, limit=MAX_MESSAGE)))
    _run_imports(wanted, sources, {**flags, "no_labels": no_labels})


@import_mail.command("maildir")
@click.argument("directory", metavar="DIR", type=click.Path(exists=True, file_okay=False))
@click.option("--mailbox", metavar="NAME", help="Put everything into and below this one.")
@_common_options
@click.pass_obj
def import_maildir(wanted: _Import, /, directory: str, mailbox: str | None, **flags: bool) -> None:
    """Import a Maildir with its folders, flags and keywords, as of Dovecot or Courier."""
    from posthouse.adapters.maildir_reader import MaildirSource

    below = _read_path(mailbox) if mailbox else ()
    source = MaildirSource(directory, below=below, limit=MAX_MESSAGE)
    _run_imports(wanted, [(directory, source)], flags)


@import_mail.command("imap")
@click.argument("host", metavar="HOST[:PORT]")
@click.argument("user", metavar="USER")
@click.option("--password-file", type=click.File(), help="Its first line; - is standard input. Default: asked for.")
@click.option("--tls", type=click.Choice(("implicit", "starttls", "off")), default="implicit", show_default=True)
@click.option("--ca", metavar="FILE", type=click.Path(exists=True), help="Certificates to trust.")
@click.option("--no-verify", is_flag=True, help="Take any certificate.")
@click.option("--only", metavar="NAME", multiple=True, help="This mailbox; may be repeated. Default: all.")
@click.option("--without", metavar="NAME", multiple=True, help="Not this mailbox; may be repeated.")
@click.option("--mailbox", metavar="NAME", help="Put everything into and below this one.")
@_common_options
@click.pass_obj
def import_imap(wanted: _Import, /, host: str, user: str, password_file: TextIO | None, **options: Any) -> None:
    """Import all mailboxes of USER from another IMAP server; it is only read."""
    from posthouse.adapters.imap_client import ImapClient, ImapServer
    from posthouse.adapters.imap_source import ImapChoice, ImapSource

    name, port = _read_host(host, options["tls"])
    if options["tls"] == "off" and not _is_this_machine(name):
        raise click.BadParameter("off is only for this machine: the password would be seen", param_hint="--tls")
    server = ImapServer(name, port, options["tls"], options["ca"], not options["no_verify"])
    password = _read_password(password_file)

    def connect() -> ImapClient:
        client = ImapClient(server, MAX_MESSAGE)
        client.log_in(user, password)
        return client

    below = _read_path(options["mailbox"]) if options["mailbox"] else ()
    source = ImapSource(f"{user}@{name}:{port}", connect, ImapChoice(options["only"], options["without"], below))
    _run_imports(wanted, [(f"{user}@{name}", source)], options)


def _read_host(text: str, tls: str) -> tuple[str, int]:
    found = re.fullmatch(r"\[([0-9a-fA-F:.]+)\](?::(\d+))?|([^:\s]+)(?::(\d+))?", text)
    if found is None:
        raise click.BadParameter("like imap.example.org, imap.example.org:993 or [::1]:993", param_hint="HOST")
    return found[1] or found[3], int(found[2] or found[4] or (993 if tls == "implicit" else 143))


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _read_password(file: TextIO | None) -> str:
    if file is None:
        return str(click.prompt("Password there", hide_input=True))
    password = file.readline().rstrip("\r\n")
    if not password:
        raise FailedError("there is no password in the file")
    return password


def _read_path(text: str) -> tuple[str, ...]:
    path = tuple(part for part in text.split("/") if part)
    if not path:
        raise click.BadParameter("a mailbox has a name", param_hint="--mailbox")
    return path


def _run_imports(wanted: _Import, sources: list[tuple[str, Source]], flags: dict[str, Any]) -> None:
    from posthouse.manage.transfer import ImportOptions

    settings = wanted.context.load_as_user()
    options = ImportOptions(
        inline_limit=settings.store.body_file_size,
        ignores_quota=flags["ignore_quota"],
        uses_labels=not flags.get("no_labels"),
        is_again=flags["again"],
    )
    with show_progress("Importing", as_json=flags["as_json"]) as report:
        results = run_command(_import_all(settings, wanted.account, sources, (options, report)))
    if flags["as_json"]:
        print_json({"source": name, **_describe(result)} for name, result in results)
    else:
        for name, result in results:
            _tell(name, result)
    if any(result.bad or result.stopped for _, result in results):
        raise click.exceptions.Exit(1)


async def _import_all(
    settings: Settings, account: str, sources: list[tuple[str, Source]], how: tuple[ImportOptions, Report]
) -> list[tuple[str, ImportResult]]:
    from posthouse.app.transfer import open_office

    results = []
    async with open_office(settings, account) as office:
        for name, source in sources:
            results.append((name, await office.run_import(source, *how)))
            if results[-1][1].stopped:
                break
    return results


def _describe(result: ImportResult) -> dict[str, object]:
    return {
        "imported": result.imported,
        "octets": result.octets,
        "already": result.already,
        "deleted": result.deleted,
        "bad": result.bad,
        "troubles": result.troubles,
        "stopped": result.stopped,
    }


def _tell(name: str, result: ImportResult) -> None:
    words = [f"{result.imported} imported ({format_octets(result.octets)})"]
    words += [f"{result.already} there already"] if result.already else []
    words += [f"{result.deleted} deleted in the source"] if result.deleted else []
    words += [f"{result.bad} not taken"] if result.bad else []
    click.echo(f"{name}: {', '.join(words)}")
    for trouble in result.troubles[:_SHOWN_TROUBLES]:
        click.echo(f"  {trouble}", err=True)
    if result.stopped:
        click.echo(f"{name}: stopped: {result.stopped}", err=True)


@click.command("export")
@click.argument("account", metavar="ACCOUNT")
@click.argument("directory", metavar="DIR", type=click.Path())
@click.option("--format", "form", type=click.Choice(("maildir", "mbox")), default="maildir", show_default=True)
@json_option
@click.pass_obj
def export(context: Context, account: str, directory: str, form: str, as_json: bool) -> None:
    """Write all mail of an account into an empty directory. One that was interrupted goes on."""
    settings = context.load_as_user()
    with show_progress("Exporting", as_json=as_json) as report:
        result, lost = run_command(_export(settings, account, (directory, form), report))
    if as_json:
        print_json([{**dataclasses.asdict(result), "lost_keywords": lost}])
        return
    words = [f"{result.exported} exported ({format_octets(result.octets)}) from {result.mailboxes} mailboxes"]
    words += [f"{result.already} there already"] if result.already else []
    click.echo(f"{directory}: {', '.join(words)}")
    if lost:
        click.echo(f"{lost} messages have more keywords than a Maildir can hold; mbox keeps them all", err=True)


async def _export(settings: Settings, account: str, where: tuple[str, str], report: Report) -> tuple[ExportResult, int]:
    from posthouse.adapters.maildir_writer import MaildirSink
    from posthouse.adapters.mbox_writer import MboxSink
    from posthouse.app.transfer import open_office

    directory, form = where
    async with open_office(settings, account) as office:
        name = f"{office.id}"
        sink: Sink = MaildirSink(directory, name) if form == "maildir" else MboxSink(directory, name)
        return await office.run_export(sink, report), sink.lost_keywords
