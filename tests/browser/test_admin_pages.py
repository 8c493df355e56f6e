"""Administration in the browser, against a running server."""

from __future__ import annotations

import imaplib
import smtplib
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from posthouse.config.reader import load
from tests.browser.conftest import Home, OpenPage
from tests.browser.jmap_page import list_barriers
from tests.browser.letters import ANN

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

KeepShot = Callable[[Page, str], None]
PAGES = ("overview", "queue", "trace", "accounts", "domains", "aliases", "sessions")


def find_port(home: Home, service: str) -> int:
    settings = load(str(home.directory / "posthouse.toml"))
    return next(int(str(one.bind).rpartition(":")[2]) for one in settings.listener if one.service == service)


def send_mail(home: Home, recipient: str, subject: str) -> None:
    head = f"From: far@elsewhere.example\r\nTo: {recipient}\r\nSubject: {subject}\r\nMessage-ID: <{subject}@x>\r\n"
    with smtplib.SMTP("127.0.0.1", find_port(home, "smtp"), timeout=20) as client:
        client.sendmail(
            "far@elsewhere.example", [recipient], f"{head}Date: Tue, 1 Jan 2030 00:00:00 +0000\r\n\r\nHello\r\n"
        )


def send_into_silence(home: Home, count: int = 2) -> None:
    """To a domain whose server never answers: it waits in the queue."""
    with smtplib.SMTP("127.0.0.1", find_port(home, "smtp"), timeout=20) as client:
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


def test_figures_grow_while_mail_flows(open_page: OpenPage, home: Home) -> None:
    page = open_page("/admin/overview")
    tile = page.locator(".tiles div").filter(has_text="Received").locator("dd")
    before = int(tile.evaluate("tile => tile.firstChild.textContent"))
    send_mail(home, ANN, "flows")
    grown = "([tile, before]) => Number(tile.firstChild.textContent) > before"
    page.wait_for_function(grown, arg=[tile.element_handle(), before])  # by itself, every few seconds


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


def make_account(page: Page, address: str) -> str:
    """Its password, as it is told once."""
    page.get_by_role("button", name="New account").click()
    page.get_by_role("dialog").get_by_label("Address").fill(address)
    page.get_by_role("dialog").get_by_role("button", name="Add").click()
    password = page.get_by_role("dialog").locator(".secret span").first.inner_text()
    page.get_by_role("dialog").get_by_role("button", name="Done").click()
    return password


def open_account(page: Page, address: str) -> Locator:
    page.get_by_role("listitem").filter(has_text=address).get_by_role("button", name="Change").click()
    return page.get_by_role("dialog")


def try_imap(home: Home, address: str, password: str) -> bool:
    with imaplib.IMAP4("127.0.0.1", find_port(home, "imap")) as client:
        try:
            return client.login(address, password)[0] == "OK"
        except imaplib.IMAP4.error:
            return False


def test_an_account_signs_in_until_it_is_disabled_or_has_another_password(open_page: OpenPage, home: Home) -> None:
    page = open_page("/admin/accounts")
    first = make_account(page, "dora@posthouse.test")
    assert try_imap(home, "dora@posthouse.test", first)
    dialog = open_account(page, "dora@posthouse.test")
    dialog.get_by_label("Disabled").check()
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_role("listitem").filter(has_text="dora@posthouse.test")).to_contain_text("Disabled")
    assert not try_imap(home, "dora@posthouse.test", first)
    dialog = open_account(page, "dora@posthouse.test")
    dialog.get_by_label("Disabled").uncheck()
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_role("listitem").filter(has_text="dora@posthouse.test")).not_to_contain_text("Disabled")
    dialog = open_account(page, "dora@posthouse.test")
    dialog.get_by_role("button", name="Make a new password").click()
    page.get_by_role("dialog", name="Make a new password?").get_by_role("button", name="Make a new password").click()
    second = page.get_by_role("dialog").locator(".secret span").first.inner_text()
    page.get_by_role("dialog").get_by_role("button", name="Done").click()
    assert (try_imap(home, "dora@posthouse.test", first), try_imap(home, "dora@posthouse.test", second)) == (
        False,
        True,
    )


def test_accounts_are_found_and_a_wrong_quota_is_told_at_its_field(open_page: OpenPage) -> None:
    page = open_page("/admin/accounts")
    page.get_by_role("searchbox").fill("bob")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("main").get_by_role("listitem")).to_have_count(1)
    dialog = open_account(page, "bob@posthouse.test")
    quota = dialog.get_by_label("Quota in megabytes")
    quota.fill("much")
    dialog.get_by_role("button", name="Save").click()
    expect(quota).to_have_attribute("aria-invalid", "true")
    expect(dialog.get_by_role("alert")).to_have_text("“much” is not a number.")


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


def test_what_waits_is_explained_held_released_and_deleted(
    open_page: OpenPage, home: Home, keep_shot: KeepShot
) -> None:
    send_into_silence(home)
    page = open_page("/admin/queue")
    items = page.locator(".queue > li")
    expect(items.first).to_contain_text("silent.example")
    page.get_by_label("Domain").fill("silent.example")
    page.get_by_role("button", name="Refresh").click()
    expect(page.locator(".queue")).to_contain_text("does not answer")
    keep_shot(page, "queue")
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


def test_the_queue_shows_by_itself_what_comes_into_it(open_page: OpenPage, home: Home) -> None:
    page = open_page("/admin/queue")
    page.get_by_label("Domain").fill("silent.example")
    page.get_by_role("button", name="Refresh").click()
    expect(page.locator(".spinner")).to_have_count(0)
    before = page.locator(".queue > li").count()
    send_into_silence(home, 1)
    expect(page.locator(".queue > li")).to_have_count(before + 1, timeout=10_000)


def test_what_waits_is_tried_at_once_and_given_back(open_page: OpenPage, home: Home) -> None:
    send_into_silence(home, 1)
    page = open_page("/admin/queue")
    item = page.locator(".queue > li").filter(has_text="n0@silent.example").first
    expect(item).to_be_visible()
    page.get_by_label("Domain").fill("silent.example")
    page.get_by_label("Status").select_option(label="Put off")
    page.get_by_label("Status").select_option(label="Any")
    page.get_by_label("Choose all that are shown").check()
    page.get_by_role("button", name="Retry now").click()
    expect(page.locator(".toast").first).to_contain_text("changed")
    page.get_by_label("Choose all that are shown").check()
    page.get_by_role("button", name="Bounce").click()
    page.get_by_role("dialog").get_by_role("button", name="Bounce").click()
    expect(page.get_by_text("The queue is empty.")).to_be_visible()
    page.goto(f"{home.url}/mail/inbox")
    expect(page.locator(".row").filter(has_text="Undeliver").first).to_be_visible()


def test_an_alias_leads_where_it_says_and_a_wrong_one_is_told(open_page: OpenPage, home: Home) -> None:
    page = open_page("/admin/aliases")
    page.get_by_role("button", name="New alias").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Address").fill("team@nowhere.example")
    dialog.get_by_role("button", name="Add").click()
    expect(dialog.get_by_label("Leads to")).to_have_attribute("aria-invalid", "true")
    dialog.get_by_label("Leads to").fill(ANN)
    dialog.get_by_role("button", name="Add").click()
    expect(dialog.get_by_role("alert")).to_have_text("nowhere.example is not hosted here")
    dialog.get_by_label("Address").fill("team@posthouse.test")
    dialog.get_by_role("button", name="Add").click()
    item = page.get_by_role("listitem").filter(has_text="team@posthouse.test")
    expect(item).to_be_visible()
    send_mail(home, "team@posthouse.test", "for-the-team")
    page.goto(f"{home.url}/mail/inbox")
    expect(page.locator(".row").filter(has_text="for-the-team").first).to_be_visible()
    page.goto(f"{home.url}/admin/aliases")
    item.get_by_role("button").click()
    expect(item).to_have_count(0)


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
    rows = page.get_by_role("main").get_by_role("listitem").filter(has_text=ANN)
    expect(rows.first).to_be_visible()
    count = rows.count()
    assert count >= 2
    rows.nth(count - 1).get_by_role("button").click()
    expect(page.locator(".toast")).to_contain_text("Session ended")
    other.close()


def test_a_session_of_a_mail_program_is_found_and_ended(open_page: OpenPage, home: Home) -> None:
    client = imaplib.IMAP4("127.0.0.1", find_port(home, "imap"))
    client.login(ANN, home.password)
    page = open_page("/admin/sessions")
    page.get_by_label("Show only those of").fill("imap")
    row = page.get_by_role("main").get_by_role("listitem")
    expect(row).to_have_count(1)
    expect(row).to_contain_text(ANN)
    row.get_by_role("button").click()
    expect(page.get_by_text("There is no such session.")).to_be_visible()
    with pytest.raises((imaplib.IMAP4.abort, OSError)):
        client.noop()
        client.noop()
    client.shutdown()
