"""Who is connected, and ending a session."""

from __future__ import annotations

from posthouse.manage.sessions import KILLED, SessionOperations
from posthouse.message.peer import Peer


class FakeSession:
    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.started_at = 0.5
        self.is_ended = False
        self.login_name = self.doing = ""

    def kick(self, reason: str) -> None:
        self.is_ended = reason == KILLED


async def test_sessions_of_all_services_are_listed_and_one_is_ended() -> None:
    plain = FakeSession(Peer("192.0.2.7", 4711))
    tls = FakeSession(Peer("2001:db8::1", name="mail.example.net", tls_version="TLSv1.3"))
    tls.login_name, tls.doing = "anna@ours.example", "idle in INBOX"
    local = FakeSession(Peer("", uid=1000))
    operations = SessionOperations("1.0", lambda: [("smtp", {plain, tls}), ("lmtp", [local])])
    listed = {str(each["peer"]): each for each in await operations.list_sessions({})}
    assert set(listed) == {"192.0.2.7", "2001:db8::1", "uid:1000"}
    assert listed["2001:db8::1"] | {"id": ""} == {
        "id": "",
        "service": "smtp",
        "peer": "2001:db8::1",
        "name": "mail.example.net",
        "login": "anna@ours.example",
        "doing": "idle in INBOX",
        "tls": "TLSv1.3",
        "since": "1970-01-01T00:00:00.500Z",
    }
    assert await operations.kill({"id": listed["192.0.2.7"]["id"]}) == 1
    assert (plain.is_ended, tls.is_ended, local.is_ended) == (True, False, False)


async def test_a_session_that_is_not_here_is_not_ended() -> None:
    session = FakeSession(Peer("192.0.2.7"))
    operations = SessionOperations("1.0", lambda: [("smtp", [session])])
    [listed] = await operations.list_sessions({})
    other = SessionOperations("1.1", lambda: [("smtp", [session])])
    assert await other.kill({"id": listed["id"]}) == 0
    assert not session.is_ended
