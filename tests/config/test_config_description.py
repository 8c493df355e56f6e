"""The manual, `check --defaults` and the file of `init` are made from the tree of settings and stay true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from posthouse.config import Settings, parse
from posthouse.config.describe import list_keys, list_tables, render_defaults, render_example, render_manual

MANUAL = Path(__file__).resolve().parents[2] / "docs" / "manual.md"


def test_the_printed_defaults_are_the_defaults() -> None:
    assert parse(render_defaults()) == Settings(hostname="mail.example.org", data="/var/lib/posthouse")


def test_the_printed_defaults_are_valid_with_every_key_set() -> None:
    text = re.sub(r"^# (\[\[|[a-z_0-9]+ = )", r"\1", render_defaults(), flags=re.MULTILINE)
    settings = parse(
        text.replace("proxy_protocol = []", 'proxy_protocol = ["10.0.0.0/8"]')
        .replace('domain = "example.net"\n', 'domain = "example.net"\naccept = "anyone"\n')
        .replace('\naccept = "trusted"\n', "\n")
        .replace('username = "relay@example.org"\n', "")
        .replace('password_file = "/etc/posthouse/relay.secret"\n', "")
    )
    assert settings.listener[0].service == "smtp"
    assert settings.route[0].recipients == ("alice", "bob")
    assert settings.user == "posthouse"


def test_every_key_has_a_sentence_and_says_what_absence_means() -> None:
    for page in list_tables():
        assert page.sentence.endswith(".")
        for key in page.keys:
            assert key.key.sentence.endswith("."), key.name
            assert key.is_required or key.default is not None or key.key.absent, key.name


def test_every_key_is_read_by_somebody() -> None:
    source = Path(__file__).resolve().parents[2] / "src" / "posthouse"
    text = "".join(path.read_text("utf-8") for path in [*source.glob("app/*.py"), source / "config" / "directory.py"])
    unread = [key.name for page in list_tables() for key in page.keys if not re.search(rf"\.{key.name}\b", text)]
    assert unread == []


def test_the_manual_is_current() -> None:
    text = MANUAL.read_text(encoding="utf-8")
    assert render_manual(text) == text, "run python -m tools.write_manual"
    assert all(f"`{key}`" in text for key in list_keys())


def test_a_manual_without_its_marks_is_not_written_over() -> None:
    with pytest.raises(ValueError, match="marks"):
        render_manual("# Manual\n")


def test_the_example_of_init_is_a_valid_configuration() -> None:
    settings = parse(render_example("mx.example.org", "example.org", '/var/"odd"', "/run/it's"))
    assert settings.hostname == "mx.example.org"
    assert settings.data == '/var/"odd"'
    assert [listener.service for listener in settings.listener] == [
        *["smtp"] * 2,
        *["submission"] * 4,
        *["imap"] * 4,
        "lmtp",
        "http",
    ]
    assert settings.postmaster == "admin@example.org"
