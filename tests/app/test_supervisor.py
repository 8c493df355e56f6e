"""The processes of a server: real ones, with stand-in workers."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from posthouse.app.supervisor import run
from posthouse.config import load
from tests.app.process_harness import LineClient, Server, free_port, is_alive, short_directory, wait_until

MakeServer = Callable[..., Server]


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[MakeServer]:
    servers: list[Server] = []

    def make(**timings: float) -> Server:
        servers.append(Server(tmp_path, **timings))
        return servers[-1]

    yield make
    for server in servers:
        server.end()


def smtp(port: int) -> str:
    return f'service = "smtp"\nbind = "127.0.0.1:{port}"'


def worker_pids(server: Server) -> set[int]:
    workers = server.status()["workers"]
    assert isinstance(workers, list)
    return {worker["pid"] for worker in workers}


def wait_workers(server: Server, count: int = 2) -> set[int]:
    wait_until(lambda: len(worker_pids(server)) == count, f"{count} workers at the coordinator")
    return worker_pids(server)


def test_a_server_starts_serves_and_stops(make_server: MakeServer) -> None:
    server, port = make_server(), free_port()
    server.write_config(smtp(port))
    server.start_ready()
    client = server.connect(port)
    assert client.generation == 1
    assert stat.S_IMODE(server.data.stat().st_mode) == 0o700
    assert stat.S_IMODE((server.runtime / "control.sock").stat().st_mode) == 0o600
    assert stat.S_IMODE((server.runtime / "submit.sock").stat().st_mode) == 0o666
    started = time.monotonic()
    assert server.stop() == 0
    assert client.read() == "421"
    assert time.monotonic() - started < 30
    assert not list(server.runtime.glob("*.sock"))


def test_a_second_server_is_refused_and_names_the_holder(make_server: MakeServer) -> None:
    first, port = make_server(), free_port()
    first.write_config(smtp(port))
    first.start_ready()
    second = make_server().start()
    assert second.wait_exit() == 1
    reason = str(second.wait_log("server not started")["reason"])
    assert f"process {first.pid}" in reason
    assert "posthouse serve" in reason
    first.connect(port)


def test_a_worker_killed_under_connections_is_replaced_and_none_is_refused(make_server: MakeServer) -> None:
    server, port = make_server(), free_port()
    server.write_config(smtp(port))
    server.start_ready()
    before = wait_workers(server)
    client = server.connect(port)
    os.kill(client.pid, signal.SIGKILL)
    assert client.read() == ""
    for _ in range(50):
        assert server.connect(port).pid != client.pid
    after = wait_workers(server)
    assert len(before & after) == 1


def test_no_connection_is_refused_while_every_worker_is_dead(make_server: MakeServer) -> None:
    server, port = make_server(), free_port()
    server.write_config(smtp(port))
    server.start_ready()
    for pid in wait_workers(server):
        os.kill(pid, signal.SIGKILL)
    assert server.connect(port).greeting.startswith("worker ")


def test_the_coordinator_killed_comes_back_and_is_filled_again(make_server: MakeServer) -> None:
    server, port = make_server(), free_port()
    server.write_config(smtp(port))
    server.start_ready()
    workers = wait_workers(server)
    client = server.connect(port)
    coordinator = server.status()["coordinator"]
    assert isinstance(coordinator, int)
    os.kill(coordinator, signal.SIGKILL)
    assert client.ask("hold") == "held"
    assert server.connect(port).greeting.startswith("worker ")
    assert wait_workers(server) == workers
    assert server.status()["coordinator"] != coordinator
    others = [server.connect(port) for _ in range(6)]
    wait_until(
        lambda: all(int(other.ask("count 127.0.0.1")) >= 7 for other in others), "every worker to know all connections"
    )


def test_a_hanging_worker_is_aborted_with_a_stack_dump(make_server: MakeServer) -> None:
    server, port = make_server(silence_s=5.0, dump_s=60.0, tick_s=0.05), free_port()
    server.write_config(smtp(port))
    server.start_ready()
    client = server.connect(port)
    client.send("stall")
    server.wait_log("process silent, aborted", pid=client.pid)  # on a busy machine others may be silent, too
    assert server.wait_log("process ended", pid=client.pid)["code"] == -signal.SIGABRT
    wait_until(lambda: server.has_logged("standin_worker.py") and server.has_logged("_obey"), "the stack dump")
    wait_workers(server)


def test_sigterm_lets_a_worker_finish_what_is_in_hand(make_server: MakeServer) -> None:
    server, port = make_server(), free_port()
    server.write_config(smtp(port))
    server.start_ready()
    busy, idle = server.connect(port), server.connect(port)
    assert busy.ask("hold") == "held"
    server.signal(signal.SIGTERM)
    assert idle.read() == "421"
    assert busy.ask("done") == "done"
    assert busy.read() == "421"
    assert server.wait_exit() == 0


def test_sigterm_ends_what_does_not_finish(make_server: MakeServer) -> None:
    server, port = make_server(stop_s=0.3, drain_grace_s=1.0, tick_s=0.05), free_port()
    server.write_config(smtp(port))
    server.start_ready()
    busy, hanging = server.connect(port), server.connect(port)
    assert busy.ask("hold") == "held"
    hanging.send("stall")
    server.signal(signal.SIGTERM)
    assert server.wait_exit() == 0
    assert not is_alive(hanging.pid)


def test_sigint_stops_like_sigterm_though_children_get_it_too(make_server: MakeServer) -> None:
    server, port = make_server(), free_port()
    server.write_config(smtp(port))
    server.start_ready()
    busy = server.connect(port)
    busy.ask("hold")
    for pid in [*wait_workers(server), server.pid]:
        os.kill(pid, signal.SIGINT)
    assert busy.ask("done") == "done"
    assert server.wait_exit() == 0


def test_children_of_a_killed_supervisor_end_and_the_next_server_waits_for_them(make_server: MakeServer) -> None:
    server, port = make_server(), free_port()
    server.write_config(smtp(port))
    server.start_ready()
    pids = wait_workers(server)
    client = server.connect(port)
    client.ask("hold")
    server.signal(signal.SIGKILL)
    server.wait_exit()
    following = make_server()
    following.start()
    client.send("done")
    following.wait_log("server ready")
    wait_until(lambda: not any(is_alive(pid) for pid in pids), "the end of the old workers")
    assert following.connect(port).pid not in pids


def test_a_reload_keeps_what_is_in_hand_and_brings_new_workers(make_server: MakeServer) -> None:
    server, port = make_server(), free_port()
    server.write_config(smtp(port))
    server.start_ready()
    busy, idle = server.connect(port), server.connect(port)
    busy.ask("hold")
    server.signal(signal.SIGHUP)
    server.wait_log("server ready", generation=2)
    assert idle.read() == "421"
    server.connect_generation(port, 2)
    assert busy.ask("done") == "done"
    assert busy.read() == "421"
    wait_until(lambda: not is_alive(busy.pid), "the end of the old worker")
    assert not is_alive(idle.pid)


def test_a_reload_opens_new_listeners_and_closes_old_ones(make_server: MakeServer, tmp_path: Path) -> None:
    server, kept, old, new = make_server(), free_port(), free_port(), free_port()
    door = tmp_path / "lmtp.sock"
    server.write_config(smtp(kept), smtp(old), f'service = "lmtp"\nbind = "unix:{door}"')
    server.start_ready()
    assert LineClient(str(door)).generation == 1
    server.write_config(smtp(new), smtp(kept))
    assert server.control("reload")[-1].error is None
    server.connect_generation(kept, 2)
    assert server.connect(new).generation == 2
    wait_until(lambda: is_refused(old), "the old listener to close")
    assert not door.exists()


def is_refused(port: int) -> bool:
    try:
        LineClient(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("colour = 3", "posthouse.toml:5: colour: unknown key"),
        ('user = "root-but-not-really"', "posthouse.toml:5: user: cannot change"),
        ('tls.certificate = "/nonexistent/c.pem"\ntls.key = "/nonexistent/k.pem"', "posthouse.toml:5: tls.certificate"),
        ('metrics.token_file = "/nonexistent/token"', "posthouse.toml:5: metrics.token_file"),
        ("workers = ", "not valid TOML"),
    ],
)
def test_a_bad_reload_names_file_line_and_key_and_changes_nothing(
    make_server: MakeServer, extra: str, words: str
) -> None:
    server, port = make_server(), free_port()
    server.write_config(smtp(port))
    server.start_ready()
    pids = wait_workers(server)
    server.write_config(smtp(free_port()), extra=extra)
    server.signal(signal.SIGHUP)
    assert words in str(server.wait_log("reload refused, nothing was changed")["reason"])
    assert words in str(server.control("reload")[-1].error)
    assert worker_pids(server) == pids
    assert server.connect(port).generation == 1


def test_a_reload_onto_a_taken_port_changes_nothing(make_server: MakeServer) -> None:
    server, port, other, taken = make_server(), free_port(), free_port(), free_port()
    server.write_config(smtp(port))
    server.start_ready()
    with socket.create_server(("127.0.0.1", taken)):
        server.write_config(smtp(other), smtp(taken))
        assert f"cannot listen on 127.0.0.1:{taken}: address already in use" in str(server.control("reload")[-1].error)
    assert is_refused(other)
    assert server.connect(port).generation == 1


def test_a_reload_whose_workers_do_not_start_changes_nothing(make_server: MakeServer) -> None:
    server, port, other = make_server(), free_port(), free_port()
    server.write_config(smtp(port))
    server.start_ready()
    (server.data / "broken").touch()
    server.write_config(smtp(port), smtp(other))
    assert "did not start" in str(server.control("reload")[-1].error)
    assert server.connect(port).generation == 1
    (server.data / "broken").unlink()
    assert server.control("reload")[-1].error is None
    server.connect_generation(other, 2)


def test_a_server_whose_workers_do_not_start_gives_up(make_server: MakeServer) -> None:
    server = make_server()
    server.write_config(smtp(free_port()))
    server.data.mkdir()
    (server.data / "broken").touch()
    assert server.start().wait_exit() == 1
    assert server.has_logged("broken as asked")


def test_a_port_in_use_is_said_and_ends_the_start(make_server: MakeServer) -> None:
    server, port = make_server(), free_port()
    with socket.create_server(("127.0.0.1", port)):
        server.write_config(smtp(port))
        assert server.start().wait_exit() == 1
    reason = server.wait_log("server not started")["reason"]
    assert reason == f"cannot listen on 127.0.0.1:{port}: address already in use"


def test_what_keeps_a_server_from_starting_is_said_without_a_traceback(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "p.toml"
    file.write_text(f'hostname = "mail.example.org"\ndata = "{tmp_path}/data"\nuser = "nobody-of-that-name"\n')
    assert run(str(file), load(str(file))) == 1
    told = capfd.readouterr().err
    assert "server not started" in told
    assert "nobody-of-that-name" in told
    assert "traceback" not in told


def test_socket_paths_beyond_107_bytes_work(make_server: MakeServer, tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    server = make_server()
    server.runtime = deep / "run"
    server.write_config(f'service = "lmtp"\nbind = "unix:{deep}/lmtp.sock"')
    server.start_ready()
    assert LineClient(str(deep / "lmtp.sock")).generation == 1
    wait_workers(server)
    assert server.stop() == 0
    assert not (deep / "lmtp.sock").exists()


def test_stale_sockets_of_a_killed_server_are_replaced(make_server: MakeServer, tmp_path: Path) -> None:
    server = make_server()
    server.write_config(f'service = "lmtp"\nbind = "unix:{tmp_path}/lmtp.sock"')
    server.start_ready()
    server.signal(signal.SIGKILL)
    server.wait_exit()
    assert (tmp_path / "lmtp.sock").exists()
    following = make_server().start_ready()
    assert LineClient(str(tmp_path / "lmtp.sock")).greeting.startswith("worker ")
    wait_workers(following)


def test_a_changed_certificate_reaches_workers_without_a_reload(make_server: MakeServer) -> None:
    server, port = make_server(certificates_s=0.1), free_port()
    server.write_config(smtp(port) + '\ntls = "starttls"')
    server.start_ready()
    client = server.connect(port)
    for name in ("self-signed.pem", "self-signed.key"):
        (server.data / name).unlink()
    told = {str(server.wait_log("certificate renewed")["process"]) for _ in range(2)}
    assert told == {"worker 1.0", "worker 1.1"}
    assert server.has_logged("-----BEGIN CERTIFICA")
    assert client.ask("hold") == "held"


def test_descriptors_are_raised_to_the_hard_limit(make_server: MakeServer) -> None:
    server, port = make_server(), free_port()
    server.write_config(smtp(port))
    server.start_ready()
    for pid in [*wait_workers(server), server.pid]:
        lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
        soft, hard = next(line for line in lines if line.startswith("Max open files")).split()[3:5]
        assert soft == hard


def other_user() -> str:
    """Somebody else, where we are root and he can run our interpreter; else ourselves."""
    nobody = pwd.getpwnam("nobody")
    try:
        subprocess.run(
            [sys.executable, "-c", "import msgspec, posthouse"],
            user=nobody.pw_uid,
            check=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            stderr=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return pwd.getpwuid(os.geteuid()).pw_name
    return nobody.pw_name


def uids_of(pid: object) -> set[int]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {int(uid) for uid in next(line for line in lines if line.startswith("Uid:")).split()[1:]}


def test_workers_and_coordinator_become_the_configured_user(make_server: MakeServer) -> None:
    server, port, user = make_server(), free_port(), other_user()
    uid = pwd.getpwnam(user).pw_uid
    with short_directory() as directory:
        os.chmod(directory, 0o755)
        os.chown(directory, uid, -1)
        server.config = Path(directory, "posthouse.toml")
        server.data, server.runtime = Path(directory, "data"), Path(directory, "run")
        server.write_config(smtp(port), extra=f'user = "{user}"')
        server.start_ready()
        for pid in [*wait_workers(server), server.status()["coordinator"]]:
            assert uids_of(pid) == {uid}
        assert uids_of(server.pid) == {os.geteuid()}
        for path in (server.data, server.runtime / "control.sock", server.data / "lock"):
            assert path.stat().st_uid == uid
        assert server.control("reload")[-1].error is None
        server.connect_generation(port, 2)
        assert server.stop() == 0


def test_lists_of_all_workers_come_in_order(make_server: MakeServer) -> None:
    server = make_server()
    server.write_config(smtp(free_port()))
    server.start_ready()
    wait_workers(server)
    *items, done = server.control("queue.list")
    ids = [item.item["id"] for item in items if isinstance(item.item, dict)]
    assert ids == ["000", "001", "010", "011", "020", "021"]
    assert done.done == {"count": 6}
    assert len(server.control("queue.list", limit=3)) == 4
    changed = server.control("queue.change", action="hold", all=True)[-1].done
    assert changed == {"changed": 4, "unknown": [], "unanswered": []}
    assert "unknown action" in str(server.control("queue.change", action="frobnicate")[-1])
    stats = server.control("queue.stats")[-1].done
    assert isinstance(stats, dict)
    assert (stats["messages"], stats["oldest"], stats["states"]["ready"]) == (4, 1000.0, 2)
    assert len(stats["states"]) == 3
    assert "unknown request" in str(server.control("nonsense")[-1].error)


def test_stop_by_the_control_socket(make_server: MakeServer) -> None:
    server = make_server()
    server.write_config(smtp(free_port()))
    server.start_ready()
    assert server.control("stop")[-1].done == {}
    assert server.wait_exit() == 0


def test_figures_of_a_worker_that_died_stay_in_the_sum(make_server: MakeServer) -> None:
    server, port = make_server(), free_port()
    server.write_config(smtp(port))
    server.start_ready()
    wait_workers(server)
    assert "standin_started_total 2\n" in str(server.control("metrics")[-1].done)
    os.kill(server.connect(port).pid, signal.SIGKILL)
    server.wait_log("worker left")
    wait_workers(server)
    text = str(server.control("metrics")[-1].done)
    assert "standin_started_total 3\n" in text
    assert "posthouse_workers 2\n" in text
