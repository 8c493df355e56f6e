"""Python's smtplib as a client, run inside a namespace: standard input is the message, arguments one JSON object."""

from __future__ import annotations

import json
import smtplib
import ssl
import sys

DEFAULTS = {"port": 25, "mail_options": [], "rcpt_options": [], "tls": False, "is_lmtp": False}


def main() -> None:
    wanted = {**DEFAULTS, **json.loads(sys.argv[1])}
    message = sys.stdin.buffer.read()
    kind = smtplib.LMTP if wanted["is_lmtp"] else smtplib.SMTP
    with kind(wanted["server"], wanted["port"], "client.test", timeout=30) as client:
        client.ehlo_or_helo_if_needed()
        if wanted["tls"]:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            client.starttls(context=context)
            client.ehlo_or_helo_if_needed()
        refused: dict[str, tuple[int, bytes | str]] = {}
        try:
            answers = client.sendmail(
                wanted["sender"], wanted["recipients"], message, wanted["mail_options"], wanted["rcpt_options"]
            )
            refused.update(answers)
        except smtplib.SMTPRecipientsRefused as error:
            refused.update(error.recipients)
        except smtplib.SMTPResponseException as error:
            refused[""] = (error.smtp_code, error.smtp_error)
    print(json.dumps({name: f"{code} {_to_text(text)}" for name, (code, text) in refused.items()}))


def _to_text(text: str | bytes) -> str:
    return text.decode(errors="replace") if isinstance(text, bytes) else text


if __name__ == "__main__":
    main()
