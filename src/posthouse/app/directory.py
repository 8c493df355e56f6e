"""The directory of a server: who reads it, who writes it, and how it goes together with the routes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from posthouse.adapters.clock import SystemClock
from posthouse.adapters.sqlite.directory import DirectoryOptions, SqliteDirectory
from posthouse.adapters.sqlite.directory_admin import FILE, SqliteDirectoryAdmin, open_directory
from posthouse.config.settings import Settings
from posthouse.message.address import parse_address


def directory_path(settings: Settings) -> str:
    return os.path.join(settings.data, FILE)


def directory_options(settings: Settings) -> DirectoryOptions:
    directory = settings.directory
    return DirectoryOptions(
        separators=directory.subaddress,
        postmaster=parse_address(settings.postmaster) if settings.postmaster else None,
        max_targets=directory.max_targets,
        max_depth=directory.max_alias_depth,
        cache_entries=directory.cache_entries,
    )


def open_for_worker(settings: Settings) -> SqliteDirectory:
    """`config.directory.CombinedDirectory` puts the routes behind it. Raises DirectoryError."""
    return open_directory(directory_path(settings), directory_options(settings))


def open_for_admin(settings: Settings) -> SqliteDirectoryAdmin:
    """For commands, which have become `user` before, and threads. Raises DirectoryError."""
    os.makedirs(settings.data, 0o700, exist_ok=True)
    shards = settings.store.shards
    return SqliteDirectoryAdmin(directory_path(settings), SystemClock(), directory_options(settings), shards)


@contextlib.contextmanager
def lend_admin(settings: Settings) -> Iterator[SqliteDirectoryAdmin]:
    """Open for writing for a moment."""
    admin = open_for_admin(settings)
    try:
        yield admin
    finally:
        admin.close()
