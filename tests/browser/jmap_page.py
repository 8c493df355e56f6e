"""What the server has, asked by JMAP with the cookie of a page. And axe, run in one."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from playwright.sync_api import Page

Plain = dict[str, object]

_ASK = """async ([name, args]) => {
    const session = await (await fetch("/jmap/session")).json();
    const accountId = session.primaryAccounts["urn:ietf:params:jmap:mail"];
    const methodCalls = [[name, { accountId, ...args }, "0"]];
    const body = JSON.stringify({ using: Object.keys(session.capabilities), methodCalls });
    const headers = { "Content-Type": "application/json", "X-Posthouse": "1" };
    return (await (await fetch("/jmap/api", { method: "POST", headers, body })).json()).methodResponses[0][1];
}"""
_AXE = Path(__file__).resolve().parents[2] / "webmail/node_modules/axe-core/axe.min.js"
_CHECK = """async part => (await axe.run(part, { runOnly: ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"] })).violations
    .map(found => `${found.impact} ${found.id}: ${found.nodes[0].html.slice(0, 200)}`)"""


def ask(page: Page, name: str, **args: object) -> Plain:
    return cast(Plain, page.evaluate(_ASK, [name, args]))


def find_emails(page: Page, subject: str, *properties: str, **filters: object) -> list[Plain]:
    """With exactly that subject, the newest first."""
    wanted = {"subject": subject, **filters}
    ids = ask(page, "Email/query", filter=wanted, sort=[{"property": "receivedAt", "isAscending": False}])["ids"]
    fetch = {"fetchAllBodyValues": True} if "bodyValues" in properties else {}
    told = ask(page, "Email/get", ids=ids, properties=["subject", *properties], **fetch)
    return [email for email in cast("list[Plain]", told["list"]) if email["subject"] == subject]


def find_mailbox(page: Page, role: str) -> str:
    boxes = cast("list[Plain]", ask(page, "Mailbox/get", ids=None)["list"])
    return next(str(box["id"]) for box in boxes if box["role"] == role)


def list_barriers(page: Page, part: str = "html") -> list[str]:
    """Against WCAG 2.2 AA, as axe finds them. `part`: a selector."""
    page.evaluate(_AXE.read_text())
    return cast("list[str]", page.evaluate(_CHECK, part))
