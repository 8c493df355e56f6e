"""Several sessions on one mailbox in random order: none sees a number or a flag that cannot be, and all agree with the
store in the end (RFC 9051 §5.2, §5.5, §7.4.1).
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.access.many_sessions_kit import VERBS, Crowd, Op, in_memory, on_sqlite
from tests.access.mirror_kit import KINDS

Result = TypeVar("Result")
OPS = st.tuples(st.integers(0, 3), st.sampled_from(VERBS), st.integers(0, 10_000))


class CrowdMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = TemporaryDirectory()
        self.crowd: Crowd | None = None
        self.opened: AbstractAsyncContextManager[Crowd] | None = None

    def open(self, path: Path, random: Random) -> AbstractAsyncContextManager[Crowd]:
        return in_memory(path, random)

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self.runner.run(work)

    @initialize(
        kinds=st.lists(st.sampled_from(KINDS), min_size=2, max_size=4),
        count=st.integers(0, 5),
        seed=st.integers(0, 1_000),
    )
    def begin(self, kinds: list[Any], count: int, seed: int) -> None:
        self.opened = self.open(Path(self.folder.name), Random(seed))
        self.crowd = self.run(self.opened.__aenter__())
        self.run(self.crowd.begin(kinds, count))

    @rule(ops=st.lists(OPS, min_size=1, max_size=5))
    def happen(self, ops: list[Op]) -> None:
        assert self.crowd is not None
        self.run(self.crowd.do(*ops))

    @rule()
    def agree(self) -> None:
        assert self.crowd is not None
        self.run(self.crowd.conclude())

    def teardown(self) -> None:
        try:
            if self.crowd is not None:
                self.run(self.crowd.conclude())
        finally:
            if self.crowd is not None and self.opened is not None:
                self.crowd.end()
                self.run(self.opened.__aexit__(None, None, None))
            self.runner.close()
            self.folder.cleanup()


class LargeMachine(CrowdMachine):
    """All mailboxes are selected by their counters alone."""

    def open(self, path: Path, random: Random) -> AbstractAsyncContextManager[Crowd]:
        return in_memory(path, random, large_mailbox=0)


class SqliteMachine(CrowdMachine):
    def open(self, path: Path, random: Random) -> AbstractAsyncContextManager[Crowd]:
        return on_sqlite(path, random)


class LargeSqliteMachine(CrowdMachine):
    def open(self, path: Path, random: Random) -> AbstractAsyncContextManager[Crowd]:
        return on_sqlite(path, random, large_mailbox=0)


_QUICK = settings(
    max_examples=12,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
_FEW = settings(_QUICK, max_examples=3)
_LONG = settings(_QUICK, max_examples=1_000, stateful_step_count=40)

TestInMemory = CrowdMachine.TestCase
TestInMemory.settings = _QUICK
TestLargeInMemory = LargeMachine.TestCase
TestLargeInMemory.settings = _QUICK
TestOnSqlite = SqliteMachine.TestCase
TestOnSqlite.settings = _FEW
TestLargeOnSqlite = LargeSqliteMachine.TestCase
TestLargeOnSqlite.settings = _FEW


@pytest.mark.soak
@pytest.mark.parametrize("machine", [CrowdMachine, LargeMachine, SqliteMachine, LargeSqliteMachine])
def test_many_sessions_for_long(machine: type[CrowdMachine]) -> None:
    run_state_machine_as_test(machine, settings=_LONG)
