"""The part of `posthouse check` about people and their mail: accounts, role addresses, quotas, shards, submission."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator, Sequence

from posthouse.adapters.sqlite.glance import DirectoryGlance, StoreGlance, look_at_directory, look_at_store
from posthouse.app.directory import directory_options, directory_path
from posthouse.app.finding import ERROR, OK, WARNING, Finding
from posthouse.app.privileges import Identity, acting_as
from posthouse.app.store import store_path
from posthouse.config.settings import Listener, Settings
from posthouse.ports.directory import DirectoryError

_SHOWN = 5


def check_mail(settings: Settings, identity: Identity) -> Iterator[Finding]:
    try:
        with acting_as(identity):  # files that SQLite makes must be the server's
            people = look_at_directory(directory_path(settings), directory_options(settings))
            store = look_at_store(store_path(settings))
    except (DirectoryError, OSError) as error:
        yield Finding("accounts", ERROR, str(error))
        return
    yield from judge_people(settings, people)
    yield from judge_store(settings, people, store)
    yield from judge_quotas(people, measure_capacity(settings.data))


def judge_people(settings: Settings, people: DirectoryGlance) -> Iterator[Finding]:
    login = settings.login
    others = (
        login.password_file,
        login.pam_service,
        login.ldap_url,
        login.oauth_keys_url,
        login.oauth_introspection_url,
    )
    if people.without_password and not any(others):
        names = _shorten(people.without_password)
        yield Finding("accounts", WARNING, f"no password: {names} (posthouse account password ADDRESS)")
    if people.lost_roles:
        words = (
            f"nobody gets mail for {_shorten(people.lost_roles)}: it is held. Set postmaster, or make an administrator"
        )
        yield Finding("accounts", WARNING, words)


def _shorten(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def judge_store(settings: Settings, people: DirectoryGlance, store: StoreGlance) -> Iterator[Finding]:
    area = "store"
    for problem in store.problems:
        yield Finding(area, ERROR, problem)
    for number in store.suspect:
        yield Finding(area, ERROR, f"shard {number}: its disk has failed; it is copied at the next start")
    highest = max(settings.store.shards - 1, *store.shards, 0)
    if people.highest_shard > highest:
        yield Finding(area, ERROR, f"accounts lie in shard {people.highest_shard}, which is not there: restore it")
    if store.snapshots:
        words = f"{', '.join(store.snapshots)} of an upgrade: while it is there no body is removed"
        yield Finding(area, WARNING, f"{words}. Remove it when you are sure not to go back")
    if store.shards and not store.problems:
        yield Finding(area, OK, f"{len(store.shards)} shard{'s' if len(store.shards) != 1 else ''} can be read")


def measure_capacity(path: str) -> int | None:
    """Octets of the file system, full or not."""
    try:
        found = os.statvfs(path)
    except OSError:
        return None
    return found.f_blocks * found.f_frsize


def judge_quotas(people: DirectoryGlance, capacity: int | None) -> Iterator[Finding]:
    if capacity is not None and people.quota_octets > capacity:
        words = f"quotas add up to {people.quota_octets >> 20} MiB, the disk has {capacity >> 20}"
        yield Finding("accounts", WARNING, f"{words}: it may be full before they are")


_LOGINS = ("submission", "imap", "pop3")


def check_logins(settings: Settings) -> Iterator[Finding]:
    """Where people log in: passwords are not taken in the clear (trust/login)."""
    for listener in settings.listener:
        if listener.service in _LOGINS and listener.tls == "off" and not _is_loopback(listener):
            words = f"{listener.bind} has no TLS: passwords are not taken there, and mail can be read on its way"
            yield Finding(listener.service, WARNING, words)


def _is_loopback(listener: Listener) -> bool:
    return listener.bind.is_unix or ipaddress.ip_address(listener.bind.host).is_loopback
