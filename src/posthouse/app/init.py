"""`posthouse init`: a commented configuration and a data directory. Never overwrites anything."""

from __future__ import annotations

import os
from dataclasses import dataclass

from posthouse.config.describe import render_example
from posthouse.config.reader import parse


class InitError(Exception):
    """Nothing was written, or not all; the message says what is in the way."""


@dataclass(frozen=True, slots=True)
class Written:
    file: str
    data: str
    mail_root: str


def initialise(file: str, hostname: str, domain: str, data: str) -> Written:
    """Raises InitError, ConfigError when a name is not valid."""
    data = os.path.abspath(data)
    mail_root = os.path.join(data, "mail")
    text = render_example(hostname, domain, data, mail_root)
    parse(text, file)
    if os.path.lexists(file):
        raise InitError(f"{file} is already there; it is not overwritten")
    try:
        for directory in (data, mail_root):  # directories of mailboxes are only made below one that is there
            if not os.path.isdir(directory):
                os.makedirs(directory, 0o700)
        os.makedirs(os.path.dirname(os.path.abspath(file)), exist_ok=True)
        with open(file, "x", encoding="utf-8") as stream:
            stream.write(text)
        os.chmod(file, 0o644)
    except OSError as error:
        raise InitError(f"{error.filename}: {error.strerror}") from None
    return Written(file, data, mail_root)
