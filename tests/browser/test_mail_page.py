"""Mail in the browser: every feature of list, reading, search and mailboxes once, against a running server."""

from __future__ import annotations

import re
import smtplib
import ssl
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import Home, OpenPage, running_home
from tests.browser.jmap_page import ask
from tests.browser.letters import ANN

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180)]

KeepShot = Callable[[Page, str], None]


def row(page: Page, text: str) -> Locator:
    return page.locator(".row", has_text=text).first


def open_mailbox(page: Page, name: str) -> None:
    page.get_by_role("navigation").get_by_role("link", name=re.compile(f"^{name}")).click()
    expect(page.locator(".list-bar h1")).to_have_text(name)


def send(home: Home, subject: str, text: str = "Hello Ann,\n\nhere it is.\n") -> None:
    """As another server hands it in, by SMTP."""
    config = (home.directory / "posthouse.toml").read_text()
    found = re.search(r'service = "smtp"\nbind = "127.0.0.1:(\d+)"', config)
    assert found is not None
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "Bob <bob@elsewhere.example>", ANN, subject
    message["Message-ID"] = f"<{abs(hash(subject))}@elsewhere.example>"
    message.set_content(text)
    with smtplib.SMTP("127.0.0.1", int(found[1]), timeout=20) as client:
        client.starttls(context=ssl._create_unverified_context())
        client.send_message(message, "bob@elsewhere.example", [ANN])


def test_the_inbox_is_shown_with_what_is_new(open_page: OpenPage, keep_shot: KeepShot) -> None:
    page = open_page()
    expect(row(page, "Spring fair")).to_have_class(re.compile("unread"))
    expect(row(page, "Spring fair").locator(".row-names")).to_have_text("Jonas, Mira, me")
    expect(page).to_have_title(re.compile(r"^\(\d+\) Inbox"))
    assert "data:image/svg" in str(page.locator("#favicon").get_attribute("href"))
    keep_shot(page, "inbox")


def test_a_conversation_is_read_whole_with_what_i_answered_in_its_place(
    open_page: OpenPage, keep_shot: KeepShot
) -> None:
    page = open_page()
    row(page, "who takes what").click()
    messages = page.locator(".message")
    expect(messages).to_have_count(4)
    expect(messages.nth(2)).to_contain_text("me")
    body = messages.nth(3).frame_locator("iframe")
    expect(body.get_by_text("Wonderful! I'll send the final version")).to_be_visible()
    expect(row(page, "who takes what")).not_to_have_class(re.compile("unread"))
    messages.nth(0).click()
    expect(messages.nth(0).frame_locator("iframe").get_by_text("the fair is in seven weeks")).to_be_visible()
    keep_shot(page, "conversation")


def test_the_frame_of_a_message_is_as_high_as_the_message(open_page: OpenPage) -> None:
    page = open_page()
    row(page, "Five bulbs").click()
    frame = page.locator("iframe.frame")
    expect(frame).to_be_visible()
    page.wait_for_function("() => document.querySelector('iframe.frame').offsetHeight > 200")
    assert frame.evaluate("frame => frame.getAttribute('sandbox')") == ("allow-popups allow-popups-to-escape-sandbox")


def test_pictures_from_elsewhere_are_asked_for_and_senders_remembered(open_page: OpenPage) -> None:
    page = open_page()
    row(page, "Five bulbs").click()
    expect(page.get_by_text("Images are not shown.")).to_be_visible()
    page.get_by_role("button", name="Show once").click()
    expect(page.locator("iframe.frame")).to_have_attribute("src", re.compile("images=1"))
    row(page, "Your ticket").click()
    row(page, "Five bulbs").click()
    page.get_by_role("button", name="Always for this sender").click()
    page.wait_for_timeout(500)
    page.reload()
    expect(page.locator("iframe.frame")).to_have_attribute("src", re.compile("images=1"))


def test_attachments_are_previewed_and_saved_at_once(open_page: OpenPage) -> None:
    page = open_page()
    row(page, "Photos from the coast").click()
    files = page.locator(".attachment")
    expect(files).to_have_count(3)
    page.wait_for_function(
        "() => [...document.querySelectorAll('.attachment img')].every(image => image.naturalWidth > 0)"
    )
    page.get_by_role("button", name="Preview cliffs.jpg").click()
    expect(page.locator(".preview img")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Preview notes.txt").click()
    expect(page.locator("dialog pre")).to_contain_text("Etretat")
    page.keyboard.press("Escape")
    with page.expect_download() as saved:
        page.get_by_role("link", name="Save all").click()
    assert saved.value.suggested_filename.endswith(".zip")
    row(page, "Your ticket").click()
    page.get_by_role("button", name="Preview ticket.pdf").click()
    expect(page.locator(".preview img")).to_be_visible()


def test_an_invitation_shows_what_when_and_where(open_page: OpenPage) -> None:
    page = open_page()
    row(page, "Invitation").click()
    card = page.get_by_role("region", name="Invitation")
    expect(card).to_contain_text("Planning for the spring fair")
    expect(card).to_contain_text("Kontor, room 3")
    expect(card).to_contain_text("Jonas Weber")


def test_a_list_is_left_by_the_mail_it_asks_for(open_page: OpenPage) -> None:
    page = open_page()
    row(page, "Five bulbs").click()
    page.get_by_role("button", name="Unsubscribe").click()
    page.get_by_role("dialog").get_by_role("button", name="Unsubscribe").click()
    expect(page.get_by_text("leave@gardenweekly.example")).to_be_visible()


def test_headers_and_source_are_shown(open_page: OpenPage) -> None:
    page = open_page()
    row(page, "Your ticket").click()
    page.locator(".message-tools").get_by_role("button", name="More actions").click()
    page.get_by_role("menuitem", name="Show source").click()
    expect(page.locator("dialog pre")).to_contain_text("Message-ID: <letter-")
    page.keyboard.press("Escape")
    page.locator(".message-tools").get_by_role("button", name="More actions").click()
    page.get_by_role("menuitem", name="Show headers").click()
    expect(page.locator("dialog pre")).to_contain_text("Subject:")


def test_archive_can_be_undone(open_page: OpenPage) -> None:
    page = open_page()
    row(page, "Keys for the storage room").click()
    page.keyboard.press("e")
    expect(page.locator(".row", has_text="Keys for the storage room")).to_have_count(0)
    expect(page.get_by_text("Conversation archived")).to_be_visible()
    open_mailbox(page, "Archive")
    expect(row(page, "Keys for the storage room")).to_be_visible()
    page.get_by_role("button", name="Undo").last.click()
    expect(page.locator(".row", has_text="Keys for the storage room")).to_have_count(0)
    open_mailbox(page, "Inbox")
    expect(row(page, "Keys for the storage room")).to_be_visible()


def test_keys_choose_several_and_act_on_them(open_page: OpenPage) -> None:
    page = open_page()
    expect(row(page, "Spring fair")).to_be_visible()
    for _ in range(3):
        page.keyboard.press("j")
        page.keyboard.press("x")
    expect(page.locator(".chosen-count")).to_have_text("3 selected")
    page.keyboard.press("Shift+U")
    expect(page.locator(".row.unread").nth(2)).to_be_visible()
    page.keyboard.press("z")
    page.keyboard.type("*a")
    expect(page.locator(".chosen-count")).to_contain_text("selected")
    page.keyboard.type("*n")
    expect(page.locator(".chosen-count")).to_have_count(0)


def test_the_list_of_keys_opens_and_closes(open_page: OpenPage, keep_shot: KeepShot) -> None:
    page = open_page()
    expect(row(page, "Spring fair")).to_be_visible()
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(dialog).to_be_visible()
    expect(dialog).to_contain_text("Reply all")
    expect(dialog.locator("div", has_text="Ctrl+Enter").last).to_contain_text("Send")
    page.keyboard.press("j")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page.locator(".row.at")).to_have_count(0)


def test_junk_and_not_junk(open_page: OpenPage) -> None:
    page = open_page()
    open_mailbox(page, "Junk")
    row(page, "You have won").click()
    page.get_by_role("button", name="Not junk", exact=True).first.click()
    open_mailbox(page, "Inbox")
    expect(row(page, "You have won")).to_be_visible()
    row(page, "You have won").click()
    page.keyboard.press("!")
    expect(page.locator(".row", has_text="You have won")).to_have_count(0)


def test_what_is_deleted_goes_to_the_trash_and_from_there_for_good(open_page: OpenPage) -> None:
    page = open_page()
    row(page, "A book you would like").click()
    page.keyboard.press("#")
    expect(page.locator(".row", has_text="A book you would like")).to_have_count(0)
    open_mailbox(page, "Trash")
    row(page, "A book you would like").click()
    page.keyboard.press("#")
    page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
    expect(page.locator(".row", has_text="A book you would like")).to_have_count(0)
    page.reload()
    expect(row(page, "Old newsletter")).to_be_visible()
    page.get_by_role("button", name="Empty Trash").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_text("Nothing here")).to_be_visible()


def test_a_message_that_is_open_when_the_trash_is_emptied_is_closed(open_page: OpenPage) -> None:
    page = open_page()
    row(page, "New opening hours").click()
    page.keyboard.press("#")
    open_mailbox(page, "Trash")
    row(page, "New opening hours").click()
    page.get_by_role("button", name="Empty Trash").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_text("No conversation selected")).to_be_visible()


def test_mailboxes_are_made_nested_renamed_and_deleted(open_page: OpenPage) -> None:
    page = open_page()
    side = page.get_by_role("navigation")
    side.get_by_role("button", name="New mailbox").click()
    page.get_by_label("Name", exact=True).fill("lists")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_text("There is one of that name.")).to_be_visible()
    page.get_by_label("Name", exact=True).fill("Projects")
    page.get_by_role("button", name="Create").click()
    expect(side.get_by_role("link", name="Projects")).to_be_visible()
    side.get_by_role("link", name="Projects").hover()
    side.get_by_role("button", name="Actions for Projects").click()
    page.get_by_role("menuitem", name="New mailbox inside").click()
    page.get_by_label("Name", exact=True).fill("Fair")
    page.get_by_role("button", name="Create").click()
    expect(side.get_by_role("link", name="Fair", exact=True)).to_be_visible()
    side.get_by_role("link", name="Fair", exact=True).hover()
    side.get_by_role("button", name="Actions for Fair").click()
    page.get_by_role("menuitem", name="Rename").click()
    page.get_by_label("Name", exact=True).fill("Spring")
    page.get_by_role("button", name="Save").click()
    expect(side.get_by_role("link", name="Spring", exact=True)).to_be_visible()
    side.get_by_role("link", name="Projects").hover()
    side.get_by_role("button", name="Actions for Projects").click()
    page.get_by_role("menuitem", name="Delete mailbox").click()
    expect(page.get_by_role("alert")).to_contain_text("Projects has other mailboxes inside")
    side.get_by_role("link", name="Lists").drag_to(side.get_by_role("link", name="Projects"))
    expect(page.get_by_role("button", name="Undo")).to_have_count(2)
    page.get_by_role("button", name="Undo").last.click()
    side.get_by_role("link", name="Spring", exact=True).hover()
    side.get_by_role("button", name="Actions for Spring").click()
    page.get_by_role("menuitem", name="Delete mailbox").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
    expect(side.get_by_role("link", name="Spring", exact=True)).to_have_count(0)


def test_mail_is_dragged_onto_a_mailbox(open_page: OpenPage) -> None:
    page = open_page()
    row(page, "Choir rehearsal").drag_to(page.get_by_role("navigation").get_by_role("link", name="Lists"))
    expect(page.locator(".row", has_text="Choir rehearsal")).to_have_count(0)
    open_mailbox(page, "Lists")
    expect(row(page, "Choir rehearsal")).to_be_visible()
    page.get_by_role("button", name="Undo").last.click()
    open_mailbox(page, "Inbox")
    expect(row(page, "Choir rehearsal")).to_be_visible()


def test_a_star_is_set_and_found(open_page: OpenPage) -> None:
    page = open_page()
    row(page, "Water will be off").hover()
    row(page, "Water will be off").get_by_role("button", name="Star", exact=True).click()
    page.keyboard.type("gs")
    expect(page.locator(".list-bar h1")).to_have_text("Search results")
    expect(row(page, "Water will be off")).to_be_visible()
    expect(row(page, "Invoice 2026-114")).to_be_visible()


def test_snoozed_mail_leaves_and_comes_back(open_page: OpenPage) -> None:
    page = open_page()
    row(page, "Minutes of Tuesday").click()
    page.keyboard.press("b")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    dialog.get_by_role("button", name=re.compile("Tomorrow", re.IGNORECASE)).first.click()
    expect(page.locator(".row", has_text="Minutes of Tuesday")).to_have_count(0)
    open_mailbox(page, "Snoozed")
    expect(row(page, "Minutes of Tuesday").locator("time")).to_contain_text(", 08:00")
    row(page, "Minutes of Tuesday").click()
    expect(page.locator(".message .notice")).to_contain_text(re.compile("Snoozed until .*, 08:00"))
    row(page, "Minutes of Tuesday").click(button="right")
    page.get_by_role("menuitem", name="Bring back now").click()
    expect(page.locator(".row", has_text="Minutes of Tuesday")).to_have_count(0)
    open_mailbox(page, "Inbox")
    expect(row(page, "Minutes of Tuesday")).to_be_visible()


def test_search_by_operators_with_snippets_and_saved(open_page: OpenPage, keep_shot: KeepShot) -> None:
    page = open_page()
    expect(row(page, "Spring fair")).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("from:mira (has:attachment OR subject:recipe) -invoice")
    page.keyboard.press("Enter")
    expect(page.locator(".list-bar h1")).to_have_text("Search results")
    expect(row(page, "Spring fair")).to_be_visible()
    expect(page.locator(".row", has_text="Invoice")).to_have_count(0)
    page.locator("#search").fill("fair apple")
    page.keyboard.press("Enter")
    expect(page.locator(".row mark").first).to_be_visible()
    keep_shot(page, "search")
    page.get_by_role("button", name="Save search").click()
    page.get_by_role("dialog").get_by_label("Name", exact=True).fill("Cake")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    page.goto(page.url.partition("/search")[0] + "/mail/inbox")
    page.get_by_role("navigation").get_by_role("link", name="Cake").click()
    expect(page.locator("#search")).to_have_value("fair apple")


def test_what_a_search_does_not_understand_is_told(open_page: OpenPage) -> None:
    page = open_page("/search?q=before%3Asomeday")
    expect(page.get_by_text("“before:someday” is not understood")).to_be_visible()


def test_the_search_field_suggests_operators_and_people(open_page: OpenPage) -> None:
    page = open_page()
    page.locator("#search").click()
    expect(page.get_by_role("option", name=re.compile("^has:attachment"))).to_be_visible()
    page.keyboard.type("mir")
    expect(page.get_by_role("option", name=re.compile("Mira Okafor"))).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("from%3Amira%40studio-nord.example"))


def test_new_mail_appears_by_itself(open_page: OpenPage, home: Home) -> None:
    page = open_page()
    expect(row(page, "Spring fair")).to_be_visible()
    page.evaluate("""() => {
        window.seen = 0;
        new MutationObserver(() => {
            if (!window.seen && document.body.innerText.includes('Just in')) window.seen = performance.now();
        }).observe(document.body, {childList: true, subtree: true, characterData: true});
    }""")
    send(home, "Just in")
    expect(row(page, "Just in")).to_be_visible()
    expect(page.locator(".row").first).to_contain_text("Just in")
    expect(row(page, "Just in")).to_have_class(re.compile("unread"))


def test_of_two_tabs_one_listens_and_when_it_is_closed_the_other(open_page: OpenPage, home: Home) -> None:
    first = open_page()
    expect(row(first, "Spring fair")).to_be_visible()
    streams: list[str] = []
    first.context.on("request", lambda request: streams.append(request.url) if "eventsource" in request.url else None)
    second = first.context.new_page()
    second.goto(home.url + "/mail/inbox")
    expect(row(second, "Spring fair")).to_be_visible()
    send(home, "Told to both")
    expect(row(first, "Told to both")).to_be_visible()
    expect(row(second, "Told to both")).to_be_visible()
    assert streams == []
    with second.expect_request("**/jmap/eventsource*"):
        first.close()
    send(home, "Told to the heir")
    expect(row(second, "Told to the heir")).to_be_visible()


def test_a_phone_shows_one_pane_at_a_time(open_page: OpenPage, keep_shot: KeepShot) -> None:
    page = open_page(viewport=(390, 844), has_touch=True)
    expect(row(page, "Spring fair")).to_be_visible()
    keep_shot(page, "phone-list")
    row(page, "Photos from the coast").click()
    expect(page.locator(".list-pane")).to_be_hidden()
    expect(page.locator(".reading-head h1")).to_have_text("Photos from the coast")
    expect(page.locator(".message-head time")).to_be_visible()
    keep_shot(page, "phone-message")
    page.get_by_role("button", name="Back").click()
    expect(page.locator(".list-pane")).to_be_visible()
    page.get_by_role("button", name="Show mailboxes").click()
    page.get_by_role("navigation").get_by_role("link", name="Archive").click()
    expect(page.locator(".list-bar h1")).to_have_text("Archive")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_dark_follows_the_system_and_the_choice(open_page: OpenPage, keep_shot: KeepShot) -> None:
    page = open_page(color_scheme="dark")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    row(page, "who takes what").click()
    expect(page.locator("iframe.frame")).to_have_attribute("src", re.compile("dark=1"))
    keep_shot(page, "dark")


def test_the_page_speaks_german_to_who_does(open_page: OpenPage) -> None:
    page = open_page(locale="de-DE")
    expect(page.get_by_role("button", name="Schreiben")).to_be_visible()
    row(page, "Photos from the coast").click()
    expect(page.locator(".message-to")).to_contain_text("an mich")
    expect(page.locator("html")).to_have_attribute("lang", "de")


def test_when_the_server_is_gone_the_page_says_so_and_does_not_storm(browser: Browser, tmp_path: Path) -> None:
    with running_home(tmp_path / "house") as (other, process):
        context = browser.new_context(service_workers="block", locale="en-GB")
        other.sign_in(context)
        page = context.new_page()
        page.goto(other.url + "/mail/inbox")
        expect(row(page, "Spring fair")).to_be_visible()
        process.terminate()
        process.wait()
        expect(page.get_by_text("You are offline")).to_be_visible(timeout=10_000)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        row(page, "Photos from the coast").click()
        expect(page.get_by_text("The message could not be loaded.")).to_be_visible()
        page.keyboard.press("e")
        expect(page.get_by_role("alert").filter(has_text="no connection").first).to_be_visible()
        expect(row(page, "Photos from the coast")).to_be_visible()
        page.wait_for_timeout(1000)
        assert len(asked) < 30
        context.close()


def test_without_a_network_the_page_says_so(open_page: OpenPage) -> None:
    page = open_page()
    expect(row(page, "Spring fair")).to_be_visible()
    page.context.set_offline(True)
    expect(page.get_by_text("You are offline")).to_be_visible()
    page.context.set_offline(False)
    expect(page.get_by_text("You are offline")).to_have_count(0)


def test_a_message_says_its_mailbox_only_where_it_is_another_one(open_page: OpenPage) -> None:
    page = open_page()
    row(page, "Lunch on Friday").click()
    expect(page.locator(".message")).to_have_count(2)
    expect(page.locator(".place")).to_have_count(0)
    page.locator("#search").fill("noodle place")
    page.keyboard.press("Enter")
    row(page, "Lunch on Friday").click()
    expect(page.locator(".place")).to_have_text(["Inbox"])


def test_hours_are_written_in_one_way(open_page: OpenPage) -> None:
    page = open_page()
    row(page, "Keys for the storage room").click()
    page.keyboard.press("b")
    tomorrow = page.get_by_role("dialog").get_by_role("button", name="Tomorrow morning")
    expect(tomorrow).to_contain_text(", 08:00")


def test_labels_are_made_coloured_applied_and_taken_away(open_page: OpenPage) -> None:
    page = open_page()
    row(page, "Photos from the coast").click()
    page.keyboard.press("l")
    dialog = page.get_by_role("dialog", name="Labels")
    apply = dialog.get_by_role("button", name="Apply")
    expect(apply).to_be_disabled()
    dialog.get_by_placeholder("Find or create a label").fill("Music")
    dialog.get_by_role("button", name="Create “Music”").click()
    dialog.get_by_role("button", name="Change Music").click()
    dialog.get_by_label("Green").check(force=True)
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_role("checkbox", name="Music")).to_be_checked()
    dialog.get_by_role("checkbox", name="Music").uncheck()
    expect(apply).to_be_disabled()
    dialog.get_by_role("checkbox", name="Music").check()
    apply.click()
    chip = row(page, "Photos from the coast").locator(".label-chip")
    expect(chip).to_have_text("Music")
    expect(chip).to_have_css("border-left-color", "rgb(47, 143, 78)")
    page.get_by_role("navigation").get_by_role("link", name="Music").click()
    expect(page.locator(".row")).to_have_count(1)
    row(page, "Photos from the coast").click()
    page.keyboard.press("l")
    dialog.get_by_role("checkbox", name="Music").uncheck()
    apply.click()
    expect(page.locator(".label-chip")).to_have_count(0)
    page.keyboard.press("l")
    dialog.get_by_role("button", name="Change Music").click()
    dialog.get_by_role("button", name="Delete this label").click()
    expect(page.get_by_role("navigation").get_by_role("link", name="Music")).to_have_count(0)


_SPY_NOTES = """
    window.notes = [];
    window.Notification = class {
        static permission = "granted";
        static requestPermission = async () => "granted";
        constructor(title, options) { window.notes.push([title, options.body]); window.note = this; }
        close() {}
    };
    document.hasFocus = () => false;
"""


def test_new_mail_is_told_on_the_desktop_to_who_wants_it_and_is_elsewhere(open_page: OpenPage, home: Home) -> None:
    page = open_page(permissions=["notifications"])
    page.add_init_script(_SPY_NOTES)
    ask(page, "Preference/set", update={"singleton": {"value/notifications": True}})
    page.reload()
    expect(row(page, "Spring fair")).to_be_visible()
    send(home, "Told on the desktop")
    expect(row(page, "Told on the desktop")).to_be_visible()
    page.wait_for_function("() => window.notes.length > 0")
    assert page.evaluate("() => window.notes") == [["Bob", "Told on the desktop"]]
    page.evaluate("() => window.note.onclick()")
    expect(page.locator(".reading-head h1")).to_have_text("Told on the desktop")
    ask(page, "Preference/set", update={"singleton": {"value/notifications": False}})
    page.wait_for_function("() => !JSON.parse(localStorage.getItem('posthouse.preferences')).notifications")
    send(home, "Not told")
    expect(row(page, "Not told")).to_be_visible()
    assert page.evaluate("() => window.notes.length") == 1


_SPY_PRINT = """
    window.printed = [];
    window.print = () => {
        const frames = [...document.querySelectorAll(".message iframe")].map(frame => frame.getAttribute("src"));
        window.printed.push([document.documentElement.dataset.theme, frames]);
        dispatchEvent(new Event("afterprint"));
    };
"""


def test_a_conversation_is_printed_whole_and_dark_on_light(open_page: OpenPage) -> None:
    page = open_page(color_scheme="dark")
    page.add_init_script(_SPY_PRINT)
    page.reload()
    row(page, "Spring fair").click()
    expect(page.locator(".message")).to_have_count(4)
    expect(page.locator(".message.folded")).to_have_count(3)
    page.get_by_role("toolbar").get_by_role("button", name="Print").click()
    page.wait_for_function("() => window.printed.length > 0")
    theme, frames = page.evaluate("() => window.printed[0]")
    assert theme == "light"
    assert len(frames) == 4
    assert all("dark=0" in frame for frame in frames)
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.locator(".message.folded")).to_have_count(3)
    page.emulate_media(media="print")
    expect(page.locator(".message.folded").first).to_be_hidden()
    expect(page.locator(".list-pane")).to_be_hidden()
