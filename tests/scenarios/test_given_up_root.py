"""Started as root with `user = "nobody"`: only the supervisor stays root, and everything on the disk is nobody's.

nobody must be able to run the interpreter and read the package: both are put where everybody may look.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.server_under_load import ROOT, wait_until
from tests.scenarios.surroundings import Client, Surroundings, started

pytestmark = pytest.mark.interop

_ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
_PROGRAM = "from posthouse.app.cli import main; main()"
_NOBODY = pwd.getpwnam("nobody")


@pytest.fixture(scope="module")
def interpreter() -> Iterator[Path]:
    """A virtual environment of Debian's Python with our package in it."""
    directory = Path(tempfile.mkdtemp(prefix="posthouse-nobody-"))
    directory.chmod(0o755)
    mask = os.umask(0o022)
    try:
        python = directory / "bin" / "python"
        subprocess.run(["/usr/bin/python3", "-m", "venv", str(directory)], check=True)
        lock_file = ROOT / "requirements" / "run.txt"
        pip = [str(python), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(lock_file)]
        subprocess.run(pip, check=True, stderr=subprocess.DEVNULL)
        [packages] = directory.glob("lib/python3*/site-packages")
        shutil.copytree(ROOT / "src" / "posthouse", packages / "posthouse")
        yield python
    finally:
        os.umask(mask)
        shutil.rmtree(directory)


class Unprivileged(Surroundings):
    def __init__(self, base: Path, interpreter: Path) -> None:
        self._program = [str(interpreter), "-c", _PROGRAM]
        super().__init__(base, workers=2)

    def configure(self, workers: int) -> None:
        super().configure(workers)
        self.config.write_text('user = "nobody"\n' + self.config.read_text())

    def start(self) -> None:
        with (self.base / "serve.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._program, "-c", str(self.config), "serve"], env=_ENVIRONMENT, stderr=log, stdout=log
            )
        wait_until(self.answers, 30, "the server answers")

    def command(self, *words: str) -> str:
        line = [*self._program, "-c", str(self.config), *words]
        return subprocess.run(line, env=_ENVIRONMENT, capture_output=True, timeout=60, check=True).stdout.decode()


@pytest.fixture
def server(interpreter: Path) -> Iterator[Unprivileged]:
    base = Path(tempfile.mkdtemp(prefix="posthouse-root-"))
    base.chmod(0o755)
    try:
        with started(Unprivileged(base, interpreter)) as running:
            yield running
    finally:
        shutil.rmtree(base)


def ids(pid: int, line: str) -> set[int]:
    """Real, effective, saved and file system ids."""
    for each in Path(f"/proc/{pid}/status").read_text().splitlines():
        if each.startswith(line):
            return {int(number) for number in each.split()[1:]}
    raise AssertionError(line)


def strangers_files(directory: Path) -> list[str]:
    """What is not nobody's."""
    return [str(path) for path in [directory, *directory.rglob("*")] if path.lstat().st_uid != _NOBODY.pw_uid]


@pytest.mark.timeout(200)
def test_only_the_supervisor_is_root_and_all_data_is_nobodys(server: Unprivileged) -> None:
    client = Client(server.port)
    assert [client.put(f"t{number}", octets)[0] for number, octets in enumerate((1000, 400_000))] == [250, 250]
    wait_until(lambda: set(server.recorded()) == {"t0", "t1"}, 30, "both are delivered")

    workers, coordinators = server.children("worker_process"), server.children("coordinator")
    assert (len(workers), len(coordinators)) == (2, 1)
    for pid in [*workers, *coordinators]:
        assert ids(pid, "Uid:") == {_NOBODY.pw_uid}
        assert ids(pid, "Gid:") == {_NOBODY.pw_gid}
        assert ids(pid, "Groups:") <= {_NOBODY.pw_gid}
        assert "CapEff:\t0000000000000000" in Path(f"/proc/{pid}/status").read_text()
    assert ids(server.pid, "Uid:") == {0}
    assert strangers_files(server.base / "data") == []
    assert (server.base / "data").stat().st_mode & 0o777 == 0o700

    assert server.queue() == []
    assert "messages" in server.command("queue", "stats")
    server.command("queue", "hold", "--all")

    old = set(workers)
    os.kill(workers[0], signal.SIGKILL)
    server.reload()
    wait_until(lambda: len(set(server.children("worker_process")) - old) == 2, 40, "new workers run")
    wait_until(lambda: not set(server.children("worker_process")) & old, 40, "the old workers are gone")
    again = Client(server.port)
    assert again.put("t2")[0] == 250
    wait_until(lambda: "t2" in server.recorded(), 30, "mail goes on after a reload")
    assert strangers_files(server.base / "data") == []
    again.close()
    client.close()
    assert server.stop() == 0

    # Root's commands beside a server that does not run leave nothing of root's behind either.
    assert server.queue() == []
    server.command("fsck")
    assert strangers_files(server.base / "data") == []
