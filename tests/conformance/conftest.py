"""The stores that the suite is for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conformance.store_kit import Office, open_memory, open_sqlite


@pytest.fixture(params=[open_memory, open_sqlite], ids=["memory", "sqlite"])
async def office(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Office]:
    async with request.param(tmp_path) as made:
        yield made
