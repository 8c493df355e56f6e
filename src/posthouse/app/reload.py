"""Everything one configuration needs from the world, read and checked before anything is changed.

A `Setup` is what generations of workers are started from. `prepare` makes a new one beside the one that runs:
listeners that stay the same keep their socket (and its backlog), new ones are opened, and if anything fails the
running setup is as it was. `data`, `runtime` and `user` cannot change without a restart.

Runs in the supervisor, perhaps as root: files named by the configuration are read with its rights, files in the
data directory only with the rights of `user`.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

from posthouse.adapters.net.tls import make_self_signed, make_server_context
from posthouse.app.launch import make_memfd, tls_files
from posthouse.app.privileges import Identity, acting_as
from posthouse.app.sockets import BindError, Listening, open_listener
from posthouse.config.lines import Path, find_lines
from posthouse.config.reader import ConfigError, Problem, key_name, parse
from posthouse.config.settings import Settings
from posthouse.ports.observe import Log

_MAX_FILE = 16 << 20
_FIXED = ("data", "runtime", "user")
_CERTIFICATE: Path = ("tls", "certificate")
_KEY: Path = ("tls", "key")


@dataclass(frozen=True, slots=True)
class Configuration:
    """The text as it was read, and what it means."""

    file: str
    text: str
    settings: Settings


@dataclass(slots=True)
class Certificate:
    """Octets, to see a change, and the memfds that processes are given."""

    chain: bytes
    key: bytes
    chain_fd: int
    key_fd: int

    def close(self) -> None:
        os.close(self.chain_fd)
        os.close(self.key_fd)


@dataclass(slots=True)
class Setup:
    """`listeners` in the order of `settings.listener`."""

    configuration: Configuration
    certificate: Certificate
    files: dict[str, bytes]
    listeners: list[Listening]

    @property
    def settings(self) -> Settings:
        return self.configuration.settings


def read_configuration(file: str) -> Configuration:
    """Raises ConfigError, with file, line and key."""
    try:
        with open(file, "rb") as stream:
            text = stream.read(_MAX_FILE).decode()
    except OSError as error:
        raise ConfigError([Problem(file, 0, "", f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([Problem(file, 0, "", f"is not UTF-8 (octet {error.start})")]) from None
    return Configuration(file, text, parse(text, file))


def prepare(configuration: Configuration, identity: Identity, log: Log, running: Setup | None = None) -> Setup:
    """A setup for `configuration`. Raises ConfigError or BindError, and then nothing has changed."""
    settings = configuration.settings
    if running is not None:
        _check_fixed(configuration, running)
    files = _read_files(configuration)
    certificate = read_certificate(configuration, identity)
    if settings.tls.certificate is None and any(listener.tls != "off" for listener in settings.listener):
        log.warning("no certificate is configured: a self-signed one in the data directory is used")
    try:
        listeners = _open_listeners(settings, identity, running)
    except BaseException:
        certificate.close()
        raise
    return Setup(configuration, certificate, files, listeners)


def discard(setup: Setup, identity: Identity, running: Setup | None = None) -> None:
    """Close what `setup` has and `running` has not; files of unix sockets go with them."""
    setup.certificate.close()
    kept = running.listeners if running is not None else []
    for opened in setup.listeners:
        if opened not in kept:
            opened.close(identity)


# -- certificates


def read_certificate(configuration: Configuration, identity: Identity) -> Certificate:
    """The certificate and key, checked to belong together. Raises ConfigError."""
    settings = configuration.settings
    chain, key = _read_pair(configuration, identity)
    certificate = Certificate(chain, key, make_memfd("certificate", chain), make_memfd("key", key))
    files = tls_files(certificate.chain_fd, certificate.key_fd)
    try:
        make_server_context(files.certificate, files.key)
    except (ssl.SSLError, OSError) as error:
        certificate.close()
        named = f"{settings.tls.certificate} and {settings.tls.key}"
        raise _problem(configuration, _CERTIFICATE, f"{named} are no certificate and its key: {error}") from None
    return certificate


def _read_pair(configuration: Configuration, identity: Identity) -> tuple[bytes, bytes]:
    settings = configuration.settings
    if settings.tls.certificate is not None and settings.tls.key is not None:
        return (
            _read_file(configuration, _CERTIFICATE, settings.tls.certificate),
            _read_file(configuration, _KEY, settings.tls.key),
        )
    certificate, key = (os.path.join(settings.data, name) for name in ("self-signed.pem", "self-signed.key"))
    with acting_as(identity):
        if not (os.path.exists(certificate) and os.path.exists(key)):
            make_self_signed(settings.hostname, certificate, key)
        return (
            _read_file(configuration, _CERTIFICATE, certificate),
            _read_file(configuration, _KEY, key),
        )


# -- files


def _read_files(configuration: Configuration) -> dict[str, bytes]:
    return {name: _read_file(configuration, path, name) for path, name in _named_files(configuration.settings)}


def _named_files(settings: Settings) -> Iterator[tuple[Path, str]]:
    """Files that workers need and perhaps may not read themselves, with the keys that name them."""
    for number, route in enumerate(settings.route):
        if route.password_file is not None:
            yield ("route", number, "password_file"), route.password_file
        if route.recipients_file is not None:
            yield ("route", number, "recipients_file"), route.recipients_file
    if settings.provider_rules.file is not None:
        yield ("provider_rules", "file"), settings.provider_rules.file
    if settings.metrics.token_file is not None:
        yield ("metrics", "token_file"), settings.metrics.token_file
    for key, name in settings.login.named_files():
        yield ("login", key), name


def _read_file(configuration: Configuration, path: Path, name: str) -> bytes:
    try:
        with open(name, "rb") as stream:
            content = stream.read(_MAX_FILE + 1)
    except OSError as error:
        raise _problem(configuration, path, f"{name} cannot be read: {error.strerror}") from None
    if len(content) > _MAX_FILE:
        raise _problem(configuration, path, f"{name} is larger than {_MAX_FILE >> 20} MiB")
    return content


def _problem(configuration: Configuration, path: Path, text: str) -> ConfigError:
    lines = find_lines(configuration.text)
    line = next((lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in lines), 0)
    return ConfigError([Problem(configuration.file, line, key_name(path), text)])


# -- listeners


def _check_fixed(configuration: Configuration, running: Setup) -> None:
    for name in _FIXED:
        if getattr(configuration.settings, name) != getattr(running.settings, name):
            raise _problem(configuration, (name,), "cannot change while the server runs: restart it")


def _open_listeners(settings: Settings, identity: Identity, running: Setup | None) -> list[Listening]:
    kept = {each.bind: each for each in running.listeners} if running is not None else {}
    opened: list[Listening] = []
    listeners: list[Listening] = []
    try:
        for listener in settings.listener:
            found = kept.get(listener.bind)
            if found is None:
                found = open_listener(listener.bind, settings.limits.backlog, identity)
                opened.append(found)
            listeners.append(found)
    except BindError:
        for each in opened:
            each.close(identity)
        raise
    return listeners
