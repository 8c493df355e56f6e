"""`python -m bench.page`: the web page with a mailbox of 100,000 messages, in Debian's Chromium on this machine.

    python -m bench.page [--messages 100000] [--json FILE]

What is measured, as the page's own clock tells it: until the first rows are painted, with nothing in the cache and
with all of it; a jump to the middle of the list until its rows are there; tasks above 50 ms while the list is scrolled
through; mail handed in by SMTP until it is painted. Prints a table and writes bench/results/page.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import smtplib
import ssl
import statistics
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from bench.run import describe_machine
from posthouse.app.demo_server import Mailserver, run_command, running
from tests.browser.house import make_server, settle
from tests.browser.letters import ANN

RESULT = Path(__file__).parent / "results" / "page.json"
CHROMIUM = "/usr/bin/chromium"
_RUNS = 5
_MAILS = 21
_ROWS = "() => document.querySelectorAll('.row:not(.waiting)').length > 5"
_FIRST_ROW = """() => new Promise(done => {
    const isThere = () => document.querySelector('.row:not(.waiting)');
    const look = () => requestAnimationFrame(isThere() ? () => done(performance.now()) : look);
    look();
})"""
_JUMP = """at => new Promise(done => {
    const list = document.getElementById('list');
    const index = Math.floor(list.scrollHeight * at / document.querySelector('.row').offsetHeight);
    const start = performance.now();
    list.scrollTop = list.scrollHeight * at;
    const look = () => {
        const row = document.getElementById(`row-${index}`);
        if (row && !row.classList.contains('waiting')) done(performance.now() - start);
        else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
})"""
_SCROLL = """() => new Promise(done => {
    const long = [];
    const observer = new PerformanceObserver(found => found.getEntries().forEach(one => long.push(one.duration)));
    observer.observe({entryTypes: ['longtask']});
    const list = document.getElementById('list');
    const end = performance.now() + 5000;
    const step = () => {
        list.scrollTop += 90;
        if (performance.now() < end) requestAnimationFrame(step);
        else setTimeout(() => { observer.disconnect(); done(long); }, 300);
    };
    step();
})"""
_WATCH = """subject => {
    window.painted = new Promise(done => {
        const look = () => {
            const row = document.querySelector('.row');
            if (row && row.textContent.includes(subject)) requestAnimationFrame(() => done(Date.now()));
            else requestAnimationFrame(look);
        };
        look();
    });
}"""


def write_mbox(path: Path, count: int) -> None:
    """Short letters of many people, every third an answer; one of 25 is unread."""
    start = datetime(2024, 1, 1, tzinfo=UTC)
    with path.open("w", encoding="ascii") as file:
        for number in range(count):
            date = start + timedelta(minutes=10 * number)
            person = number * 7919 % 400
            topic = number - number % 3
            answer = f"In-Reply-To: <{topic}@bench.example>\n" if number % 3 else ""
            file.write(
                f"From bench@bench.example {date:%a %b %d %H:%M:%S %Y}\nStatus: {'RO' if number % 25 else 'O'}\n"
                f"From: Person {person} <person-{person}@bench.example>\nTo: {ANN}\n"
                f"Subject: {'Re: ' if number % 3 else ''}Letter about matter {topic}\n"
                f"Date: {date:%a, %d %b %Y %H:%M:%S} +0000\nMessage-ID: <{number}@bench.example>\n{answer}\n"
                f"Dear Ann,\n\nthis is about matter {topic}, and nothing is urgent in it.\n\nPerson {person}\n\n"
            )


async def sign_in(browser: Browser, server: Mailserver) -> BrowserContext:
    context = await browser.new_context(viewport={"width": 1440, "height": 900})
    answer = await context.request.post(
        f"{server.url}api/session",
        data={"username": ANN, "password": server.passwords[ANN]},
        headers={"X-Posthouse": "1"},
    )
    if not answer.ok:
        raise SystemExit(await answer.text())
    return context


async def time_first_rows(browser: Browser, server: Mailserver) -> tuple[float, float]:
    """Milliseconds: cold and warm."""
    cold, warm = [], []
    for _ in range(_RUNS):
        context = await sign_in(browser, server)
        page = await context.new_page()
        await page.goto(f"{server.url}mail/inbox", wait_until="commit")
        cold.append(await page.evaluate(_FIRST_ROW))
        await page.wait_for_load_state("networkidle")
        await page.reload(wait_until="commit")
        warm.append(await page.evaluate(_FIRST_ROW))
        await context.close()
    return statistics.median(cold), statistics.median(warm)


async def time_jumps(page: Page) -> float:
    return statistics.median([float(await page.evaluate(_JUMP, at)) for at in (0.5, 0.25, 0.75, 0.4, 0.9)])


def find_port(server: Mailserver) -> int:
    found = re.search(r'service = "smtp"\nbind = "[\d.]+:(\d+)"', server.config.read_text())
    assert found is not None
    return int(found[1])


async def time_arrivals(page: Page, server: Mailserver) -> list[float]:
    """Milliseconds from when the server takes the last octet until the row is painted."""
    times = []
    with smtplib.SMTP("127.0.0.1", find_port(server), timeout=20) as client:
        client.starttls(context=ssl._create_unverified_context())
        for number in range(_MAILS):
            subject = f"arrival {number} {time.monotonic_ns()}"
            await page.evaluate(_WATCH, subject)
            message = f"From: Bench <bench@elsewhere.example>\r\nTo: {ANN}\r\nSubject: {subject}\r\n\r\nHello.\r\n"
            start = time.time() * 1000
            await asyncio.to_thread(client.sendmail, "bench@elsewhere.example", [ANN], message)
            times.append(float(await page.evaluate("window.painted")) - start)
    return times[1:]


async def measure(server: Mailserver) -> dict[str, float]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        cold, warm = await time_first_rows(browser, server)
        context = await sign_in(browser, server)
        page = await context.new_page()
        await page.goto(f"{server.url}mail/inbox")
        await page.wait_for_function(_ROWS)
        jump = await time_jumps(page)
        await page.evaluate("document.getElementById('list').scrollTop = 0")
        long = [float(each) for each in await page.evaluate(_SCROLL)]
        await page.evaluate("document.getElementById('list').scrollTop = 0")
        await page.wait_for_function(_ROWS)
        arrivals = await time_arrivals(page, server)
        await browser.close()
    return {
        "first rows, cold (ms)": cold,
        "first rows, warm (ms)": warm,
        "jump (ms)": jump,
        "tasks above 50 ms": float(len(long)),
        "longest task (ms)": max(long, default=0.0),
        "arrival p50 (ms)": statistics.median(arrivals),
        "arrival max (ms)": max(arrivals),
    }


async def run(messages: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="posthouse-page-") as base:
        server = make_server(Path(base) / "house")
        await asyncio.to_thread(settle, server)
        async with running(server):
            mbox = Path(base) / "mail.mbox"
            write_mbox(mbox, messages)
            started = time.monotonic()
            await run_command(server, "import", ANN, "mbox", str(mbox), "--mailbox", "INBOX")
            print(f"{messages} messages imported in {time.monotonic() - started:.0f} s", flush=True)
            return await measure(server)


LIMITS = {
    "first rows, cold (ms)": 1000.0,
    "first rows, warm (ms)": 300.0,
    "jump (ms)": 100.0,
    "tasks above 50 ms": 0.0,
    "arrival p50 (ms)": 150.0,
}


def show(figures: dict[str, float]) -> None:
    for name, value in figures.items():
        limit = LIMITS.get(name)
        verdict = "" if limit is None else f"must be {limit:g}: {'yes' if value <= limit else 'NO'}"
        print(f"{name:24} {value:8.1f}  {verdict}")


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="The web page with a large mailbox.")
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--json", type=Path, default=RESULT)
    arguments = parser.parse_args(words)
    figures = asyncio.run(run(arguments.messages))
    show(figures)
    arguments.json.parent.mkdir(exist_ok=True)
    arguments.json.write_text(json.dumps({"machine": describe_machine(), "figures": figures}, indent=1))


if __name__ == "__main__":
    main()
