"""Settings and signing in, in the browser, against a running server."""

from __future__ import annotations

import base64
import hmac
import imaplib
import re
import smtplib
import struct
import time
import zipfile
from pathlib import Path
from typing import cast

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from posthouse.config.reader import load
from tests.browser.conftest import Home, OpenPage, Watch
from tests.browser.jmap_page import ask, find_emails, list_barriers
from tests.browser.letters import ANN

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

PAGES = ("general", "identities", "security", "sessions", "delivery", "reading", "transfer")


def find_port(home: Home, service: str) -> int:
    settings = load(str(home.directory / "posthouse.toml"))
    return next(int(str(one.bind).rpartition(":")[2]) for one in settings.listener if one.service == service)


def send_mail(home: Home, recipient: str, subject: str, sender: str = ANN) -> None:
    """From outside."""
    head = f"From: {sender}\r\nTo: {recipient}\r\nSubject: {subject}\r\nMessage-ID: <{subject.replace(' ', '.')}@x>\r\n"
    with smtplib.SMTP("127.0.0.1", find_port(home, "smtp"), timeout=20) as client:
        client.sendmail(sender, [recipient], f"{head}Date: Tue, 1 Jan 2030 00:00:00 +0000\r\n\r\nHello\r\n")


def wait_for_mail(page: Page, subject: str) -> dict[str, object]:
    for _ in range(50):
        if found := find_emails(page, subject):
            return found[0]
        page.wait_for_timeout(100)
    raise AssertionError(f"{subject} did not come")


def open_as(home: Home, browser: Browser, address: str, password: str) -> Page:
    page = open_signed_out(home, browser)
    sign_in(page, address, password)
    expect(page.locator(".list-bar h1")).to_be_visible()
    return page


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
    expect(dialog.get_by_role("alert")).to_contain_text("may not write as this address")
    expect(dialog.get_by_label("Address", exact=True)).to_have_attribute("aria-invalid", "true")
    dialog.get_by_label("Replies go to").fill("nobody")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_label("Replies go to")).to_have_attribute("aria-invalid", "true")
    dialog.get_by_label("Replies go to").fill("")
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


def test_a_signature_is_written_with_formatting_and_has_a_bare_text(open_page: OpenPage) -> None:
    page = open_page("/settings/identities")
    page.get_by_role("button", name="New identity").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Address", exact=True).fill(ANN)
    dialog.get_by_label("Name", exact=True).fill("Ann in bold")
    dialog.get_by_label("Signature", exact=True).fill("Best")
    dialog.get_by_label("Signature with formatting").check()
    box = dialog.get_by_role("textbox", name="Signature", exact=True)
    expect(box).to_have_text("Best")
    box.click()
    page.keyboard.press("Control+End")
    page.keyboard.press("Enter")
    dialog.get_by_role("button", name="Bold").click()
    page.keyboard.type("Ann")
    assert list_barriers(page) == []
    dialog.get_by_role("button", name="Link").click()
    link = page.get_by_role("dialog", name="Link", exact=True)
    link.get_by_label("Address of the link").fill("not an address")
    link.get_by_role("button", name="Insert link").click()
    expect(link.get_by_role("alert")).to_be_visible()  # and the identity was not saved by it
    link.get_by_role("button", name="Close").click()
    dialog.get_by_role("button", name="Save").click()
    item = page.get_by_role("listitem").filter(has_text="Ann in bold")
    expect(item).to_be_visible()
    identities = cast("list[dict[str, object]]", ask(page, "Identity/get", ids=None)["list"])
    [made] = [one for one in identities if one["name"] == "Ann in bold"]
    assert (made["textSignature"], "<b>Ann</b>" in str(made["htmlSignature"])) == ("Best\nAnn", True)
    item.get_by_role("button", name="Change").click()
    dialog.get_by_label("Signature with formatting").uncheck()
    expect(dialog.get_by_label("Signature", exact=True)).to_have_value("Best\nAnn")
    dialog.get_by_label("Signature with formatting").check()  # back and forth keeps it
    expect(box.locator("b")).to_have_text("Ann")
    dialog.get_by_label("Signature with formatting").uncheck()
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)
    identities = cast("list[dict[str, object]]", ask(page, "Identity/get", ids=None)["list"])
    assert [one["htmlSignature"] for one in identities if one["name"] == "Ann in bold"] == [""]
    item.get_by_role("button", name="Remove").click()


def test_a_hostile_signature_is_cleaned_before_it_is_edited(open_page: OpenPage, watch: Watch) -> None:
    page = open_page("/settings/identities")
    bad = "<b>Me</b><img src=x onerror=alert(1)><script>alert(2)</script><a href='javascript:alert(3)'>x</a>"
    made = ask(page, "Identity/set", create={"new": {"email": ANN, "name": "Bad", "htmlSignature": bad}})
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    page.reload()
    page.get_by_role("listitem").filter(has_text="Bad").get_by_role("button", name="Change").click()
    box = page.get_by_role("dialog").get_by_role("textbox", name="Signature", exact=True)
    expect(box.locator("b")).to_have_text("Me")
    assert box.evaluate("box => box.querySelectorAll('script, [onerror], a[href]').length") == 0
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    created = cast("dict[str, dict[str, str]]", made["created"])
    ask(page, "Identity/set", destroy=[created["new"]["id"]])
    watch.errors.clear()  # the policy reports what it refuses even in the document where the cleaning is done


def test_a_press_that_ends_beside_a_dialog_does_not_close_it(open_page: OpenPage) -> None:
    page = open_page("/settings/identities")
    page.get_by_role("button", name="New identity").click()
    field = page.get_by_role("dialog").get_by_label("Name", exact=True)
    place = field.bounding_box()
    assert place is not None
    page.mouse.move(place["x"] + 20, place["y"] + 10)
    page.mouse.down()
    page.mouse.move(20, 20)
    page.mouse.up()
    expect(field).to_be_visible()
    page.mouse.click(20, 20)
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_the_language_is_chosen_and_refusals_are_told_in_it(open_page: OpenPage) -> None:
    page = open_page("/settings/general")
    page.get_by_label("Language").select_option(label="Deutsch")
    expect(page.get_by_role("heading", name="Allgemein")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", "de")
    page.get_by_role("navigation").locator("a[href='/settings/security']").click()
    page.get_by_label("Jetziges Passwort").fill("falsch")
    page.get_by_label("Neues Passwort", exact=True).fill("ein langes Passwort")
    page.get_by_label("Neues Passwort noch einmal").fill("ein langes Passwort")
    page.get_by_role("button", name="Passwort ändern").click()
    expect(page.get_by_role("alert")).to_have_text("Das Passwort ist falsch.")
    page.get_by_role("navigation").locator("a[href='/settings/general']").click()
    page.get_by_label("Sprache").select_option(label="Wie der Browser")
    expect(page.get_by_role("heading", name="General")).to_be_visible()
    page.wait_for_timeout(300)


def test_an_app_password_does_what_it_is_for_and_no_more(open_page: OpenPage, home: Home) -> None:
    page = open_page("/settings/security")
    page.get_by_role("button", name="New app password").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.get_by_role("alert")).to_contain_text("what it is for")
    dialog.get_by_label("What it is for").fill("Reader")
    dialog.get_by_label("send mail").uncheck()
    dialog.get_by_label("read mail").uncheck()
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.get_by_role("alert")).to_contain_text("at least one")
    dialog.get_by_label("read mail").check()
    dialog.get_by_role("button", name="Create").click()
    secret = dialog.locator(".secret span").first.inner_text()
    page.mouse.click(5, 5)  # what is shown once does not go by a slip
    dialog.get_by_role("button", name="Done").click()
    with imaplib.IMAP4("127.0.0.1", find_port(home, "imap")) as client:
        client.login(ANN, secret)
        assert client.select("INBOX")[0] == "OK"
    submission = smtplib.SMTP("127.0.0.1", find_port(home, "submission"), timeout=20)
    with submission, pytest.raises(smtplib.SMTPAuthenticationError):
        submission.login(ANN, secret)
    item = panel(page, "App passwords").get_by_role("listitem").filter(has_text="Reader")
    item.get_by_role("button", name="Remove Reader").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove", exact=True).click()
    expect(item).to_have_count(0)
    with imaplib.IMAP4("127.0.0.1", find_port(home, "imap")) as client, pytest.raises(imaplib.IMAP4.error):
        client.login(ANN, secret)


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
    box.get_by_label(re.compile("^Until")).fill("2030-06-01T08:00")
    box.get_by_role("button", name="Save").click()
    expect(box.get_by_label(re.compile("^Until"))).to_have_attribute("aria-invalid", "true")
    box.get_by_label(re.compile("^Until")).fill("")
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


def test_who_writes_to_somebody_away_is_answered(open_page: OpenPage, home: Home, browser: Browser) -> None:
    ann = open_page()
    add_account(ann, "away@posthouse.test", "a long password 4")
    page = open_as(home, browser, "away@posthouse.test", "a long password 4")
    page.goto(f"{home.url}/settings/delivery")
    box = panel(page, "Vacation answer")
    box.get_by_label("Answer while I am away").check()
    box.get_by_label("Subject").fill("Gone fishing")
    box.get_by_label("Text", exact=True).fill("Back in May.")
    box.get_by_role("button", name="Save").click()
    expect(page.locator(".toast")).to_contain_text("Saved")
    answers: list[dict[str, object]] = []
    for number in range(12):  # who is away is looked up every few seconds
        send_mail(home, "away@posthouse.test", f"Are you there {number}")
        ann.wait_for_timeout(1000)
        if answers := find_emails(ann, "Gone fishing", "preview"):
            break
    assert ["Back in May." in str(one["preview"]) for one in answers] == [True]
    page.context.close()


def test_what_arrives_is_sent_on(open_page: OpenPage, home: Home, browser: Browser) -> None:
    ann = open_page()
    add_account(ann, "moved@posthouse.test", "a long password 5")
    page = open_as(home, browser, "moved@posthouse.test", "a long password 5")
    page.goto(f"{home.url}/settings/delivery")
    box = panel(page, "Forwarding")
    box.get_by_label("Forward to").fill(ANN)
    box.get_by_role("button", name="Add").click()
    expect(box.get_by_role("listitem").filter(has_text=ANN)).to_be_visible()
    expect(box.get_by_label("Keep a copy here")).to_be_checked()
    send_mail(home, "moved@posthouse.test", "To the old house", "far@elsewhere.example")
    wait_for_mail(ann, "To the old house")
    wait_for_mail(page, "To the old house")
    page.context.close()


def test_other_sessions_are_ended_one_and_all(open_page: OpenPage, home: Home, browser: Browser) -> None:
    add_account(open_page(), "many@posthouse.test", "a long password 6")
    page, *others = [open_as(home, browser, "many@posthouse.test", "a long password 6") for _ in range(4)]
    page.goto(f"{home.url}/settings/sessions")
    rows = page.get_by_role("main").get_by_role("listitem")
    expect(rows).to_have_count(4)
    rows.filter(has_not_text="This session").first.get_by_role("button").click()
    expect(rows).to_have_count(3)
    page.get_by_role("button", name="End all others").click()
    page.get_by_role("dialog").get_by_role("button", name="End all others").click()
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("This session")
    for other in others:
        other.reload()
        expect(other.get_by_label("Email address")).to_be_visible()
        other.context.close()
    page.context.close()


def test_a_file_that_cannot_be_imported_is_refused_in_plain_words(open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page("/settings/transfer")
    box = panel(page, "Import")
    wrong = tmp_path / "holiday.txt"
    wrong.write_text("no mail")
    box.get_by_label("File").set_input_files(wrong)
    expect(box.get_by_role("alert")).to_contain_text(".mbox, .eml or .zip")
    torn = tmp_path / "torn.zip"
    torn.write_bytes(b"PK\x03\x04 and no more")
    box.get_by_label("File").set_input_files(torn)
    expect(box.get_by_role("alert")).to_have_count(0)
    box.get_by_role("button", name="Import").click()
    expect(box.get_by_role("alert")).to_be_visible()
    assert "Error" not in box.get_by_role("alert").inner_text()


def test_a_zip_file_brings_its_mailboxes(open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page("/settings/transfer")
    mail = tmp_path / "mail.zip"
    with zipfile.ZipFile(mail, "w") as made:
        made.writestr(
            "Attic/1.eml", "From: a@x.example\r\nSubject: From the attic\r\nMessage-ID: <attic@x>\r\n\r\nHello\r\n"
        )
    box = panel(page, "Import")
    box.get_by_label("File").set_input_files(mail)
    expect(box.get_by_label("Into")).to_have_value("")
    box.get_by_role("button", name="Import").click()
    expect(box).to_contain_text("1 message imported")
    assert len(find_emails(page, "From the attic")) == 1
    names = [box["name"] for box in cast("list[dict[str, object]]", ask(page, "Mailbox/get", ids=None)["list"])]
    assert "Attic" in names


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
