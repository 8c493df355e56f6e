"""A lane: a thread that writes the messages for its Maildirs in cycles.

A cycle: take what waits, write it to `tmp/`, sync, report the cycle before as done, rename into `new/`. The one
sync covers the octets of this cycle and the names of the one before: a busy lane pays one sync per cycle, a single
message two. When many files are at stake the sync is one `syncfs`, else an `fsync` of each file and directory; also
when `syncfs` turns out slow because somebody else is writing much to the same file system.

Guarantees: nothing is reported done before it is durable, nothing is renamed before its octets are. When a sync
fails everything it covered is reported failed, and removed as far as it can be.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence

from posthouse.adapters.durable import FileCalls
from posthouse.adapters.maildir_box import Box, open_box
from posthouse.ports.maildir import MaildirError

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_BATCH = 100
_KEPT_BOXES = 100  # Maildirs of a lane that stay open, two descriptors each
_FEW = 3  # up to so many files and directories, fsync of each is cheaper
_SLOW_SYNC_S = 0.2
_SLOW_PAUSE_S = 10.0


class Call:
    """One call of `deliver`; counts down in the thread of its loop."""

    __slots__ = ("_left", "future", "loop", "results")

    def __init__(self, loop: asyncio.AbstractEventLoop, count: int) -> None:
        self.loop = loop
        self.future: asyncio.Future[None] = loop.create_future()
        self.results: list[MaildirError | None] = [None] * count
        self._left = count

    def finish(self, item: Item) -> None:
        self.results[item.index] = item.error
        self._left -= 1
        if not self._left and not self.future.done():
            self.future.set_result(None)


class Item:
    """One delivery on its way. `fd` is open, and `name` in tmp (then in new), as far as it has come."""

    __slots__ = ("box", "call", "error", "fd", "index", "name", "owns_box", "parts", "path", "root", "size")

    def __init__(self, call: Call, index: int, root: str, path: str) -> None:
        self.call, self.index, self.root, self.path = call, index, root, path
        self.parts: tuple[bytes, bytes] | None = None  # what a lane has yet to write
        self.box: Box | None = None
        self.owns_box = False
        self.fd, self.name, self.size = -1, "", 0
        self.error: MaildirError | None = None

    def fail(self, error: Exception) -> None:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        self.error = MaildirError(f"{self.path}: {reason}")

    def close_file(self) -> None:
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            os.close(fd)


def create_file(item: Item, name: str) -> None:
    """Make the file in `tmp/`. Raises OSError."""
    assert item.box is not None
    item.fd = os.open(name, _NEW_FILE, 0o600, dir_fd=item.box.tmp_fd)
    item.name = name


def discard_file(item: Item, *, published: bool = False) -> None:
    """Close and remove what there is of a failed delivery, as far as that is possible."""
    try:
        item.close_file()
        if item.box is not None and item.name:
            os.unlink(item.name, dir_fd=item.box.new_fd if published else item.box.tmp_fd)
    except OSError:
        return  # what stays in tmp/ is ignored by readers; in new/ it is a duplicate at worst
    finally:
        _release_box(item)


def _release_box(item: Item) -> None:
    if item.owns_box and item.box is not None:
        item.box.close()
        item.owns_box = False


class Lane:
    """`submit` from any loop's thread, `close` from outside it. The thread starts with the first item."""

    def __init__(self, files: FileCalls, make_name: Callable[[], str], monotonic: Callable[[], float]) -> None:
        self._files, self._make_name, self._monotonic = files, make_name, monotonic
        self._waiting: deque[Item] = deque()
        self._wakeup = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._boxes: OrderedDict[str, Box] = OrderedDict()
        self._retired: list[Box] = []
        self._device_fds: dict[int, int] = {}
        self._paused_until = 0.0

    def submit(self, items: Sequence[Item]) -> None:
        with self._wakeup:
            self._waiting.extend(items)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="maildir", daemon=True)
                self._thread.start()
            self._wakeup.notify()

    def close(self) -> None:
        with self._wakeup:
            self._closed = True
            self._wakeup.notify()
        if self._thread is not None:
            self._thread.join()

    def _take(self, wait: bool) -> list[Item]:
        """What waits. With `wait` nothing comes only at the end."""
        with self._wakeup:
            while wait and not self._waiting and not self._closed:
                self._wakeup.wait()
            waiting = self._waiting
            return [waiting.popleft() for _ in range(min(len(waiting), _MAX_BATCH))]

    def _run(self) -> None:
        renamed: list[Item] = []
        while True:
            batch = self._take(wait=not renamed)
            if not batch and not renamed:
                break
            renamed = self._guarded_cycle(batch, renamed)
        for box in [*self._boxes.values(), *self._retired]:
            box.close()
        for fd in self._device_fds.values():
            os.close(fd)

    def _guarded_cycle(self, batch: list[Item], before: list[Item]) -> list[Item]:
        """A defect of ours fails the messages in hand, not the lane."""
        try:
            return self._cycle(batch, before)
        except Exception as error:  # noqa: BLE001  the lane must live on
            for item in (*batch, *before):
                item.fail(error)
            self._finish(before, published=True)
            self._finish(batch, published=False)
            return []

    def _cycle(self, batch: list[Item], before: list[Item]) -> list[Item]:
        """One cycle; gives back what it renamed, which the next one makes durable."""
        for item in batch:
            self._find_box(item)
        whole = self._may_sync_whole(batch, before)
        for item in batch:
            if item.error is None:
                self._write(item, whole)
        written = [item for item in batch if item.error is None]
        if whole:
            self._sync_whole(written, before)
        else:
            self._sync_each(written, before)
        published = [item for item in written if item.error is None and self._publish(item)]
        self._finish(before, published=True)
        self._finish([item for item in batch if item.error is not None], published=False)
        self._trim(published)
        return published

    # Maildirs

    def _find_box(self, item: Item) -> None:
        if item.box is not None:
            return
        box = self._boxes.get(item.path)
        if box is not None and box.is_at(item.path):
            self._boxes.move_to_end(item.path)
        else:
            box = self._open(item)
        item.box = box

    def _open(self, item: Item) -> Box | None:
        stale = self._boxes.pop(item.path, None)
        if stale is not None:
            self._retired.append(stale)
        try:
            box = self._boxes[item.path] = open_box(item.root, item.path, self._files)
        except (OSError, ValueError) as error:  # ValueError: a path that no file system can have
            item.fail(error)
            return None
        return box

    def _trim(self, published: Iterable[Item]) -> None:
        """Close Maildirs beyond the limit, but none that the next cycle needs."""
        while len(self._boxes) > _KEPT_BOXES:
            self._retired.append(self._boxes.popitem(last=False)[1])
        if self._retired:
            needed = {item.box for item in published}
            for box in self._retired:
                if box not in needed:
                    box.close()
            self._retired = [box for box in self._retired if box in needed]

    # Files

    def _write(self, item: Item, whole: bool) -> None:
        try:
            if item.parts is not None:
                self._create(item)
                data = b"".join(item.parts).replace(b"\r\n", b"\n")
                item.parts, item.size = None, len(data)
                self._files.write(item.fd, data)
            if whole:
                item.close_file()
        except OSError as error:
            item.fail(error)

    def _create(self, item: Item) -> None:
        try:
            create_file(item, self._make_name())
        except FileNotFoundError:  # tmp/ itself was removed under us
            item.box = self._open(item)
            if item.box is None:
                raise
            create_file(item, self._make_name())

    def _publish(self, item: Item) -> bool:
        assert item.box is not None
        target = f"{item.name},S={item.size}"
        try:
            item.close_file()
            self._files.rename(item.name, target, item.box.tmp_fd, item.box.new_fd)
        except OSError as error:
            item.fail(error)
            return False
        item.name = target
        return True

    # Syncs

    def _may_sync_whole(self, batch: list[Item], before: list[Item]) -> bool:
        items = [item for item in (*batch, *before) if item.box is not None]
        if len(items) <= _FEW or self._monotonic() < self._paused_until:
            return False
        return all(self._open_device(box) for box in {item.box for item in items} if box is not None)

    def _open_device(self, box: Box) -> bool:
        """Have a descriptor for syncfs of the file system; opened before the writes whose errors it must report."""
        if box.device not in self._device_fds:
            if not self._files.can_syncfs(box.device):
                return False
            self._device_fds[box.device] = os.dup(box.new_fd)
        return True

    def _sync_whole(self, written: list[Item], before: list[Item]) -> None:
        started = self._monotonic()
        for device in {item.box.device for item in (*written, *before) if item.box is not None}:
            try:
                self._files.syncfs(self._device_fds[device])
            except OSError as error:
                for item in (*written, *before):
                    if item.box is not None and item.box.device == device:
                        item.fail(error)
        ended = self._monotonic()
        if ended - started > _SLOW_SYNC_S:
            self._paused_until = ended + _SLOW_PAUSE_S

    def _sync_each(self, written: list[Item], before: list[Item]) -> None:
        for item in written:
            try:
                self._files.fsync(item.fd)
            except OSError as error:
                item.fail(error)
        by_box: dict[Box, list[Item]] = {}
        for item in before:
            if item.box is not None:
                by_box.setdefault(item.box, []).append(item)
        for box, items in by_box.items():
            try:
                self._files.fsync(box.new_fd)
            except OSError as error:
                for item in items:
                    item.fail(error)

    # The end of an item

    def _finish(self, items: list[Item], *, published: bool) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[Item]] = {}
        for item in items:
            if item.error is not None:
                discard_file(item, published=published)
            else:
                _release_box(item)
            by_loop.setdefault(item.call.loop, []).append(item)
        for loop, finished in by_loop.items():
            try:
                loop.call_soon_threadsafe(_finish_all, finished)
            except RuntimeError:
                continue  # the loop was closed: nobody waits any more


def _finish_all(items: list[Item]) -> None:
    for item in items:
        item.call.finish(item)
