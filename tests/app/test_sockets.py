"""Listening sockets, locks, packets with descriptors, service manager: the small parts around processes."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import pytest

from posthouse.app.launch import Launch, encode_launch, make_memfd, take_launch
from posthouse.app.lockfile import LockHeldError, take_lock
from posthouse.app.notify import Notifier
from posthouse.app.packets import PacketEnd, make_pair
from posthouse.app.privileges import Identity, PrivilegeError, acting_as, become, find_identity, make_directory
from posthouse.app.sockets import BindError, Listening, connect_unix, open_listener, peer_uid, short_path
from posthouse.config.kinds import Bind

ME = find_identity(None)


@pytest.fixture
def opened() -> Iterator[list[Listening]]:
    listeners: list[Listening] = []
    yield listeners
    for each in listeners:
        each.close(ME)


def listen(opened: list[Listening], bind: Bind, mode: int = 0o600) -> socket.socket:
    opened.append(open_listener(bind, 16, ME, mode))
    return opened[-1].socket


@pytest.mark.parametrize("length", [10, 107, 108, 250, 900])
def test_unix_sockets_of_any_path_length(opened: list[Listening], tmp_path: Path, length: int) -> None:
    directory = tmp_path
    while len(str(directory / "s.sock")) < length:
        directory /= "d" * min(200, max(1, length - len(str(directory / "s.sock")) - 1))
    directory.mkdir(parents=True, exist_ok=True)
    path = str(directory / "s.sock")
    listener = listen(opened, Bind(path=path))
    with connect_unix(path) as client:
        accepted, _ = listener.accept()
        with accepted:
            assert peer_uid(accepted) == os.geteuid() == peer_uid(client)
    opened.pop().close(ME)
    assert not os.path.exists(path)


def test_a_unix_socket_has_its_mode_whatever_the_umask(opened: list[Listening], tmp_path: Path) -> None:
    mask = os.umask(0o077)
    try:
        listen(opened, Bind(path=str(tmp_path / "s.sock")), 0o666)
        assert stat.S_IMODE((tmp_path / "s.sock").stat().st_mode) == 0o666
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(mask)


def test_a_live_socket_and_other_files_are_not_replaced_a_stale_one_is(opened: list[Listening], tmp_path: Path) -> None:
    live, other, stale = (tmp_path / name for name in ("live", "other", "stale"))
    listen(opened, Bind(path=str(live)))
    with pytest.raises(BindError, match="another process listens"):
        open_listener(Bind(path=str(live)), 16, ME)
    other.write_text("precious")
    with pytest.raises(BindError, match="no socket"):
        open_listener(Bind(path=str(other)), 16, ME)
    assert other.read_text() == "precious"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(stale))
    listen(opened, Bind(path=str(stale)))
    connect_unix(str(stale)).close()


def test_an_ipv6_listener_takes_ipv6_only(opened: list[Listening]) -> None:
    six = listen(opened, Bind("::1", 0))
    assert six.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
    assert not six.getblocking()
    port = listen(opened, Bind("::", 0)).getsockname()[1]
    listen(opened, Bind("0.0.0.0", port))


@pytest.mark.parametrize(
    ("bind", "words"),
    [
        (Bind("203.0.113.77", 2525), "this machine does not have that address"),
        (Bind(path="/nonexistent/s.sock"), "no such file or directory"),
    ],
)
def test_what_cannot_be_bound_is_named_with_its_reason(bind: Bind, words: str) -> None:
    with pytest.raises(BindError, match=words) as caught:
        open_listener(bind, 16, ME)
    assert str(bind) in str(caught.value)


def test_a_short_path_is_used_as_it_is(tmp_path: Path) -> None:
    with short_path("/run/x.sock") as short:
        assert short == "/run/x.sock"


# -- the lock


def test_the_holder_of_the_lock_is_named(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    lock = take_lock(path, "posthouse fsck")
    with pytest.raises(LockHeldError, match=f"posthouse fsck, process {os.getpid()}"):
        take_lock(path, "posthouse serve", 30.0)
    lock.release()
    take_lock(path, "posthouse serve").release()


def test_children_that_inherited_the_lock_hold_it(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    lock = take_lock(path, "posthouse serve")
    code = "import sys; sys.stdin.read()"
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, pass_fds=[lock.descriptor])
    lock.release()
    with open(path, "w") as stream:
        stream.write(f"{_dead_pid()} posthouse serve\n")
    with pytest.raises(LockHeldError):
        take_lock(path, "posthouse serve")
    child.communicate()
    take_lock(path, "posthouse serve").release()


def test_the_next_server_waits_for_what_is_left_of_a_dead_one(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    lock = take_lock(path, "posthouse serve")
    with open(path, "w") as stream:
        stream.write(f"{_dead_pid()} posthouse serve\n")
    child = subprocess.Popen([sys.executable, "-c", "import os"], pass_fds=[lock.descriptor])
    lock.release()
    take_lock(path, "posthouse serve", 30.0).release()
    child.wait()


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("precious")
    (tmp_path / "lock").symlink_to(tmp_path / "target")
    with pytest.raises(OSError):
        take_lock(str(tmp_path / "lock"), "posthouse serve")
    assert (tmp_path / "target").read_text() == "precious"


def _dead_pid() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


# -- launching


def test_what_a_child_is_given_cannot_be_changed_and_can_be_read_by_path() -> None:
    descriptor = make_memfd("certificate", b"x" * 200_000)
    assert Path(f"/proc/self/fd/{descriptor}").read_bytes() == b"x" * 200_000
    with pytest.raises(OSError):
        os.write(descriptor, b"y")
    with pytest.raises(OSError):
        os.truncate(descriptor, 0)
    assert fcntl.fcntl(descriptor, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    os.close(descriptor)


def test_a_launch_arrives_whole_and_is_not_inherited_further() -> None:
    reading, writing = os.pipe()
    os.set_inheritable(reading, True)
    launch = Launch(
        index=3,
        worker_count=4,
        generation=2,
        config_file="/etc/posthouse/posthouse.toml",
        config_text='hostname = "mail.example.org"',
        runtime="/run/posthouse",
        channel=reading,
        server_uid=1000,
        listeners=[reading],
        files={"/etc/posthouse/secret": b"\x00\xff"},
    )
    taken = take_launch([str(encode_launch(launch))])
    assert taken == launch
    assert taken.descriptors == [reading, reading]
    assert not os.get_inheritable(reading)
    assert taken.link_path == "/run/posthouse/coordinator.sock"
    os.close(reading)
    os.close(writing)


class Heard:
    def __init__(self) -> None:
        self.packets: list[tuple[str, Mapping[str, object], Sequence[int]]] = []

    def __call__(self, op: str, args: Mapping[str, object], descriptors: Sequence[int]) -> None:
        self.packets.append((op, args, descriptors))


def test_packets_keep_their_edges_and_their_descriptors() -> None:
    heard = Heard()
    ours, theirs = make_pair()
    sender, receiver = PacketEnd(ours, heard), PacketEnd(theirs, heard)
    memfd = make_memfd("key", b"secret")
    assert sender.send("tls", {"n": 1}, [memfd, memfd])
    assert sender.send("stop", {"deadline_s": 2.5})
    receiver.on_readable()
    (tls, args, descriptors), stop = heard.packets
    assert (tls, args) == ("tls", {"n": 1})
    assert [Path(f"/proc/self/fd/{number}").read_bytes() for number in descriptors] == [b"secret"] * 2
    assert stop == ("stop", {"deadline_s": 2.5}, [])
    for number in (memfd, *descriptors):
        os.close(number)
    sender.close()
    receiver.on_readable()
    assert not receiver.is_open
    assert not receiver.send("beat")
    receiver.close()


def test_a_child_that_hangs_costs_packets_not_time() -> None:
    ours, theirs = make_pair()
    sender = PacketEnd(ours, Heard())
    sent = 0
    while sender.send("beat", {"fill": "x" * 1000}) and sent < 100_000:
        sent += 1
    assert 0 < sent < 100_000
    sender.close()
    theirs.close()


def test_a_packet_that_is_none_is_dropped_with_its_descriptors() -> None:
    heard = Heard()
    ours, theirs = make_pair()
    receiver = PacketEnd(theirs, heard)
    memfd = make_memfd("key", b"secret")
    before = len(os.listdir("/proc/self/fd"))
    socket.send_fds(ours, [b"\xc1 nonsense"], [memfd])
    ours.send(msgspec.msgpack.encode({"op": "beat"}))
    receiver.on_readable()
    assert [op for op, _, _ in heard.packets] == ["beat"]
    assert len(os.listdir("/proc/self/fd")) == before
    os.close(memfd)
    ours.close()
    receiver.close()


# -- service manager and privileges


@pytest.mark.parametrize("is_abstract", [False, True])
def test_the_service_manager_hears_of_us_and_children_do_not_speak_for_us(tmp_path: Path, is_abstract: bool) -> None:
    address = f"@posthouse-test-{os.getpid()}" if is_abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + address[1:] if is_abstract else address)
        manager.settimeout(10)
        environment = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "20000000", "WATCHDOG_PID": str(os.getpid())}
        notifier = Notifier(environment)
        assert environment == {}
        assert notifier.interval_s == 10.0
        notifier.ready("2 workers")
        notifier.reloading(12.5)
        notifier.alive()
        notifier.stopping()
        heard = [manager.recv(1000).decode() for _ in range(4)]
    assert heard == [
        "READY=1\nSTATUS=2 workers",
        "RELOADING=1\nMONOTONIC_USEC=12500000",
        "WATCHDOG=1",
        "STOPPING=1",
    ]


def test_without_a_service_manager_nothing_happens() -> None:
    notifier = Notifier({"WATCHDOG_USEC": "20000000"})
    assert notifier.interval_s == 0.0
    notifier.ready("")
    Notifier({"NOTIFY_SOCKET": "/nonexistent"}).ready("")
    assert Notifier({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "2", "WATCHDOG_PID": "1"}).interval_s == 0.0


def test_a_user_that_does_not_exist_is_said() -> None:
    with pytest.raises(PrivilegeError, match="does not exist"):
        find_identity("no-such-user-here")


def test_staying_who_we_are_changes_nothing(tmp_path: Path) -> None:
    assert not ME.is_other
    with acting_as(ME):
        assert os.geteuid() == ME.uid
    become(ME)
    make_directory(str(tmp_path / "a" / "b"), 0o700, ME)
    os.chmod(tmp_path / "a" / "b", 0o755)
    make_directory(str(tmp_path / "a" / "b"), 0o700, ME)
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700


def test_a_directory_of_somebody_else_keeps_its_mode(tmp_path: Path) -> None:
    stranger = Identity("stranger", ME.uid + 1, ME.gid, ME.groups, is_other=False)
    os.chmod(tmp_path, 0o755)
    make_directory(str(tmp_path), 0o700, stranger)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
