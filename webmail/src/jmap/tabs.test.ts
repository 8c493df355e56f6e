import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { type Browser, joinTabs } from "./tabs.ts";

/** Node's own locks and channels; nobody else may use the name. */
const browser: Browser = { locks: navigator.locks, openChannel: (name) => new BroadcastChannel(name) };
let names = 0;
const leaving: (() => void)[] = [];

afterEach(() => {
  for (const leave of leaving.splice(0)) leave();
});

/** What a tab did and heard, in order. */
function openTab(name: string, inside: Browser = browser) {
  const log: string[] = [];
  const waiting: { word: string; resolve: () => void }[] = [];
  const note = (word: string) => {
    log.push(word);
    for (const one of waiting) if (one.word === word) one.resolve();
  };
  let say: (word: string) => void = () => assert.fail("it does not lead");
  const leave = joinTabs<string>(
    name,
    {
      lead: (tell, isHeir) => {
        say = tell;
        note(isHeir ? "inherits" : "leads");
        return () => note("ends");
      },
      hear: note,
    },
    inside,
  );
  leaving.push(leave);
  const until = (word: string) =>
    log.includes(word) ? Promise.resolve() : new Promise<void>((resolve) => waiting.push({ word, resolve }));
  return { log, leave, until, say: (word: string) => say(word) };
}

const newName = () => `tabs-${process.pid}-${names++}`;
const settle = () => navigator.locks.query();

test("one tab leads and both hear what it tells", async () => {
  const name = newName();
  const first = openTab(name);
  await first.until("leads");
  const second = openTab(name);
  first.say("news");
  await second.until("news");
  assert.deepEqual(first.log, ["leads", "news"]);
  assert.deepEqual(second.log, ["news"]);
});

test("when the one that leads goes, the next inherits, after the first has ended", async () => {
  const name = newName();
  const first = openTab(name);
  await first.until("leads");
  const [second, third] = [openTab(name), openTab(name)];
  first.leave();
  await second.until("inherits");
  assert.deepEqual(first.log, ["leads", "ends"]);
  second.say("look");
  await third.until("look");
  assert.deepEqual(third.log, ["look"]);
});

test("a tab that left hears nothing and never leads", async () => {
  const name = newName();
  const first = openTab(name);
  await first.until("leads");
  const [second, third] = [openTab(name), openTab(name)];
  second.leave();
  first.say("news");
  await third.until("news");
  first.leave();
  await third.until("inherits");
  assert.deepEqual(second.log, []);
});

test("a tab that leaves before it got the lock does not begin", async () => {
  const name = newName();
  const request = async (...all: Parameters<LockManager["request"]>) => {
    await settle(); // as browsers do, which never answer at once
    return navigator.locks.request(...all);
  };
  const hasty = openTab(name, { ...browser, locks: { request: request as LockManager["request"] } });
  hasty.leave();
  await settle();
  await settle();
  const next = openTab(name);
  await next.until("leads");
  assert.deepEqual(hasty.log, []);
});

test("tabs of another name are not heard and lead for themselves", async () => {
  const [anns, bobs] = [openTab(newName()), openTab(newName())];
  await Promise.all([anns.until("leads"), bobs.until("leads")]);
  anns.say("news");
  await settle();
  assert.deepEqual(bobs.log, ["leads"]);
});

test("without locks, or when they are refused, each tab leads for itself", async () => {
  const name = newName();
  const refusing = { request: () => Promise.reject(new Error("SecurityError")) };
  for (const locks of [undefined, refusing]) {
    const tabs = [openTab(name, { ...browser, locks }), openTab(name, { ...browser, locks })];
    for (const tab of tabs) {
      await tab.until("leads");
      tab.say("news");
      tab.leave();
      assert.deepEqual(tab.log, ["leads", "news", "ends"]);
    }
  }
});
