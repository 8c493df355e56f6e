"""Sessions counted by what they are doing."""

from __future__ import annotations

from dataclasses import dataclass, field

from posthouse.adapters.metrics import PlainMetrics
from posthouse.app.session_states import SessionStates
from posthouse.message.mailbox import AccountId
from posthouse.ports.login import Login


@dataclass
class Session:
    login: Login | None
    doing: str


@dataclass
class Door:
    sessions: list[Session] = field(default_factory=list)


def test_sessions_are_counted_by_service_and_state() -> None:
    metrics = PlainMetrics()
    states = SessionStates(metrics)
    anna = Login(AccountId(1), "anna@ours.example", "PLAIN")
    imap = Door([Session(None, ""), Session(anna, ""), Session(anna, "in INBOX"), Session(anna, "idle in INBOX")])
    named = [("imap", imap), ("imap", Door([Session(anna, "idle in Sent")])), ("pop3", Door([Session(anna, "")]))]
    states.count(named)  # type: ignore[arg-type]
    assert read(metrics) == {
        ("imap", "connected"): 1,
        ("imap", "logged in"): 1,
        ("imap", "selected"): 1,
        ("imap", "idle"): 2,
        ("pop3", "logged in"): 1,
    }
    imap.sessions.clear()
    states.count(named)  # type: ignore[arg-type]
    assert read(metrics) == {("imap", "idle"): 1, ("pop3", "logged in"): 1}


def read(metrics: PlainMetrics) -> dict[tuple[str, str], float]:
    samples = [
        sample for sample in metrics.snapshot() if sample.name == "posthouse_sessions_by_state" and sample.values[0]
    ]
    return {(dict(sample.labels)["service"], dict(sample.labels)["state"]): sample.values[0] for sample in samples}
