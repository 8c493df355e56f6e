"""The queue commands: through the control socket of a server, and on the files without one."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from posthouse.adapters.clock import SystemClock
from posthouse.adapters.sqlite.shards import ShardPool
from posthouse.app.cli import main
from posthouse.app.lockfile import take_lock
from posthouse.app.rpc import Frame, encode_frame
from posthouse.message.address import parse_address
from posthouse.message.envelope import Envelope, Recipient
from posthouse.message.instant import Instant
from posthouse.ports.spool import InlineBody, NewMessage

ITEM: dict[str, object] = {
    "id": "001K0ZR7R822Z",
    "sender": "",
    "recipients": [
        {"address": "bob@b.example", "status": "deferred", "attempts": 2, "next_attempt": "2100-01-01T00:00:00.000Z",
         "last_reply": "450 \x1b[2Jlater", "next_hop": "b.example"},
    ],
    "size": 2048, "arrived": "2026-01-01T00:00:00.000Z", "held": False,
}  # fmt: skip


class FakeServer:
    """Holds the lock, listens on control.sock, and answers one client per `answers` entry by its script."""

    def __init__(self, data: Path) -> None:
        self.requests: list[Frame] = []
        self.answers: dict[str, list[Frame]] = {}
        (data / "run").mkdir(parents=True)
        self._lock = take_lock(str(data / "lock"), "posthouse serve")
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(data / "run" / "control.sock"))
        self._socket.listen()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            with connection, connection.makefile("rb") as stream:
                while size := int.from_bytes(stream.read(4), "big"):
                    request = msgspec.msgpack.decode(stream.read(size), type=Frame)
                    if request.op == "end":
                        return
                    self.requests.append(request)
                    for frame in self.answers.get(request.op or "", []):
                        connection.sendall(encode_frame(frame))
                    if not self.answers.get(request.op or ""):
                        break

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self._socket.getsockname())
            connection.sendall(encode_frame(Frame(op="end")))
        self._thread.join(10)
        self._socket.close()
        self._lock.release()


@pytest.fixture(name="posthouse")
def make_command(tmp_path: Path) -> Callable[..., Result]:
    (tmp_path / "data").mkdir()
    file = tmp_path / "p.toml"
    file.write_text('hostname = "mail.example.org"\ndata = "data"\n')

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main, ["-c", str(file), *arguments], prog_name="posthouse")

    return run


@pytest.fixture(name="server")
def make_server(tmp_path: Path) -> Iterator[FakeServer]:
    server = FakeServer(tmp_path / "data")
    yield server
    server.close()


def test_a_list_is_streamed_from_the_server_as_json(posthouse: Callable[..., Result], server: FakeServer) -> None:
    server.answers["queue.list"] = [Frame(item=ITEM), Frame(item=ITEM), Frame(done={"count": 2})]
    result = posthouse("queue", "list", "--json", "--domain", "b.example", "--limit", "5")
    assert result.exit_code == 0, result.output
    assert [json.loads(line) for line in result.output.splitlines()] == [ITEM, ITEM]
    assert server.requests[0].args == {"domain": "b.example", "limit": 5}


def test_a_list_for_people_has_no_control_characters_of_peers(
    posthouse: Callable[..., Result], server: FakeServer
) -> None:
    server.answers["queue.list"] = [Frame(item=ITEM), Frame(done={"count": 1})]
    output = posthouse("queue", "list").output
    assert "001K0ZR7R822Z" in output
    assert "450 \N{REPLACEMENT CHARACTER}[2Jlater" in output
    assert "\x1b" not in output
    assert "1 message\n" in output


def test_an_error_of_the_server_is_exit_code_1(posthouse: Callable[..., Result], server: FakeServer) -> None:
    server.answers["queue.show"] = [Frame(error="no message X in the queue")]
    result = posthouse("queue", "show", "X")
    assert (result.exit_code, result.output) == (1, "posthouse: no message X in the queue\n")


def test_a_server_that_hangs_up_is_told(posthouse: Callable[..., Result], server: FakeServer) -> None:
    result = posthouse("queue", "stats")
    assert (result.exit_code, result.output) == (1, "posthouse: the server hung up in mid-answer\n")


def test_a_change_prints_how_many_and_what_did_not_answer(posthouse: Callable[..., Result], server: FakeServer) -> None:
    server.answers["queue.change"] = [Frame(done={"changed": 3, "unanswered": []})]
    assert posthouse("queue", "hold", "--domain", "b.example").output == "3 messages held\n"
    assert posthouse("queue", "delete", "001K0ZX0G8HYM", "011K0ZX48M702", "--json").output == '{"changed":3}\n'
    assert server.requests[0].args == {"action": "hold", "domain": "b.example"}
    assert server.requests[1].args == {"action": "delete", "ids": ["001K0ZX0G8HYM", "011K0ZX48M702"]}
    server.answers["queue.change"] = [Frame(done={"changed": 1, "unanswered": ["worker 1.1"]})]
    result = posthouse("queue", "retry", "--all")
    assert result.exit_code == 1
    assert "1 message to be tried now" in result.output
    assert "incomplete, not answered by: worker 1.1" in result.output


def test_a_change_says_which_ids_nobody_has(posthouse: Callable[..., Result], server: FakeServer) -> None:
    server.answers["queue.change"] = [Frame(done={"changed": 1, "unknown": ["011K0ZX48M702"], "unanswered": []})]
    result = posthouse("queue", "delete", "001K0ZX0G8HYM", "011K0ZX48M702")
    assert result.exit_code == 1
    assert result.output == "1 message deleted\nposthouse: not in the queue: 011K0ZX48M702\n"
    result = posthouse("queue", "delete", "001K0ZX0G8HYM", "011K0ZX48M702", "--json")
    assert result.output.startswith('{"changed":1,"unknown":["011K0ZX48M702"]}\n')


def test_a_change_with_a_mistyped_id_asks_nothing_of_the_server(
    posthouse: Callable[..., Result], server: FakeServer
) -> None:
    result = posthouse("queue", "delete", "001K0ZX0G8HYM", "ABC")
    assert (result.exit_code, result.output) == (1, "posthouse: not a queue id: 'ABC'\n")
    assert server.requests == []


@pytest.mark.parametrize("arguments", [[], ["X", "--all"], ["--all", "--domain", "d"]])
def test_a_change_must_say_which_messages(posthouse: Callable[..., Result], arguments: list[str]) -> None:
    result = posthouse("queue", "delete", *arguments)
    assert result.exit_code == 2
    assert "Say which messages" in result.output


def test_sessions_are_listed_and_ended(posthouse: Callable[..., Result], server: FakeServer) -> None:
    session = {"id": "s1", "peer": "192.0.2.7", "service": "smtp"}
    server.answers["sessions.list"] = [Frame(item=session), Frame(done={"count": 1})]
    assert json.loads(posthouse("sessions", "list", "--json").output) == session
    assert "192.0.2.7" in posthouse("sessions", "list").output
    server.answers["sessions.kill"] = [Frame(done={"changed": 1})]
    assert posthouse("sessions", "kill", "s1").output == "s1 ended\n"
    server.answers["sessions.kill"] = [Frame(done={"changed": 0})]
    assert posthouse("sessions", "kill", "s2").exit_code == 1


def test_a_lock_without_a_control_socket_names_its_holder(posthouse: Callable[..., Result], tmp_path: Path) -> None:
    lock = take_lock(str(tmp_path / "data" / "lock"), "posthouse fsck")
    result = posthouse("queue", "list")
    lock.release()
    assert result.exit_code == 1
    assert "is held by posthouse fsck, process" in result.output


def test_a_data_directory_that_is_not_there_is_exit_code_1(posthouse: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "data").rmdir()
    assert posthouse("queue", "list").exit_code == 1
    assert posthouse("fsck").exit_code == 1
    assert posthouse("trace", "x").exit_code == 1


def fill_queue(data: Path, count: int) -> None:
    async def fill() -> None:
        pool = ShardPool(str(data / "spool"), SystemClock())
        spool = await pool.take_free_shard()
        now = SystemClock().now()
        for number in range(count):
            envelope = Envelope(parse_address("ann@a.example"), (Recipient(parse_address(f"r{number}@b.example")),))
            body = InlineBody(b"Subject: x\r\n\r\nhello\r\n")
            await spool.accept(NewMessage(spool.reserve_id(), envelope, b"", body, now, Instant(now + 300)))
        await spool.close()
        pool.close()

    asyncio.run(fill())


def list_queue(posthouse: Callable[..., Result], *arguments: str) -> list[dict[str, object]]:
    result = posthouse("queue", "list", "--json", *arguments)
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.output.splitlines()]


def test_without_a_server_the_files_are_worked_on(posthouse: Callable[..., Result], tmp_path: Path) -> None:
    assert posthouse("queue", "list").output == "Nothing in the queue.\n"
    assert list_queue(posthouse) == []
    (tmp_path / "data" / "spool").mkdir()
    fill_queue(tmp_path / "data", 3)
    items = list_queue(posthouse)
    assert len(items) == 3
    first = str(items[0]["id"])
    assert posthouse("queue", "hold", first).output == "1 message held\n"
    assert [item["id"] for item in list_queue(posthouse, "--status", "held")] == [first]
    assert json.loads(posthouse("queue", "show", first, "--json").output)["held"] is True
    counts = json.loads(posthouse("queue", "stats", "--json").output)
    assert (counts["messages"], counts["states"]) == (3, {"held": 1, "ready": 2})
    unknown = posthouse("queue", "release", "0000000000000")
    assert (unknown.exit_code, unknown.output) == (
        1, "0 messages released\nposthouse: not in the queue: 0000000000000\n"
    )  # fmt: skip
    assert posthouse("queue", "delete", "--domain", "B.example").output == "3 messages deleted\n"
    assert list_queue(posthouse) == []


def test_a_bounce_without_a_server_leaves_a_report_that_trace_follows(
    posthouse: Callable[..., Result], tmp_path: Path
) -> None:
    (tmp_path / "data" / "spool").mkdir()
    fill_queue(tmp_path / "data", 1)
    message = str(list_queue(posthouse)[0]["id"])
    assert posthouse("queue", "bounce", "--all").output == "1 message bounced\n"
    [report] = list_queue(posthouse)
    assert report["sender"] == ""
    traced = [json.loads(line) for line in posthouse("trace", message, "--json").output.splitlines()]
    assert [(record["step"], record["id"]) for record in traced] == [("bounced", message), ("received", report["id"])]
    output = posthouse("trace", "ann@a.example").output
    assert "given back to the sender" in output
    assert f"about {message}" in output


def test_nothing_known_of_a_message_is_exit_code_1(posthouse: Callable[..., Result]) -> None:
    result = posthouse("trace", "nobody@b.example")
    assert (result.exit_code, result.output) == (1, "posthouse: nothing is known of nobody@b.example\n")


def test_fsck_of_a_sound_spool_finds_nothing(posthouse: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "data" / "spool").mkdir()
    fill_queue(tmp_path / "data", 2)
    assert posthouse("fsck").output == "Everything is as it should be.\n"
    assert posthouse("fsck", "--json").output == ""


def test_repairing_beside_a_server_is_refused(posthouse: Callable[..., Result], server: FakeServer) -> None:
    result = posthouse("fsck", "--repair")
    assert result.exit_code == 1
    assert "--repair needs the server to be stopped" in result.output
