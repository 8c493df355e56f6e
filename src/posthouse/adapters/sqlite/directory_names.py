"""How directory.db names addresses: domains by A-labels, local parts folded, tags cut off. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from posthouse.message.address import Address, LocalPart, fold_local, to_ascii_domain

MAX_CUTS = 8  # names with more separators than that are cut at the first ones only


class Name(NamedTuple):
    """`local` "" is the catch-all of the domain."""

    domain: str
    local: str


def name_domain(domain: str) -> str:
    """Raises AddressError."""
    return to_ascii_domain(domain).lower()


def name_of(address: Address) -> Name:
    """Raises AddressError."""
    return Name(name_domain(address.domain), fold_local(address.local))


def key_of(address: Address) -> str:
    """One text per name, the same for every spelling. Domains have no "@", so it is not ambiguous."""
    name = name_of(address)
    return f"{name.local}@{name.domain}"


def list_cuts(local: str, separators: str) -> Iterator[tuple[str, str]]:
    """(name, tag), folded and as given, the longest name first; the whole local part leads, without a tag."""
    yield fold_local(local), ""
    places = [place for place, character in enumerate(local) if character in separators and place]
    for place in reversed(places[:MAX_CUTS]):
        yield fold_local(local[:place]), local[place + 1 :]


def add_tag(address: Address, separator: str, tag: str) -> Address:
    return Address(LocalPart(f"{address.local}{separator}{tag}"), address.domain)


def show_alias(address: Address) -> str:
    return str(address) if address.local else f"@{address.domain}"
