"""Nothing is shared between tests but what this file says: each makes its own world."""

from __future__ import annotations

from hypothesis import settings

# A busy machine is no failure: pytest-timeout ends what hangs.
settings.register_profile("posthouse", deadline=None)
settings.load_profile("posthouse")
