"""The directory an export goes to: nobody else's files are overwritten, and an export cut short can go on.

A note in the directory says that an export of this account is under way; it goes when everything is durable.
"""

from __future__ import annotations

import os
from contextlib import suppress
from hashlib import sha256

from posthouse.message.modified_utf7 import encode_name
from posthouse.ports.transfer import TransferError

NOTE = ".posthouse-export"
_MAX_FILE_NAME = 200  # octets, with room for a suffix


def open_folder(directory: str, what: str) -> None:
    """`what` is exported there. Raises TransferError when something else is there already."""
    try:
        os.makedirs(directory, 0o700, exist_ok=True)
        if os.listdir(directory):
            _check_note(directory, what)
        else:
            with open(f"{directory}/{NOTE}", "x", encoding="utf-8") as note:
                note.write(what)
    except OSError as error:
        raise as_transfer_error(error) from error


def _check_note(directory: str, what: str) -> None:
    with suppress(FileNotFoundError), open(f"{directory}/{NOTE}", encoding="utf-8") as note:
        if note.read() == what:
            return
        raise TransferError(f"{directory}: has an unfinished export of something else")
    raise TransferError(f"{directory}: is not empty")


def close_folder(directory: str) -> None:
    """Everything in it is durable, then the note goes."""
    try:
        os.sync()
        os.unlink(f"{directory}/{NOTE}")
    except OSError as error:
        raise as_transfer_error(error) from error


def as_transfer_error(error: OSError) -> TransferError:
    return TransferError(f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror))


def file_name(name: str, escaped: str) -> str:
    """The name of a mailbox as one of a file: modified UTF-7, `escaped` characters as Dovecot's listescape does."""
    for each in ("\\", *escaped):
        name = name.replace(each, f"\\{ord(each):02x}")
    written = encode_name(name).decode()
    if len(written) > _MAX_FILE_NAME:
        written = f"{written[:_MAX_FILE_NAME]}~{sha256(written.encode()).hexdigest()[:8]}"
    return written
