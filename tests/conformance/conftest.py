"""The stores that the suite is for."""

from __future__ import annotations

import pytest

from tests.conformance.store_kit import Office, open_memory


@pytest.fixture(params=[open_memory], ids=["memory"])
def office(request: pytest.FixtureRequest) -> Office:
    made: Office = request.param()
    return made
