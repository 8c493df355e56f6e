"""Writing mail in the browser: every way to begin, what is kept, what is sent and when, against a running server."""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.jmap_page import ask, find_emails, find_mailbox, list_barriers
from tests.browser.letters import ANN, BOB

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

_PASTE = """([kind, data, name]) => {
    const pasted = new DataTransfer();
    if (name) {
        const octets = Uint8Array.from(atob(data), letter => letter.charCodeAt(0));
        pasted.items.add(new File([octets], name, { type: kind }));
    } else pasted.setData(kind, data);
    const event = new ClipboardEvent("paste", { clipboardData: pasted, bubbles: true, cancelable: true });
    document.querySelector(".rich").dispatchEvent(event);
}"""
_PNG = "iVBORw0KGgoAAAANSUhEUgAAAAoAAAAKCAYAAACNMs+9AAAAFUlEQVR42mNk+M9Qz0AEYBxVSF+FABJADveWkH6oAAAAAElFTkSuQmCC"


def begin(page: Page, to: str = "", subject: str = "", text: str = "") -> Locator:
    page.get_by_role("button", name="Compose").click()
    window = page.get_by_role("dialog")
    if to:
        window.get_by_role("combobox", name="To").fill(f"{to},")
    if subject:
        window.get_by_label("Subject").fill(subject)
    editor = window.get_by_role("textbox", name="Message")
    expect(window.get_by_role("toolbar")).to_be_visible()
    if text:
        editor.click()
        page.keyboard.type(text)
    return window


def open_row(page: Page, text: str) -> None:
    page.locator(".row", has_text=text).first.click()


def press_send(window: Locator) -> None:
    window.get_by_role("button", name="Send", exact=True).click()


def say(page: Page, text: str) -> Locator:
    note = page.locator(".toast", has_text=text)
    expect(note.first).to_be_visible()
    return note.first


def test_a_message_in_rich_text_goes_with_a_plain_version(open_page: OpenPage) -> None:
    page = open_page()
    window = begin(page, BOB, "A rich message", "Dear Bob, this is ")
    page.keyboard.press("Control+b")
    page.keyboard.type("important")
    page.keyboard.press("Control+Enter")
    expect(window).to_have_count(0)
    say(page, "Sending")
    [email] = find_emails(page, "A rich message", "bodyValues", "to", "keywords")
    values = [
        cast("dict[str, str]", value)["value"] for value in cast("dict[str, object]", email["bodyValues"]).values()
    ]
    assert any("<b>important</b>" in value for value in values)
    assert any(value.startswith("Dear Bob, this is important") for value in values)
    assert "$draft" not in cast("dict[str, bool]", email["keywords"])


def test_sending_is_undone_and_the_message_is_a_draft_again(open_page: OpenPage) -> None:
    page = open_page()
    press_send(begin(page, BOB, "Sent too early", "Wait"))
    say(page, "Sending").get_by_role("button", name="Undo").click()
    say(page, "Sending stopped")
    window = page.get_by_role("dialog")
    expect(window.get_by_label("Subject")).to_have_value("Sent too early")
    expect(window.get_by_role("textbox", name="Message")).to_contain_text("Wait")
    [email] = find_emails(page, "Sent too early", "mailboxIds", "keywords")
    assert email["mailboxIds"] == {find_mailbox(page, "drafts"): True}
    window.get_by_role("button", name="Discard draft").click()


def test_a_message_for_later_lies_in_scheduled_and_can_be_changed(open_page: OpenPage) -> None:
    page = open_page()
    window = begin(page, BOB, "For tomorrow", "Good morning")
    window.get_by_role("button", name="More ways to send").click()
    page.get_by_role("menuitem", name="Send later").click()
    page.get_by_role("button", name="Tomorrow morning").click()
    say(page, "Will be sent")
    [email] = find_emails(page, "For tomorrow", "mailboxIds")
    assert email["mailboxIds"] == {find_mailbox(page, "scheduled"): True}
    page.get_by_role("navigation").get_by_role("link", name=re.compile("^Scheduled")).click()
    expect(page.locator(".row", has_text="For tomorrow").locator("time")).to_contain_text(", 08:00")
    open_row(page, "For tomorrow")
    expect(page.locator(".delivery")).to_contain_text("Will be sent")
    page.get_by_role("button", name="Stop and edit").click()
    window = page.get_by_role("dialog")
    expect(window.get_by_label("Subject")).to_have_value("For tomorrow")
    expect(page.locator(".toast", has_text="Will be sent")).to_have_count(0)
    expect(page.get_by_text("No conversation selected")).to_be_attached()
    told = ask(page, "EmailSubmission/query", filter={"undoStatus": "pending", "emailIds": [email["id"]]})
    assert told["ids"] == []
    window.get_by_role("button", name="Discard draft").click()


def test_while_it_can_be_undone_a_message_says_that_it_is_being_sent_and_nothing_jumps(open_page: OpenPage) -> None:
    page = open_page()
    side = page.get_by_role("navigation")
    press_send(begin(page, BOB, "Held a moment", "On its way"))
    say(page, "Sending")
    expect(side.get_by_role("link", name=re.compile("^Scheduled"))).to_have_count(0)
    [email] = find_emails(page, "Held a moment", "threadId", "mailboxIds")
    assert email["mailboxIds"] == {find_mailbox(page, "scheduled"): True}
    page.goto(page.url.partition("/mail")[0] + f"/mail/inbox/{email['threadId']}")
    notice = page.locator(".delivery")
    expect(notice).to_contain_text("Sending")
    expect(page.locator(".message .notice")).to_have_count(1)
    expect(page.locator(".place")).to_have_count(0)
    notice.get_by_role("button", name="Undo").click()
    window = page.get_by_role("dialog")
    expect(window.get_by_label("Subject")).to_have_value("Held a moment")
    window.get_by_role("button", name="Discard draft").click()


def test_what_became_of_a_message_is_said_for_each_recipient(open_page: OpenPage) -> None:
    page = open_page()
    press_send(begin(page, f"{BOB}, x@silent.example", "For two", "Hello both"))
    say(page, "Sending")
    [email] = find_emails(page, "For two", "threadId")
    page.goto(page.url.partition("/mail")[0] + f"/mail/inbox/{email['threadId']}")
    fates = page.get_by_role("region", name="Delivery").get_by_role("listitem")
    expect(fates.filter(has_text=BOB)).to_contain_text("delivered", timeout=30_000)
    expect(fates.filter(has_text="x@silent.example")).to_contain_text("on its way")


def test_quotes_in_what_is_answered_are_levels(open_page: OpenPage) -> None:
    page = open_page()
    found = find_emails(page, "Re: Spring fair: who takes what?", "preview")
    [answered] = [email["id"] for email in found if str(email["preview"]).startswith("Wonderful")]
    page.goto(page.url.partition("/mail")[0] + f"/compose?reply={answered}")
    window = page.get_by_role("dialog")
    expect(window.locator(".rich blockquote blockquote")).to_have_text("I take the catering, then we have everything.")
    window.get_by_role("button", name="More", exact=True).click()
    page.get_by_role("menuitemcheckbox", name="Plain text").click()
    expect(window.locator("textarea")).to_have_value(re.compile("\n>> I take the catering"))
    window.get_by_role("button", name="Discard draft").click()


def test_a_time_that_is_past_is_refused(open_page: OpenPage) -> None:
    page = open_page()
    window = begin(page, BOB, "Too late", "x")
    window.get_by_role("button", name="More ways to send").click()
    page.get_by_role("menuitem", name="Send later").click()
    page.get_by_label("At another time").fill("2020-01-01T08:00")
    page.locator("dialog form").evaluate("form => form.noValidate = true")
    page.get_by_role("button", name="Schedule", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("still to come")
    page.keyboard.press("Escape")
    window.get_by_role("button", name="Discard draft").click()


def test_an_answer_to_all_goes_to_everybody_but_me_and_hangs_on_the_message(open_page: OpenPage) -> None:
    page = open_page()
    open_row(page, "who takes what")
    page.locator(".message").last.wait_for()
    page.keyboard.press("a")
    window = page.get_by_role("dialog")
    expect(window.get_by_role("textbox", name="Message")).to_contain_text("wrote:")
    chips = [chip.inner_text() for chip in window.locator(".chip").all()]
    assert chips
    assert not any(ANN in chip or "Ann Berger" in chip for chip in chips)
    page.keyboard.type("Thank you all.")
    page.keyboard.press("Control+Enter")
    say(page, "Sending")
    subject = "Re: Spring fair: who takes what?"
    found = find_emails(page, subject, "inReplyTo", "references", "bodyValues", "receivedAt")
    newest = max(found, key=lambda email: str(email["receivedAt"]))
    assert newest["inReplyTo"]
    assert cast("list[str]", newest["references"])[-1] == cast("list[str]", newest["inReplyTo"])[0]
    assert "Thank you all." in str(newest["bodyValues"])


def test_a_forwarded_message_takes_its_attachments_along(open_page: OpenPage) -> None:
    page = open_page()
    open_row(page, "Photos from the coast")
    page.locator(".message").last.wait_for()
    page.keyboard.press("f")
    window = page.get_by_role("dialog")
    expect(window.get_by_label("Subject")).to_have_value(re.compile("^Fwd: "))
    expect(window.get_by_role("list", name="Attachments").get_by_role("listitem")).to_have_count(3)
    expect(window.get_by_role("textbox", name="Message")).to_contain_text("Forwarded message")
    window.get_by_role("combobox", name="To").fill(f"{BOB},")
    window.get_by_label("Subject").fill("Photos for Bob")
    press_send(window)
    say(page, "Sending")
    [email] = find_emails(page, "Photos for Bob", "attachments")
    assert len(cast("list[object]", email["attachments"])) == 3


def test_a_draft_is_saved_and_comes_back_after_a_reload(open_page: OpenPage) -> None:
    page = open_page()
    window = begin(page, "", "Begun only", "Half a sen")
    expect(window.get_by_text("Draft saved")).to_be_visible()
    page.keyboard.type("tence")
    page.wait_for_timeout(400)
    page.reload()
    window = page.get_by_role("dialog")
    expect(window.get_by_role("textbox", name="Message")).to_have_text("Half a sentence")
    page.keyboard.press("Escape")
    expect(window).to_have_count(0)
    drafts = find_emails(page, "Begun only", "preview")
    assert [draft["preview"] for draft in drafts] == ["Half a sentence"]
    page.get_by_role("navigation").get_by_role("link", name=re.compile("^Drafts")).click()
    open_row(page, "Begun only")
    window = page.get_by_role("dialog")
    expect(window.get_by_label("Subject")).to_have_value("Begun only")
    window.get_by_role("button", name="Discard draft").click()
    say(page, "Draft discarded").get_by_role("button", name="Undo").click()
    expect(page.get_by_role("dialog").get_by_label("Subject")).to_have_value("Begun only")
    page.get_by_role("dialog").get_by_role("button", name="Discard draft").click()


def test_a_window_that_nothing_was_written_in_leaves_no_draft(open_page: OpenPage) -> None:
    page = open_page()
    before = ask(page, "Email/query", filter={"hasKeyword": "$draft"})["ids"]
    begin(page)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert ask(page, "Email/query", filter={"hasKeyword": "$draft"})["ids"] == before


def test_addresses_are_suggested_from_past_mail_and_taken_by_keyboard(open_page: OpenPage) -> None:
    page = open_page()
    window = begin(page)
    field = window.get_by_role("combobox", name="To")
    field.press_sequentially("mira")
    expect(window.get_by_role("option").first).to_contain_text("mira@studio-nord.example")
    field.press("Enter")
    expect(window.locator(".chip")).to_have_text(["Mira Okafor"])
    field.press("Backspace")
    page.keyboard.press("Enter")
    expect(field).to_have_value("Mira Okafor <mira@studio-nord.example>")
    field.fill("")
    field.fill("Jo <jo@x.example>; not-an-address")
    field.press("Enter")
    expect(window.locator(".chip")).to_have_count(2)
    expect(window.locator(".chip-box.wrong")).to_contain_text("not-an-address")
    window.get_by_label("Subject").fill("x")
    press_send(window)
    expect(window.get_by_role("alert")).to_contain_text("not-an-address")
    window.get_by_role("button", name="Discard draft").click()


def test_a_forgotten_attachment_and_an_empty_subject_are_asked_about(open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page()
    window = begin(page, BOB, "", "I have attached the report.")
    press_send(window)
    question = page.locator("dialog.dialog")
    expect(question).to_contain_text("Nothing is attached")
    expect(question).to_contain_text("no subject")
    question.get_by_role("button", name="Cancel").click()
    report = tmp_path / "report.txt"
    report.write_text("figures\n" * 1000)
    window.locator("input[type=file]").set_input_files(report)
    expect(window.get_by_role("listitem").filter(has_text="report.txt")).to_be_visible()
    expect(window.locator("progress")).to_have_count(0)
    window.get_by_label("Subject").fill("With the report")
    press_send(window)
    say(page, "Sending")
    [email] = find_emails(page, "With the report", "attachments", "hasAttachment")
    [part] = cast("list[dict[str, object]]", email["attachments"])
    assert (part["name"], part["disposition"]) == ("report.txt", "attachment")


def test_the_recipient_at_fault_is_named_and_nothing_is_lost(open_page: OpenPage) -> None:
    page = open_page()
    window = begin(page, f"{BOB}, x@closed.example", "Not for all", "Hello both")
    press_send(window)
    expect(window.get_by_role("alert")).to_contain_text("x@closed.example")
    expect(window.locator(".chip-box.wrong")).to_have_text("x@closed.example")
    expect(window.get_by_role("textbox", name="Message")).to_have_text("Hello both")
    window.get_by_role("button", name="Remove x@closed.example").click()
    press_send(window)
    say(page, "Sending")
    assert len(find_emails(page, "Not for all")) == 1


def test_a_pasted_image_stands_in_the_text_and_goes_along(open_page: OpenPage) -> None:
    page = open_page()
    window = begin(page, BOB, "With a picture", "Look: ")
    page.evaluate(_PASTE, ["image/png", _PNG, "dot.png"])
    expect(window.locator(".rich img[data-cid]")).to_be_visible()
    expect(window.locator("progress")).to_have_count(0)
    expect(window.get_by_text("Draft saved")).to_be_visible()
    press_send(window)
    say(page, "Sending")
    [email] = find_emails(page, "With a picture", "attachments", "bodyValues")
    [part] = cast("list[dict[str, object]]", email["attachments"])
    assert part["disposition"] == "inline"
    assert f"cid:{part['cid']}" in str(email["bodyValues"])


def test_pasted_html_brings_no_script_and_lies_over_nothing(open_page: OpenPage) -> None:
    page = open_page()
    window = begin(page)
    window.get_by_role("textbox", name="Message").click()
    hostile = (
        '<div style="position:fixed;inset:0;color:red">over all</div><script>window.ran = 1</script>'
        '<iframe srcdoc="<script>parent.ran = 1</script>"></iframe><form action="/"><input name=x></form>'
        '<svg><a href="javascript:ran=1">x</a></svg><a href="javascript:ran=1">link</a>'
        '<img src="http://tracker.example/x.gif"><b>kept</b>'
    )
    page.evaluate(_PASTE, ["text/html", hostile, ""])
    rich = window.locator(".rich")
    expect(rich.locator("b")).to_have_text("kept")
    html = rich.inner_html()
    for word in ("position", "inset", "script", "iframe", "form", "svg", 'src="http'):
        assert word not in html, html
    assert page.evaluate("() => window.ran") is None
    window.get_by_role("button", name="Discard draft").click()


def test_plain_text_is_chosen_and_nothing_is_lost_unasked(open_page: OpenPage) -> None:
    page = open_page()
    window = begin(page, BOB, "Only text", "Some ")
    page.keyboard.press("Control+i")
    page.keyboard.type("slanted")
    window.get_by_role("button", name="More", exact=True).click()
    page.get_by_role("menuitemcheckbox", name="Plain text").click()
    page.get_by_role("button", name="Change to plain text").click()
    area = window.locator("textarea")
    expect(area).to_have_value("Some slanted\n")
    area.fill("Just text.\n")
    press_send(window)
    say(page, "Sending")
    [email] = find_emails(page, "Only text", "bodyStructure")
    assert cast("dict[str, object]", email["bodyStructure"])["type"] == "text/plain"


def test_another_identity_brings_its_signature(open_page: OpenPage) -> None:
    page = open_page()
    made = ask(
        page,
        "Identity/set",
        create={"i": {"name": "Ann at work", "email": ANN, "textSignature": "Ann Berger\nSpring fair"}},
    )
    identity = cast("dict[str, dict[str, str]]", made["created"])["i"]["id"]
    page.reload()
    window = begin(page, BOB, "Signed", "Hello")
    window.get_by_label("From", exact=True).select_option(label=f"Ann at work <{ANN}>")
    expect(window.locator(".rich .signature")).to_contain_text("Spring fair")
    press_send(window)
    say(page, "Sending")
    [email] = find_emails(page, "Signed", "from", "bodyValues")
    assert cast("list[dict[str, str]]", email["from"])[0]["name"] == "Ann at work"
    assert "-- " not in str(email["bodyValues"]) or "Spring fair" in str(email["bodyValues"])
    ask(page, "Identity/set", destroy=[identity])


def test_several_windows_stand_beside_each_other(open_page: OpenPage) -> None:
    page = open_page(viewport=(1900, 900))
    begin(page, "", "First", "one")
    page.get_by_role("button", name="Compose").click()
    windows = page.get_by_role("dialog")
    expect(windows).to_have_count(2)
    boxes = [window.bounding_box() for window in windows.all()]
    assert boxes[0] is not None
    assert boxes[1] is not None
    assert abs(boxes[0]["x"] - boxes[1]["x"]) > 100
    for left in (1, 0):
        windows.first.get_by_role("button", name="Save and close").click()
        expect(windows).to_have_count(left)


def test_on_a_phone_the_window_fills_the_screen(open_page: OpenPage) -> None:
    page = open_page("/compose?to=bob@x.example", viewport=(390, 800))
    window = page.get_by_role("dialog")
    expect(window.get_by_role("toolbar")).to_be_visible()
    page.wait_for_timeout(300)
    assert window.bounding_box() == {"x": 0, "y": 0, "width": 390, "height": 800}
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
    assert list_barriers(page, ".compose-window") == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_window_has_no_barriers(open_page: OpenPage, scheme: str) -> None:
    page = open_page("/compose?to=bob@x.example,wrong&cc=c@x.example&subject=Hello", color_scheme=scheme)
    window = page.get_by_role("dialog")
    expect(window.get_by_role("toolbar")).to_be_visible()
    assert list_barriers(page, ".compose-window") == []


def test_a_link_of_mail_fills_the_fields(open_page: OpenPage) -> None:
    page = open_page("/compose?mailto=mailto:jo%2Bx@x.example%3Fsubject=Hi%2520there%26body=one%250Atwo")
    window = page.get_by_role("dialog")
    expect(window.locator(".chip")).to_have_text(["jo+x@x.example"])
    expect(window.get_by_label("Subject")).to_have_value("Hi there")
    expect(window.get_by_role("textbox", name="Message")).to_contain_text("two")
