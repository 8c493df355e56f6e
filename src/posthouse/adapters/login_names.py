"""Names that another service is asked about, made from a login name by a template of the configuration. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

_WORDS: Final = re.compile(r"\{(address|local|domain)\}")


def fill_in(template: str, login: str, escape: Callable[[str], str] = str) -> str:
    """`{address}`, `{local}` and `{domain}` of `login`, each escaped; other braces stay as they are."""
    local, _, domain = login.rpartition("@")
    words = {"address": login, "local": local or login, "domain": domain if local else ""}
    return _WORDS.sub(lambda found: escape(words[found[1]]), template)
