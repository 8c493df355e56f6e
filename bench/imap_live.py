"""The rows of many sessions: how soon IDLE tells, what an idle session weighs, two thousand mailboxes, one with many.

Dovecot is not asked for the crowds: each of its sessions watches by inotify, of which Linux gives a user 128, and the
rest look every half minute. A new message is seen from the moment its APPEND is written.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import selectors
import ssl
import statistics
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bench.accounts import PASSWORD
from bench.bench import Row
from bench.imap_client import Client, make_append
from bench.imap_rows import Case, Figures, Stage, check_equal
from bench.imap_sides import OURS, log_in, name_user
from bench.lab import LabError, list_trees, measure_memory

SMALL = b"From: ann@example.org\r\nTo: user@example.com\r\nSubject: small\r\n\r\nNothing much.\r\n"
WATCHERS = 8
SAMPLES = 200
LONGEST_S = 15.0
PAUSE_S = 0.02
HELD = 10_000  # messages of the mailbox that idle sessions have selected
FIRST = 200
IDLERS = 500
SETTLE_S = 3.0
CROWD_START = 20
CROWD_USERS = 200
CROWD_MAILBOXES = 10
CROWD_RATE = 200
CROWD_S = 15.0
ONE_MAILBOX = 500
ONE_ROUNDS = 20
FILLED, NEWS, CROWDED = 10, 11, 12  # users that no run of the other rows has


# -- until IDLE tells


def find_owners(roots: Sequence[int]) -> dict[int, int]:
    """Which process of the trees has the connection to a port of ours: what the kernel says, not the server."""
    inodes: dict[str, int] = {}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        inodes[fields[9]] = int(fields[2].partition(":")[2], 16)
    owners = {}
    for pid in list_trees(roots):
        with contextlib.suppress(OSError):
            for entry in os.scandir(f"/proc/{pid}/fd"):
                match = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(entry.path))
                if match and match[1] in inodes:
                    owners[inodes[match[1]]] = pid
    return owners


def tell(stage: Stage) -> Figures:
    """One session idles on the mailbox on the worker of the one that writes, and one on another worker: of several that
    were opened those are kept. Dovecot has a process for each session: near is far.
    """
    is_ours = stage.side.name == OURS
    with contextlib.ExitStack() as stack:
        writer = stack.enter_context(contextlib.closing(log_in(stage.side, NEWS)))
        watchers = []
        for _ in range(WATCHERS if is_ours else 1):
            watchers.append(stack.enter_context(contextlib.closing(log_in(stage.side, NEWS, "INBOX"))))
            watchers[-1].start_idle()
        owners = find_owners(stage.side.pids)
        is_near = [owners.get(watcher.port) == owners.get(writer.port) for watcher in watchers]
        if is_ours and (all(is_near) or not any(is_near)):
            raise LabError("the sessions are not on two workers")
        for at in reversed(range(len(watchers))):
            if is_near.index(is_near[at]) != at:
                watchers.pop(at).close()
                is_near.pop(at)
        delays = _time_tellings(stage, writer, watchers)
    near = [delay for row, is_here in zip(delays, is_near, strict=True) for delay in row if is_here]
    far = [delay for row, is_here in zip(delays, is_near, strict=True) for delay in row if not is_here]
    return _show_delays("", near or far) | _show_delays("far_", far or near)


def _time_tellings(stage: Stage, writer: Client, watchers: Sequence[Client]) -> list[list[float]]:
    """For each who watches."""
    delays: list[list[float]] = [[] for _ in watchers]
    deadline = time.perf_counter() + (2.0 if stage.is_short else LONGEST_S)
    for _ in range(SAMPLES):
        started = time.perf_counter()
        writer.append([SMALL])
        for row, watcher in zip(delays, watchers, strict=True):
            row.append(watcher.wait_exists() - started)
        time.sleep(PAUSE_S)
        if time.perf_counter() > deadline:
            break
    return delays


def _show_delays(prefix: str, delays: Sequence[float]) -> Figures:
    return {
        f"{prefix}p50_ms": statistics.median(delays) * 1e3,
        f"{prefix}p98_ms": find_quantile(delays, 0.98) * 1e3,
    }


def find_quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


# -- what idle sessions weigh


def fill_held(stage: Stage) -> None:
    client = log_in(stage.side, FILLED, "INBOX")
    wanted = 1000 if stage.is_short else HELD
    if client.select() == 0:
        client.append([SMALL] * (wanted // 10), in_flight=16)
        client.select()
        client.run("CREATE Part")
        client.run("COPY 1:* Part")
        client.run("SELECT Part")
        for _ in range(9):
            client.run("COPY 1:* INBOX")
    check_equal("EXISTS", client.select(), wanted)
    client.close()


def weigh(stage: Stage, open_session: Callable[[Stage], Client]) -> Figures:
    """After a restart, and beyond the first sessions: what filling and starting left free would hide what they need."""
    fill_held(stage)
    stage.restart()
    count = 20 if stage.is_short else IDLERS
    with contextlib.ExitStack() as stack:
        for _ in range(8 if stage.is_short else FIRST):
            stack.enter_context(contextlib.closing(open_session(stage)))
        time.sleep(SETTLE_S)
        before = measure_memory(stage.side.pids)
        for _ in range(count):
            stack.enter_context(contextlib.closing(open_session(stage)))
        time.sleep(SETTLE_S)
        after = measure_memory(stage.side.pids)
    if not before["pss"] or (stage.side.name == OURS and after["processes"] != before["processes"]):
        raise LabError(f"the server's processes are not what they were: {before}, {after}")
    return {
        "kib": (after["pss"] - before["pss"]) / count / 1024,
        "rss_kib": (after["rss"] - before["rss"]) / count / 1024,
    }


def _open_plain(stage: Stage) -> Client:
    client = log_in(stage.side, FILLED, "INBOX")
    client.start_idle()
    return client


def _open_tls(stage: Stage) -> Client:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    client = Client(stage.side.tls_port, tls=context)
    client.log_in(name_user(FILLED), PASSWORD)
    client.select()
    client.start_idle()
    return client


def _open_compressed(stage: Stage) -> Client:
    """What comes back is only waited for: after COMPRESS it is deflated."""
    client = log_in(stage.side, FILLED, "INBOX")
    client.run("COMPRESS DEFLATE")
    deflater = zlib.compressobj(wbits=-15)
    client.send(deflater.compress(client.make_tag() + b" IDLE\r\n") + deflater.flush(zlib.Z_SYNC_FLUSH))
    client.receive()
    return client


# -- crowds


class Crowd:
    """Idle sessions by what they wait for; the moments at which each was told."""

    def __init__(self) -> None:
        self._selector = selectors.EpollSelector()
        self.told: list[tuple[object, float]] = []

    def add(self, client: Client, key: object) -> None:
        self._selector.register(client, selectors.EVENT_READ, (client, key))

    def listen(self, until: float) -> None:
        """Until that moment (perf_counter), whatever comes."""
        while (left := until - time.perf_counter()) > 0:
            for ready, _ in self._selector.select(left):
                client, key = ready.data
                octets = client.receive()
                now = time.perf_counter()
                self.told += [(key, now)] * octets.count(b" EXISTS\r\n")

    def close(self) -> None:
        self._selector.close()


@contextlib.contextmanager
def gather(stage: Stage, places: Sequence[tuple[int, str]]) -> Iterator[Crowd]:
    """An idle session for each (user, mailbox)."""
    with contextlib.ExitStack() as stack:
        crowd = stack.enter_context(contextlib.closing(Crowd()))
        for place in places:
            client = stack.enter_context(contextlib.closing(log_in(stage.side, place[0], place[1])))
            client.start_idle()
            crowd.add(client, place)
        yield crowd


def tell_thousands(stage: Stage) -> Figures:
    """2,000 sessions, each on a mailbox of its own; 200 messages a second into these, in turn."""
    count, mailboxes = (4, 2) if stage.is_short else (CROWD_USERS, CROWD_MAILBOXES)
    users = range(CROWD_START, CROWD_START + count)
    names = ["INBOX", *(f"M{number}" for number in range(1, mailboxes))]
    with contextlib.ExitStack() as stack:
        writers = []
        for user in users:
            writers.append(stack.enter_context(contextlib.closing(log_in(stage.side, user))))
            for name in names[1:]:
                with contextlib.suppress(LabError):  # there from the run before
                    writers[-1].run(f"CREATE {name}")
        places = [(user, name) for name in names for user in users]
        crowd = stack.enter_context(gather(stage, places))
        for user, writer in zip(users, writers, strict=True):
            crowd.add(writer, ("answers", user))
        count = int(CROWD_RATE * (1.0 if stage.is_short else CROWD_S))
        sent: dict[object, list[float]] = {}
        start = time.perf_counter()
        for number in range(count):
            due = start + number / CROWD_RATE
            crowd.listen(due)
            place = places[number * 7 % len(places)]
            sent.setdefault(place, []).append(due)
            writer = writers[place[0] - CROWD_START]
            writer.send(make_append(writer.make_tag(), SMALL, mailbox=place[1]))
        crowd.listen(time.perf_counter() + 5.0)
    return _show_crowd(sent, crowd)


def _show_crowd(sent: dict[object, list[float]], crowd: Crowd) -> Figures:
    told: dict[object, list[float]] = {}
    for key, moment in crowd.told:
        told.setdefault(key, []).append(moment)
    delays = []
    for place, moments in sent.items():
        heard = told.get(place, [])
        check_equal(f"tellings of {place}", len(heard), len(moments))
        delays += [after - before for before, after in zip(moments, heard, strict=True)]
    return {
        "p50_ms": statistics.median(delays) * 1e3,
        "p99_ms": find_quantile(delays, 0.99) * 1e3,
        "worst_ms": max(delays) * 1e3,
    }


def tell_one_crowd(stage: Stage) -> Figures:
    """From the APPEND until the last of 500 sessions has been told."""
    count = 20 if stage.is_short else ONE_MAILBOX
    places = [(CROWDED, "INBOX")] * count
    worst = []
    with contextlib.closing(log_in(stage.side, CROWDED)) as writer, gather(stage, places) as crowd:
        for _ in range(2 if stage.is_short else ONE_ROUNDS):
            crowd.told.clear()
            started = time.perf_counter()
            writer.append([SMALL])
            while len(crowd.told) < count and time.perf_counter() < started + 10.0:
                crowd.listen(time.perf_counter() + 0.01)
            check_equal("sessions told", len(crowd.told), count)
            worst.append(max(moment for _, moment in crowd.told) - started)
    return {"median_ms": statistics.median(worst) * 1e3, "worst_ms": max(worst) * 1e3}


LIVE_CASES: Sequence[Case] = (
    Case(
        "tell",
        (
            Row("APPEND until IDLE of another tells, median", "p50_ms", "ms", "under", 5.0),
            Row("the same, 98 of 100", "p98_ms", "ms", "under", 20.0),
            Row("the same on another worker, median", "far_p50_ms", "ms", "under", 5.0),
            Row("the same on another worker, 98 of 100", "far_p98_ms", "ms", "under", 20.0),
        ),
        tell,
    ),
    Case(
        "weight",
        (Row("an idle session, 10,000 messages selected", "kib", "KiB", "under", 14.0),),
        lambda stage: weigh(stage, _open_plain),
    ),
    Case(
        "weight-tls",
        (Row("the same with TLS", "kib", "KiB", "under", 38.0),),
        lambda stage: weigh(stage, _open_tls),
    ),
    Case(
        "weight-compress",
        (Row("the same with COMPRESS", "kib", "KiB", "stated", 0.0),),
        lambda stage: weigh(stage, _open_compressed),
        has_peer=False,
    ),
    Case(
        "crowd",
        (
            Row(
                "2,000 sessions, 2,000 mailboxes, 200 messages/s: told, 99 of 100",
                "p99_ms",
                "ms",
                "under",
                100.0,
            ),
            Row("the same, worst", "worst_ms", "ms", "stated", 0.0),
        ),
        tell_thousands,
        has_peer=False,
    ),
    Case(
        "one-mailbox",
        (Row("500 sessions on one mailbox, until the last is told, worst of 20", "worst_ms", "ms", "under", 500.0),),
        tell_one_crowd,
        has_peer=False,
    ),
)
