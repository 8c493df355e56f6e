"""A wall clock that jumps by days under a running server (Debian's libfaketime): nothing is lost, nothing waits for it.

The supervisor and all that it starts read the time through libfaketime; monotonic time, by which we wait, goes on.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.server_under_load import wait_until
from tests.scenarios.surroundings import Client, Surroundings, put, started

pytestmark = pytest.mark.interop

FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), Path("/nowhere"))


class Shifted(Surroundings):
    """`shift` says by how much the clock is wrong from now on."""

    def __init__(self, base: Path) -> None:
        self._offset = base / "offset"
        self.shift("+0")
        super().__init__(base)

    def shift(self, offset: str) -> None:
        fresh = self._offset.with_suffix(".new")
        fresh.write_text(f"{offset}\n")
        fresh.rename(self._offset)

    def configure(self, workers: int) -> None:
        super().configure(workers)
        self.config.write_text(self.config.read_text().replace('retry = ["2s"]', 'retry = ["1h"]'))

    def environment(self) -> dict[str, str]:
        return {
            **super().environment(),
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(self._offset),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def end_sink(self) -> None:
        """The next hop is down."""
        self._sink.kill()
        self._sink.wait()

    def restart_sink(self) -> None:
        self._sink = self._open_sink()


def statuses(server: Shifted) -> list[str]:
    return [str(recipient["status"]) for message in server.queue() for recipient in message["recipients"]]  # type: ignore[attr-defined]


@pytest.mark.parametrize("offset", ["+6d", "-6d"])
def test_mail_that_waits_is_tried_again_after_a_jump_and_new_mail_goes_on(tmp_path: Path, offset: str) -> None:
    with started(Shifted(tmp_path)) as server:
        server.end_sink()
        assert put(server.port, "before") == 250
        wait_until(lambda: statuses(server) == ["deferred"], 30, "the first attempt has failed")
        server.restart_sink()
        server.shift(offset)
        wait_until(lambda: "before" in server.recorded(), 90, "what waited is tried again, not bounced")
        assert put(server.port, "after") == 250
        wait_until(lambda: "after" in server.recorded(), 30, "new mail is delivered")
        assert "the clock jumped" in server.log
        assert server.recorded() == {"before": 1, "after": 1}
        assert server.stop() == 0


def test_a_session_that_is_open_over_a_jump_goes_on(tmp_path: Path) -> None:
    with started(Shifted(tmp_path)) as server:
        client = Client(server.port)
        assert client.put("one")[0] == 250
        server.shift("+6d")
        assert client.put("two")[0] == 250
        server.shift("-6d")
        assert client.put("three")[0] == 250
        wait_until(lambda: set(server.recorded()) == {"one", "two", "three"}, 60, "all are delivered")
        assert server.stop() == 0
