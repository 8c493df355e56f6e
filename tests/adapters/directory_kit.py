"""A directory of two domains and an alias domain, open for an administrator and for a worker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from posthouse.adapters.sqlite.directory import DirectoryOptions, SqliteDirectory
from posthouse.adapters.sqlite.directory_admin import SqliteDirectoryAdmin, open_directory
from posthouse.message.address import Address, Domain, LocalPart, parse_address
from posthouse.ports.clock import FakeClock
from posthouse.ports.directory import Account
from posthouse.ports.directory_admin import NewAccount


@dataclass(slots=True)
class Town:
    path: str
    clock: FakeClock
    admin: SqliteDirectoryAdmin
    worker: SqliteDirectory

    def settle(self, *addresses: str) -> list[Account]:
        return [self.admin.add_account(NewAccount(parse_address(address))) for address in addresses]

    def alias(self, address: str, *targets: str) -> None:
        name = parse_address(address) if not address.startswith("@") else catch_all(address[1:])
        self.admin.add_alias(name, [parse_address(target) for target in targets])

    def expand(self, address: str) -> list[str]:
        return [str(target) for target in self.worker.expand(parse_address(address))]

    def owner(self, address: str) -> tuple[int, str] | None:
        found = self.worker.mailbox_of(parse_address(address))
        return None if found is None else (found.account, found.detail)

    def standing(self, address: str) -> str:
        return self.worker.look_up(parse_address(address)).value


def catch_all(domain: str) -> Address:
    return Address(LocalPart(""), Domain(domain))


@contextmanager
def open_town(
    directory: Path, options: DirectoryOptions | None = None, shards: int = 1, page: int = 500
) -> Iterator[Town]:
    path, clock = str(directory / "directory.db"), FakeClock()
    admin = SqliteDirectoryAdmin(path, clock, options, shards, page=page)
    worker = open_directory(path, options)
    if not admin.list_domains():
        admin.add_domain("example.org")
        admin.add_domain("bücher.example")
        admin.add_domain("other.example", "example.org")
    try:
        yield Town(path, clock, admin, worker)
    finally:
        worker.close()
        admin.close()
