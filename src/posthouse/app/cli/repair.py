"""`posthouse fsck`, the part behind the command: which shards are looked at, and how it is shown."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click
from rich.progress import Progress

from posthouse.adapters.files import Files
from posthouse.adapters.sqlite.directory_fsck import DIRECTORY, TOLD, check_directory
from posthouse.adapters.sqlite.fsck import Finding, check_shard
from posthouse.adapters.sqlite.shards import list_shards
from posthouse.adapters.sqlite.store_fsck import check_store_shard, list_store_shards
from posthouse.app.cli.common import FailedError, draw_table, make_console, print_json
from posthouse.app.directory import directory_options, directory_path
from posthouse.app.lockfile import LockHeldError, take_lock
from posthouse.app.store import store_path

if TYPE_CHECKING:
    from posthouse.config import Settings


_TOLD = {"owned", TOLD}  # no fault


def run_fsck(settings: Settings, *, repair: bool, as_json: bool, deep: bool = False) -> int:
    """Exit code 1 when something is wrong and stays so."""
    directory = os.path.join(settings.data, "spool")
    if not os.path.isdir(settings.data):
        raise FailedError(f"{settings.data}: there is no such directory")
    try:
        lock = take_lock(os.path.join(settings.data, "lock"), "posthouse fsck")
    except LockHeldError as error:
        if repair:
            raise FailedError(f"--repair needs the server to be stopped: {error}") from None
        repair, release = False, None
    else:
        release = lock.release
    shows = not as_json
    findings = _check(directory, repair=repair, shows=shows) + _check_accounts(settings, repair=repair)
    findings += _check_store(store_path(settings), repair=repair, deep=deep, shows=shows)
    if release is not None:
        release()
    _report(findings, as_json=as_json)
    return 1 if any(not finding.is_repaired and finding.what not in _TOLD for finding in findings) else 0


def _check_accounts(settings: Settings, *, repair: bool) -> list[Finding]:
    return check_directory(directory_path(settings), directory_options(settings), repair=repair)


def _check(directory: str, *, repair: bool, shows: bool) -> list[Finding]:
    findings: list[Finding] = []
    with Progress(transient=True, disable=not (shows and make_console().is_terminal)) as progress:
        for number in progress.track(list_shards(directory), description="Checking the spool"):
            findings += check_shard(f"{directory}/{number}", Files(), repair=repair)
    return findings


def _check_store(directory: str, *, repair: bool, deep: bool, shows: bool) -> list[Finding]:
    findings: list[Finding] = []
    with Progress(transient=True, disable=not (shows and make_console().is_terminal)) as progress:
        for number in progress.track(list_store_shards(directory), description="Checking the store"):
            findings += check_store_shard(directory, number, Files(), repair=repair, deep=deep)
    return findings


def _report(findings: list[Finding], *, as_json: bool) -> None:
    if as_json:
        print_json(
            {"shard": _name_place(each), "what": each.what, "detail": each.detail, "repaired": each.is_repaired}
            for each in findings
        )
    elif findings:
        rows = (
            (str(_name_place(each)), each.what, each.detail, "repaired" if each.is_repaired else "")
            for each in findings
        )
        draw_table(("shard", "what", "detail", ""), rows)
    else:
        click.echo("Everything is as it should be.")


def _name_place(finding: Finding) -> int | str:
    if finding.place:
        return finding.place
    return "directory" if finding.shard == DIRECTORY else finding.shard
