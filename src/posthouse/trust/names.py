"""One spelling of what people type as a login name, so that names that do not exist are counted and answered like those
that do. Pure. Domain aliases only the directory knows: it has a `spell_login` of its own, which goes on from here.
"""

from __future__ import annotations

from posthouse.message.address import AddressError, fold_local, parse_address, to_ascii_domain


def spell_login(login: str) -> str:
    try:
        address = parse_address(login)
        return f"{fold_local(address.local)}@{to_ascii_domain(address.domain).lower()}"
    except AddressError:
        return login.casefold()
