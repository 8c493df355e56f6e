"""From the configuration to what sessions that read mail are told, and how a client is turned away."""

from __future__ import annotations

from posthouse.app.access import imap_settings, pop3_settings, render_imap_refusal, render_pop3_refusal
from posthouse.config import parse
from posthouse.message.reply import Reply
from posthouse.serve.connection import SHUTDOWN

CONFIG = """
hostname = "mail.ours.example"
data = "/d"
[[listener]]
service = "imap"
bind = "127.0.0.1:143"
hide_capabilities = ["notify"]
[[listener]]
service = "pop3"
bind = "127.0.0.1:110"
hide_capabilities = ["UTF8"]
[smtp]
max_message_size = "10M"
[imap]
hide = ["ACL"]
timeout = "45m"
still_here = "0s"
message_limit = 500
max_literal = "2M"
[pop3]
login_delay = "1m"
marks_seen = false
"""


def test_what_is_hidden_is_hidden_everywhere_or_on_one_listener() -> None:
    settings = parse(CONFIG)
    assert imap_settings(settings, settings.listener[0]).hidden == {"ACL", "NOTIFY"}
    assert pop3_settings(settings, settings.listener[1]).hidden == {"UTF8"}


def test_limits_and_times_come_from_the_configuration() -> None:
    settings = parse(CONFIG)
    imap, pop3 = imap_settings(settings, settings.listener[0]), pop3_settings(settings, settings.listener[1])
    assert (imap.timeout_s, imap.still_here_s, imap.message_limit) == (2700.0, 0.0, 500)
    assert (imap.append_limit, imap.limits.message, imap.limits.literal) == (10 << 20, 10 << 20, 2 << 20)
    assert (pop3.timeout_s, pop3.login_delay_s, pop3.marks_seen) == (600.0, 60.0, False)


def test_a_client_is_turned_away_in_its_own_words() -> None:
    limit = Reply(421, "4.7.0", "Too many connections from your address")
    assert render_imap_refusal(limit) == b"* BYE [LIMIT] Too many connections from your address\r\n"
    assert render_imap_refusal(SHUTDOWN) == b"* BYE [UNAVAILABLE] Service is shutting down, come back soon\r\n"
    assert render_pop3_refusal(limit) == b"-ERR [SYS/TEMP] Too many connections from your address\r\n"
