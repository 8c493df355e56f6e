"""Settings and signing in, in the browser, against a running server."""

from __future__ import annotations

import base64
import hmac
import re
import struct
import time
import zipfile
from pathlib import Path
from typing import cast

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import Home, OpenPage
from tests.browser.jmap_page import ask, find_emails, list_barriers
from tests.browser.letters import ANN

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

PAGES = ("general", "identities", "security", "sessions", "delivery", "reading", "transfer")


def panel(page: Page, title: str) -> Locator:
    return page.locator(".panel").filter(has=page.get_by_role("heading", name=title, exact=True))


def add_account(page: Page, address: str, password: str) -> None:
    """By the administration API, as whom the page belongs to."""
    call = """async wanted => (await fetch("/api/admin/accounts", { method: "POST", body: JSON.stringify(wanted),
        headers: { "Content-Type": "application/json", "X-Posthouse": "1" } })).status"""
    assert page.evaluate(call, {"address": address, "password": password}) == 201


def open_signed_out(home: Home, browser: Browser, host: str = "127.0.0.1") -> Page:
    page = browser.new_context(locale="en-GB", service_workers="block").new_page()
    page.set_default_timeout(10_000)
    page.goto(home.url.replace("127.0.0.1", host) + "/")
    return page


def sign_in(page: Page, address: str, password: str) -> None:
    page.get_by_label("Email address").fill(address)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()


def make_code(secret: str, at: float) -> str:
    """RFC 6238 with SHA-1, six digits, 30 s."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.digest(key, struct.pack(">Q", int(at // 30)), "sha1")
    start = digest[-1] & 15
    return f"{(int.from_bytes(digest[start : start + 4]) & 0x7FFFFFFF) % 1_000_000:06d}"


def test_who_signs_in_sees_the_inbox_and_who_errs_is_told(home: Home, browser: Browser) -> None:
    page = open_signed_out(home, browser)
    assert list_barriers(page) == []
    sign_in(page, ANN, "not the password")
    expect(page.get_by_role("alert")).to_contain_text("wrong")
    sign_in(page, ANN, home.password)
    expect(page.locator(".list-bar h1")).to_have_text("Inbox")
    page.context.close()


def test_the_page_speaks_german(home: Home, browser: Browser) -> None:
    context = browser.new_context(locale="de-DE", service_workers="block")
    home.sign_in(context)
    page = context.new_page()
    page.goto(f"{home.url}/settings/general")
    expect(page.get_by_role("heading", name="Allgemein")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", "de")
    page.goto(f"{home.url}/compose?to=a@x.example")
    expect(page.get_by_role("dialog").get_by_role("button", name="Senden", exact=True)).to_be_visible()
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_of_settings_have_no_barriers(open_page: OpenPage, scheme: str) -> None:
    page = open_page("/settings/general", color_scheme=scheme)
    for name in PAGES:
        page.get_by_role("navigation").locator(f"a[href='/settings/{name}']").click()
        expect(page.locator(".panel").first).to_be_visible()
        expect(page.locator(".spinner")).to_have_count(0)
        assert list_barriers(page) == [], name


def test_the_pages_of_settings_fit_a_phone(open_page: OpenPage) -> None:
    page = open_page("/settings/general", viewport=(390, 800))
    for name in PAGES:
        page.get_by_role("navigation").locator(f"a[href='/settings/{name}']").click()
        expect(page.locator(".panel").first).to_be_visible()
        assert page.evaluate("() => document.querySelector('.frame-main').scrollWidth") <= 390, name


def test_the_theme_is_chosen_and_stays(open_page: OpenPage) -> None:
    page = open_page("/settings/general")
    page.get_by_label("Theme").select_option(label="Dark")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.wait_for_timeout(300)
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.get_by_label("Theme").select_option(label="As the system")
    page.wait_for_timeout(300)


def test_an_identity_is_made_changed_and_removed_with_undo(open_page: OpenPage) -> None:
    page = open_page("/settings/identities")
    page.get_by_role("button", name="New identity").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Address", exact=True).fill("stranger@elsewhere.example")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_role("alert")).to_be_visible()
    dialog.get_by_label("Address", exact=True).fill(ANN)
    dialog.get_by_label("Name", exact=True).fill("Ann of the fair")
    dialog.get_by_label("Signature", exact=True).fill("See you there")
    dialog.get_by_role("button", name="Save").click()
    item = page.get_by_role("listitem").filter(has_text="Ann of the fair")
    expect(item).to_be_visible()
    item.get_by_role("button", name="Remove").click()
    expect(item).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(item).to_be_visible()
    item.get_by_role("button", name="Remove").click()
    expect(item).to_have_count(0)


def test_an_app_password_is_shown_once_and_removed(open_page: OpenPage) -> None:
    page = open_page("/settings/security")
    page.get_by_role("button", name="New app password").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("What it is for").fill("Phone")
    dialog.get_by_label("send mail").uncheck()
    dialog.get_by_role("button", name="Create").click()
    secret = dialog.locator(".secret span").first.inner_text()
    assert len(secret) >= 16
    dialog.get_by_role("button", name="Done").click()
    item = panel(page, "App passwords").get_by_role("listitem").filter(has_text="Phone")
    expect(item).to_contain_text("read")
    expect(item).not_to_contain_text("send")
    assert secret not in page.content()
    item.get_by_role("button", name="Remove Phone").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove", exact=True).click()
    expect(item).to_have_count(0)


def test_codes_are_switched_on_asked_for_and_switched_off(open_page: OpenPage, home: Home, browser: Browser) -> None:
    add_account(open_page(), "codes@posthouse.test", "a long password 1")
    page = open_signed_out(home, browser)
    sign_in(page, "codes@posthouse.test", "a long password 1")
    expect(page.locator(".list-bar h1")).to_be_visible()
    page.goto(f"{home.url}/settings/security")
    panel(page, "Two-factor sign-in").get_by_role("button", name="Turn on").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("img", name="QR code")).to_be_visible()
    secret = dialog.locator(".secret").inner_text().replace(" ", "")
    dialog.get_by_label("The code that the app shows now").fill("000000")
    dialog.get_by_role("button", name="Confirm").click()
    expect(dialog.get_by_role("alert")).to_be_visible()
    now = time.time()
    dialog.get_by_label("The code that the app shows now").fill(make_code(secret, now))
    dialog.get_by_role("button", name="Confirm").click()
    codes = dialog.locator(".secret-list li")
    expect(codes.first).to_be_visible()
    recovery = codes.first.inner_text()
    dialog.get_by_role("button", name="I have saved them").click()
    expect(panel(page, "Two-factor sign-in")).to_contain_text("On")

    other = open_signed_out(home, browser)
    sign_in(other, "codes@posthouse.test", "a long password 1")
    other.get_by_label("Code", exact=True).fill("123456")
    other.get_by_role("button", name="Sign in", exact=True).click()
    expect(other.get_by_role("alert")).to_contain_text("wrong")
    other.get_by_label("Code", exact=True).fill(recovery)
    other.get_by_role("button", name="Sign in", exact=True).click()
    expect(other.locator(".list-bar h1")).to_be_visible()

    panel(page, "Two-factor sign-in").get_by_role("button", name="Turn off").click()
    page.get_by_role("dialog").get_by_label("Password").fill("a long password 1")
    page.get_by_role("dialog").get_by_role("button", name="Turn off").click()
    expect(panel(page, "Two-factor sign-in")).to_contain_text("Off")
    page.context.close()
    other.context.close()


def test_a_passkey_is_added_and_signs_in(open_page: OpenPage, home: Home, browser: Browser) -> None:
    add_account(open_page(), "keys@posthouse.test", "a long password 2")
    page = open_signed_out(home, browser, "localhost")
    client = page.context.new_cdp_session(page)
    client.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True}
    options |= {"isUserVerified": True, "automaticPresenceSimulation": True}
    client.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    sign_in(page, "keys@posthouse.test", "a long password 2")
    expect(page.locator(".list-bar h1")).to_be_visible()
    page.goto(page.url.partition("/mail")[0] + "/settings/security")
    page.get_by_role("button", name="Add a passkey").click()
    page.get_by_label("Name of the passkey").fill("Laptop")
    page.get_by_role("dialog").get_by_role("button", name="Create").click()
    expect(panel(page, "Passkeys").get_by_role("listitem").filter(has_text="Laptop")).to_be_visible()
    page.evaluate("() => fetch('/api/session', { method: 'DELETE', headers: { 'X-Posthouse': '1' } })")
    page.goto(page.url.partition("/settings")[0] + "/")
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.locator(".list-bar h1")).to_be_visible()
    page.context.close()


def test_a_password_is_changed_and_other_sessions_end(open_page: OpenPage, home: Home, browser: Browser) -> None:
    add_account(open_page(), "change@posthouse.test", "a long password 3")
    other, page = open_signed_out(home, browser), open_signed_out(home, browser)
    for each in (other, page):
        sign_in(each, "change@posthouse.test", "a long password 3")
        expect(each.locator(".list-bar h1")).to_be_visible()
    page.goto(f"{home.url}/settings/sessions")
    expect(page.get_by_role("main").get_by_role("listitem")).to_have_count(2)
    page.goto(f"{home.url}/settings/security")
    page.get_by_label("Present password").fill("a long password 3")
    page.get_by_label("New password", exact=True).fill("another long password")
    page.get_by_label("New password again").fill("another long passwort")
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_role("alert")).to_contain_text("not the same")
    page.get_by_label("New password again").fill("another long password")
    page.get_by_role("button", name="Change password").click()
    expect(page.locator(".toast")).to_contain_text("Password changed")
    other.reload()
    expect(other.get_by_label("Email address")).to_be_visible()
    page.context.close()
    other.context.close()


def test_the_vacation_answer_is_written(open_page: OpenPage) -> None:
    page = open_page("/settings/delivery")
    box = panel(page, "Vacation answer")
    box.get_by_label("Answer while I am away").check()
    box.get_by_role("button", name="Save").click()
    expect(box.get_by_role("alert")).to_be_visible()
    box.get_by_label("Text", exact=True).fill("I am at the sea.")
    box.get_by_label(re.compile("^From")).fill("2030-07-01T08:00")
    box.get_by_role("button", name="Save").click()
    expect(page.locator(".toast")).to_contain_text("Saved")
    [vacation] = cast("list[dict[str, object]]", ask(page, "VacationResponse/get", ids=None)["list"])
    assert (vacation["isEnabled"], vacation["textBody"]) == (True, "I am at the sea.")
    box.get_by_label("Answer while I am away").uncheck()
    box.get_by_role("button", name="Save").click()
    page.wait_for_timeout(300)


def test_forwarding_is_set_and_taken_back(open_page: OpenPage) -> None:
    page = open_page("/settings/delivery")
    box = panel(page, "Forwarding")
    box.get_by_label("Forward to").fill("nowhere")
    box.get_by_role("button", name="Add").click()
    expect(box.get_by_role("alert")).to_contain_text("nowhere")
    box.get_by_label("Forward to").fill("ann@elsewhere.example")
    box.get_by_role("button", name="Add").click()
    item = box.get_by_role("listitem").filter(has_text="ann@elsewhere.example")
    expect(item).to_be_visible()
    expect(box.get_by_label("Keep a copy here")).to_be_visible()
    item.get_by_role("button").click()
    expect(item).to_have_count(0)


def test_the_outbox_is_opened_and_shut(open_page: OpenPage) -> None:
    page = open_page("/settings/reading")
    door = page.get_by_label("Send what is put into Outbox")
    door.check()
    page.reload()
    expect(door).to_be_checked()
    door.uncheck()
    page.reload()
    expect(door).not_to_be_checked()


def test_mail_goes_out_as_a_file_and_comes_in_again(open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page("/settings/transfer")
    out = panel(page, "Export")
    with page.expect_download() as saved:
        out.get_by_role("link", name="Download").click()
    whole = tmp_path / "all.zip"
    saved.value.save_as(whole)
    assert len(zipfile.ZipFile(whole).namelist()) > 20
    out.get_by_label("Mailbox").select_option(label="Inbox")
    out.get_by_label("Format").select_option(label="mbox (one file)")
    with page.expect_download() as saved:
        out.get_by_role("link", name="Download").click()
    exported = tmp_path / "inbox.mbox"
    saved.value.save_as(exported)
    assert exported.read_bytes().startswith(b"From ")
    mail = tmp_path / "one.eml"
    mail.write_bytes(b"From: a@x.example\r\nSubject: Brought along\r\nMessage-ID: <brought@x>\r\n\r\nHello\r\n")
    box = panel(page, "Import")
    box.get_by_label("File").set_input_files(mail)
    box.get_by_role("button", name="Import").click()
    expect(box).to_contain_text("1 message imported")
    assert len(find_emails(page, "Brought along")) == 1
    box.get_by_label("File").set_input_files(exported)
    box.get_by_role("button", name="Import").click()
    expect(box).to_contain_text("imported")
