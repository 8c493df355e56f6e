"""argon2id as it really is, and the password file."""

from __future__ import annotations

from pathlib import Path

from posthouse.adapters.passwords import Argon2Hash, PasswordFile, parse_password_file
from posthouse.ports.compute import FakeCompute
from posthouse.ports.credentials import FakePasswordHash, SourceAnswer
from posthouse.ports.observe import FakeLog


def test_a_hash_fits_its_password_and_no_other() -> None:
    hasher = Argon2Hash()
    encoded = hasher.hash("pässword")
    assert encoded.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert hasher.verify(encoded, "pässword")
    assert not hasher.verify(encoded, "password")
    assert not hasher.verify("nonsense", "password")


def test_the_decoy_is_as_dear_as_a_hash_and_fits_nothing() -> None:
    hasher = Argon2Hash()
    real, decoy = hasher.hash("x").split("$"), hasher.decoy.split("$")
    assert decoy[:4] == real[:4]
    assert [len(part) for part in decoy[4:]] == [len(part) for part in real[4:]]
    assert not hasher.verify(hasher.decoy, "")


def test_lines_of_the_password_file() -> None:
    text = (
        "# people\nAlice@example.org:{ARGON2ID}$argon2id$x:1000:1000::/home\n\nbob:{PLAIN}x\n:{ARGON2ID}y\nno colon\n"
    )
    assert parse_password_file(text) == {"alice@example.org": "$argon2id$x"}


async def test_a_changed_file_counts_at_once_and_a_missing_one_is_no_wrong_password(tmp_path: Path) -> None:
    path, hasher, log = tmp_path / "passwd", FakePasswordHash(), FakeLog()
    source = PasswordFile(str(path), hasher, FakeCompute(), log)
    assert await source.check("alice", "one") is SourceAnswer.UNAVAILABLE
    assert log.events[0][0] == "error"
    path.write_text("alice:{ARGON2ID}$argon2id$fake$one\n")
    assert await source.check("ALICE", "one") is SourceAnswer.YES
    path.write_text("alice:{ARGON2ID}$argon2id$fake$second\n")
    assert await source.check("alice", "one") is SourceAnswer.NO
    assert await source.check("alice", "second") is SourceAnswer.YES
    runs = hasher.runs
    assert await source.check("nobody", "one") is SourceAnswer.NO
    assert hasher.runs == runs + 1
