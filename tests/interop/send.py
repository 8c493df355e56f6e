"""Python's smtplib as a client, run inside a namespace: standard input is the message, arguments one JSON object."""

from __future__ import annotations

import json
import smtplib
import ssl
import sys
from typing import Any

DEFAULTS = {
    "port": 25,
    "mail_options": [],
    "rcpt_options": [],
    "tls": False,
    "is_implicit": False,
    "is_lmtp": False,
    "mechanism": "",
}


def main() -> None:
    wanted = {**DEFAULTS, **json.loads(sys.argv[1])}
    message = sys.stdin.buffer.read()
    with _connect(wanted) as client:
        client.ehlo_or_helo_if_needed()
        if wanted["tls"]:
            client.starttls(context=_trusting())
            client.ehlo_or_helo_if_needed()
        refused: dict[str, tuple[int, bytes | str]] = {}
        try:
            _log_in(client, wanted)
            answers = client.sendmail(
                wanted["sender"], wanted["recipients"], message, wanted["mail_options"], wanted["rcpt_options"]
            )
            refused.update(answers)
        except smtplib.SMTPRecipientsRefused as error:
            refused.update(error.recipients)
        except smtplib.SMTPResponseException as error:
            refused[""] = (error.smtp_code, error.smtp_error)
    print(json.dumps({name: f"{code} {_to_text(text)}" for name, (code, text) in refused.items()}))


def _connect(wanted: dict[str, Any]) -> smtplib.SMTP:
    place = (wanted["server"], wanted["port"], "client.test")
    if wanted["is_implicit"]:
        return smtplib.SMTP_SSL(*place, timeout=30, context=_trusting())
    return (smtplib.LMTP if wanted["is_lmtp"] else smtplib.SMTP)(*place, timeout=30)


def _log_in(client: smtplib.SMTP, wanted: dict[str, Any]) -> None:
    if not wanted["mechanism"]:
        return
    client.user, client.password = wanted["user"], wanted["password"]
    token = f"user={client.user}\1auth=Bearer {client.password}\1\1"
    say = {"PLAIN": client.auth_plain, "LOGIN": client.auth_login, "XOAUTH2": lambda _=None: token}
    client.auth(wanted["mechanism"], say[wanted["mechanism"]])


def _trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _to_text(text: str | bytes) -> str:
    return text.decode(errors="replace") if isinstance(text, bytes) else text


if __name__ == "__main__":
    main()
