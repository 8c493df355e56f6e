"""Who carries out what a command asks: the running server, or this process on the files when there is none.

Both answer alike, so that a command need not know which it has. The lock of the data directory decides: who gets it
works on the files, else its holder is asked.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from posthouse.app.control_client import Control, ControlError, connect
from posthouse.app.lockfile import LockHeldError, take_lock
from posthouse.config.settings import Settings


@contextlib.contextmanager
def open_control(settings: Settings, what: str) -> Iterator[Control]:
    """The running server, or the files when there is none. `what` names us to others who want the lock."""
    try:
        lock = take_lock(os.path.join(settings.data, "lock"), what)
    except LockHeldError as error:
        with contextlib.closing(connect(settings, str(error))) as client:
            yield client
        return
    except OSError as error:
        raise ControlError(f"{settings.data}: {error.strerror}") from None
    from posthouse.app.offline import OfflineControl  # most of the program: not for those who ask a server

    try:
        with contextlib.closing(OfflineControl(settings)) as offline:
            yield offline
    finally:
        lock.release()
