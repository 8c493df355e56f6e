"""Messages made up by hypothesis, and by the standard library from them; and the shape of what is read back."""

from __future__ import annotations

import email.message
import email.policy
from email.message import Message
from email.mime.application import MIMEApplication
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

from hypothesis import strategies as st

from posthouse.message.mime import Part

Shape = tuple[str, tuple["Shape", ...]]

POLICY = email.policy.compat32.clone(linesep="\r\n")

texts = st.text(st.sampled_from("abc -=.\n<äß€"), max_size=120)
leaves = st.one_of(
    texts.map(lambda text: MIMEText(text, "plain", "utf-8")),
    texts.map(
        lambda text: MIMEText(text, "html", "iso-8859-15", policy=POLICY) if "€" in text else MIMEText("x", "html")
    ),
    st.binary(max_size=200).map(MIMEApplication),
)


def _make_multipart(children: list[Message]) -> Message:
    made = MIMEMultipart()
    for child in children:
        made.attach(child)
    return made


def _make_message(child: Message) -> Message:
    child["Subject"] = "inner"
    return MIMEMessage(child)


trees: st.SearchStrategy[Message] = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, min_size=1, max_size=3).map(_make_multipart), inner.map(_make_message)),
    max_leaves=8,
)


def shape_of_part(part: Part) -> Shape:
    """Content types, as the scanner saw them."""
    return part.content_type.full, tuple(shape_of_part(child) for child in part.children)


def shape_of_message(message: Message) -> Shape:
    """Content types, as the standard library saw them."""
    payload = message.get_payload() if message.is_multipart() else []
    children = payload if isinstance(payload, list) else []
    return message.get_content_type(), tuple(
        shape_of_message(child) for child in children if isinstance(child, Message)
    )


def leaves_of(message: Message) -> list[tuple[str, bytes]]:
    """Content type and decoded octets of every leaf, line ends of text alike."""
    found = []
    for part in message.walk():
        if not part.is_multipart():
            octets = part.get_payload(decode=True)
            assert isinstance(octets, bytes)
            found.append((part.get_content_type(), octets))
    return found
