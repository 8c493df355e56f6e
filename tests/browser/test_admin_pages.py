"""Administration in the browser, against a running server."""

from __future__ import annotations

import smtplib

import pytest
from playwright.sync_api import Page, expect

from posthouse.config.reader import load
from tests.browser.conftest import Home, OpenPage
from tests.browser.jmap_page import list_barriers
from tests.browser.letters import ANN

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

PAGES = ("overview", "queue", "trace", "accounts", "domains", "aliases", "sessions")


def send_into_silence(home: Home, count: int = 2) -> None:
    """To a domain whose server never answers: it waits in the queue."""
    settings = load(str(home.directory / "posthouse.toml"))
    port = next(listener.bind for listener in settings.listener if listener.service == "smtp")
    with smtplib.SMTP("127.0.0.1", int(str(port).rpartition(":")[2]), timeout=20) as client:
        for number in range(count):
            head = f"From: {ANN}\r\nTo: n{number}@silent.example\r\nSubject: Anybody?\r\nMessage-ID: <s{number}@x>\r\n"
            head += "Date: Tue, 1 Jan 2030 00:00:00 +0000\r\n"
            client.sendmail(ANN, [f"n{number}@silent.example"], f"{head}\r\nHello\r\n")


def show(page: Page, name: str) -> None:
    page.get_by_role("navigation").locator(f"a[href='/admin/{name}']").click()
    expect(page.locator(".panel").first).to_be_visible()
    expect(page.locator(".spinner")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_of_administration_have_no_barriers(open_page: OpenPage, home: Home, scheme: str) -> None:
    send_into_silence(home, 1)
    page = open_page("/admin/overview", color_scheme=scheme)
    for name in PAGES:
        show(page, name)
        assert list_barriers(page) == [], name


def test_the_pages_of_administration_fit_a_phone(open_page: OpenPage) -> None:
    page = open_page("/admin/overview", viewport=(390, 800))
    for name in PAGES:
        show(page, name)
        assert page.evaluate("() => document.querySelector('.frame-main').scrollWidth") <= 390, name


def test_figures_are_shown_as_they_stand(open_page: OpenPage) -> None:
    page = open_page("/admin/overview")
    expect(page.locator(".tiles div").filter(has_text="Received")).to_be_visible()
    expect(page.locator(".plot")).to_have_count(4)


def test_a_domain_is_added_and_removed_with_undo(open_page: OpenPage) -> None:
    page = open_page("/admin/domains")
    page.get_by_role("button", name="New domain").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Domain", exact=True).fill("not a domain")
    dialog.get_by_role("button", name="Add").click()
    expect(dialog.get_by_role("alert")).to_be_visible()
    dialog.get_by_label("Domain", exact=True).fill("second.test")
    dialog.get_by_role("button", name="Add").click()
    item = page.get_by_role("listitem").filter(has_text="second.test")
    expect(item).to_contain_text("0 accounts")
    item.get_by_role("button", name="Remove second.test").click()
    expect(item).to_have_count(0)
    page.locator(".toast").filter(has_text="removed").get_by_role("button", name="Undo").click()
    expect(item).to_be_visible()


def test_an_account_is_made_changed_and_removed_with_undo(open_page: OpenPage) -> None:
    page = open_page("/admin/accounts")
    page.get_by_role("button", name="New account").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Address").fill("carl@posthouse.test")
    dialog.get_by_label("Name").fill("Carl")
    dialog.get_by_label("Quota in megabytes").fill("500")
    dialog.get_by_role("button", name="Add").click()
    expect(page.get_by_role("dialog").locator(".secret span").first).to_be_visible()
    page.get_by_role("dialog").get_by_role("button", name="Done").click()
    item = page.get_by_role("listitem").filter(has_text="carl@posthouse.test")
    item.get_by_role("button", name="Change").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Quota in megabytes")).to_have_value("500")
    dialog.get_by_label("Add an address").fill("charly@posthouse.test")
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(dialog.get_by_role("listitem").filter(has_text="charly@posthouse.test")).to_be_visible()
    dialog.get_by_label("Disabled").check()
    dialog.get_by_role("button", name="Save").click()
    expect(item).to_contain_text("Disabled")
    item.get_by_role("button", name="Change").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove", exact=True).click()
    question = page.get_by_role("dialog").filter(has_not=page.get_by_label("Disabled"))
    question.get_by_role("button", name="Remove", exact=True).click()
    expect(item).to_have_count(0)
    page.locator(".toast").filter(has_text="removed").get_by_role("button", name="Undo").click()
    expect(item).to_be_visible()


def test_one_cannot_lock_oneself_out(open_page: OpenPage) -> None:
    page = open_page("/admin/accounts")
    page.get_by_role("listitem").filter(has_text=ANN).get_by_role("button", name="Change").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Disabled")).to_be_disabled()
    expect(dialog.get_by_role("button", name="Remove", exact=True)).to_have_count(0)


def test_an_alias_is_added_and_removed(open_page: OpenPage) -> None:
    page = open_page("/admin/aliases")
    page.get_by_role("button", name="New alias").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Address").fill("info@posthouse.test")
    dialog.get_by_label("Leads to").fill(f"{ANN}, out@elsewhere.example")
    dialog.get_by_role("button", name="Add").click()
    item = page.get_by_role("listitem").filter(has_text="info@posthouse.test")
    expect(item).to_contain_text("out@elsewhere.example")
    item.get_by_role("button").click()
    expect(item).to_have_count(0)


def test_what_waits_is_explained_held_released_and_deleted(open_page: OpenPage, home: Home) -> None:
    send_into_silence(home)
    page = open_page("/admin/queue")
    items = page.locator(".queue > li")
    expect(items.first).to_contain_text("silent.example")
    page.get_by_label("Domain").fill("silent.example")
    page.get_by_role("button", name="Refresh").click()
    expect(page.locator(".queue")).to_contain_text("does not answer")
    page.get_by_label("Choose all that are shown").check()
    page.get_by_role("button", name="Hold").click()
    expect(items.first).to_contain_text("Held")
    page.get_by_label("Choose all that are shown").check()
    page.get_by_role("button", name="Release").click()
    expect(page.locator(".queue .badge").filter(has_text="Held")).to_have_count(0)
    page.get_by_label("Choose all that are shown").check()
    page.get_by_role("button", name="Delete").click()
    question = page.get_by_role("dialog")
    expect(question).to_contain_text("cannot be undone")
    question.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("The queue is empty.")).to_be_visible()


def test_the_way_of_a_message_is_told(open_page: OpenPage, home: Home) -> None:
    send_into_silence(home, 1)
    page = open_page("/admin/trace")
    page.get_by_label("Message-ID, queue id or address").fill("n0@silent.example")
    page.get_by_role("button", name="Search").click()
    expect(page.locator(".story").first).to_contain_text("received")
    page.get_by_label("Message-ID, queue id or address").fill("nobody@nowhere.example")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("Nothing is known of that.")).to_be_visible()


def test_sessions_are_listed_and_ended(open_page: OpenPage) -> None:
    other = open_page()
    page = open_page("/admin/sessions")
    rows = page.get_by_role("row").filter(has_text=ANN)
    expect(rows.first).to_be_visible()
    count = rows.count()
    assert count >= 2
    rows.nth(count - 1).get_by_role("button").click()
    expect(page.locator(".toast")).to_contain_text("Session ended")
    other.close()
