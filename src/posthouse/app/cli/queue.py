"""`posthouse queue`: look at the queue and change it, with the server running or not."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime

import click

from posthouse.app.cli.common import (
    Context,
    FailedError,
    draw_table,
    format_age,
    format_octets,
    json_option,
    print_json,
)
from posthouse.message.ids import split_queue_id

STATUSES = ("ready", "active", "deferred", "held", "delivered", "relayed", "failed", "expired")
_PAGE = 200

Item = Mapping[str, object]


@click.group()
def queue() -> None:
    """Look at the queue and change it."""


@queue.command("list")
@click.option("--domain", metavar="D", help="Messages with a recipient in this domain.")
@click.option("--sender", metavar="S", help="Messages of this sender; <> for reports.")
@click.option("--status", type=click.Choice(STATUSES), help="Messages with a recipient in this state.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="At most N messages.")
@json_option
@click.pass_obj
def list_queue(
    context: Context, domain: str | None, sender: str | None, status: str | None, limit: int | None, as_json: bool
) -> None:
    """List messages, oldest first."""
    args = _drop_absent(domain=domain, sender=sender, status=status, limit=limit)
    with context.control("posthouse queue list") as control:
        items = control.stream("queue.list", args)
        if as_json:
            print_json(items)
        elif not _draw_list(items):
            click.echo("Nothing in the queue." if not args else "Nothing in the queue fits.")


def _check_ids(ids: Iterable[str]) -> list[str]:
    """Before anything is changed: a typing error must not leave half of the work done."""
    try:
        for queue_id in ids:
            split_queue_id(queue_id)
    except ValueError as error:
        raise FailedError(str(error)) from None
    return [queue_id.upper() for queue_id in ids]


def _drop_absent(**args: object) -> dict[str, object]:
    return {name: value for name, value in args.items() if value is not None}


def _draw_list(items: Iterator[Item]) -> int:
    """A table for every few hundred messages, so that a long queue begins to show at once."""
    columns = ("id", "age", "size", "sender", "recipient", "status", "tries", "next", "last reply")
    count = 0
    while page := list(itertools.islice(items, _PAGE)):
        draw_table(columns, (row for item in page for row in _make_rows(item)))
        count += len(page)
    if count:
        click.echo(f"{count} message{'s' if count != 1 else ''}")
    return count


def _make_rows(item: Item) -> Iterator[tuple[str, ...]]:
    now = time.time()
    head: tuple[str, ...] = (
        str(item["id"]),
        format_age(max(0.0, now - _read_instant(item["arrived"]))),
        format_octets(_read_number(item["size"])),
        str(item["sender"] or "<>"),
    )
    for recipient in _read_recipients(item):
        yield (
            *head,
            str(recipient["address"]),
            str(recipient["status"]),
            str(recipient["attempts"]),
            _show_next(recipient, now),
            str(recipient["last_reply"] or ""),
        )
        head = ("", "", "", "")


def _show_next(recipient: Item, now: float) -> str:
    if recipient["next_attempt"] is None or recipient["status"] == "active":
        return ""
    return "in " + format_age(max(0.0, _read_instant(recipient["next_attempt"]) - now))


def _read_recipients(item: Item) -> list[Item]:
    recipients = item["recipients"]
    return recipients if isinstance(recipients, list) else []


def _read_instant(text: object) -> float:
    return datetime.fromisoformat(str(text)).timestamp()


def _read_number(value: object) -> int:
    return int(value) if isinstance(value, int | float) else 0


@queue.command()
@click.argument("queue_id", metavar="ID")
@json_option
@click.pass_obj
def show(context: Context, queue_id: str, as_json: bool) -> None:
    """Everything known of one message."""
    with context.control("posthouse queue show") as control:
        item = next(iter(control.stream("queue.show", {"id": queue_id})), None)
        if item is None:
            raise FailedError(f"no message {queue_id} in the queue")
        if as_json:
            print_json([item])
            return
        draw_table(("", queue_id), ((name, _show(value)) for name, value in item.items() if name not in _OWN_TABLE))
        columns = ("recipient", "status", "tries", "next attempt", "next hop", "last reply")
        names = ("address", "status", "attempts", "next_attempt", "next_hop", "last_reply")
        draw_table(columns, ([_show(each[name]) for name in names] for each in _read_recipients(item)))


_OWN_TABLE = ("id", "recipients", "remotes")


def _show(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)


@queue.command()
@json_option
@click.pass_obj
def stats(context: Context, as_json: bool) -> None:
    """Counts by state and by next hop, the oldest message's age, messages per second."""
    with context.control("posthouse queue stats") as control:
        answer = control.call("queue.stats", {})
    counts = dict(answer) if isinstance(answer, dict) else {}
    oldest = counts.pop("oldest", None)
    for name in ("in_per_second", "out_per_second"):
        counts[name] = round(float(counts.get(name) or 0), 2)
    counts["oldest_age"] = round(max(0.0, time.time() - oldest), 3) if isinstance(oldest, int | float) else None
    if as_json:
        print_json([counts])
        return
    age = counts["oldest_age"]
    draw_table(
        ("", "queue"),
        [
            ("messages", str(counts.get("messages", 0))),
            ("being delivered", str(counts.get("active", 0))),
            ("size", format_octets(_read_number(counts.get("size")))),
            ("oldest", format_age(age) if isinstance(age, int | float) else "-"),
            ("in per second", str(counts.get("in_per_second", 0))),
            ("out per second", str(counts.get("out_per_second", 0))),
        ],
    )
    for title, name in (("state", "states"), ("next hop", "next_hops")):
        table = counts.get(name)
        ranked = sorted(table.items(), key=lambda pair: -pair[1]) if isinstance(table, dict) else []
        draw_table((title, "recipients"), ((str(key), str(count)) for key, count in ranked))


def _make_change(action: str, summary: str) -> click.Command:
    """`hold`, `release` ...: five commands with one shape."""

    @click.argument("ids", nargs=-1, metavar="[ID]...")
    @click.option("--domain", metavar="D", help="All messages with a recipient in this domain.")
    @click.option("--sender", metavar="S", help="All messages of this sender; <> for reports.")
    @click.option("--all", "everything", is_flag=True, help="All messages.")
    @json_option
    @click.pass_obj
    def change(
        context: Context, ids: tuple[str, ...], domain: str | None, sender: str | None, everything: bool, as_json: bool
    ) -> None:
        if sum((bool(ids), domain is not None or sender is not None, everything)) != 1:
            raise click.UsageError("Say which messages: ID..., or --domain and/or --sender, or --all.")
        args = _drop_absent(
            action=action, ids=_check_ids(ids) or None, domain=domain, sender=sender, all=everything or None
        )
        with context.control(f"posthouse queue {action}") as control:
            answer = control.call("queue.change", args)
        _report_change(answer if isinstance(answer, dict) else {}, _DONE[action], as_json)

    return click.command(action, help=summary)(change)


_DONE = {"hold": "held", "release": "released", "retry": "to be tried now", "delete": "deleted", "bounce": "bounced"}


def _report_change(answer: Item, done: str, as_json: bool) -> None:
    changed, unknown = _read_number(answer.get("changed")), answer.get("unknown") or []
    if as_json:
        print_json([{"changed": changed} | ({"unknown": unknown} if unknown else {})])
    else:
        click.echo(f"{changed} message{'s' if changed != 1 else ''} {done}")
    for problem, names in (("incomplete, not answered by", answer.get("unanswered")), ("not in the queue", unknown)):
        if isinstance(names, list) and names:
            raise FailedError(f"{problem}: {', '.join(map(str, names))}")


_SUMMARIES: Iterable[tuple[str, str]] = (
    ("hold", "Take messages out of the schedule."),
    ("release", "Put held messages back into the schedule."),
    ("retry", "Try now what waits."),
    ("delete", "Remove messages; their senders hear nothing."),
    ("bounce", "Give messages back to their senders with a failure report."),
)
for _action, _summary in _SUMMARIES:
    queue.add_command(_make_change(_action, _summary))

list_command: Callable[..., object] = list_queue
