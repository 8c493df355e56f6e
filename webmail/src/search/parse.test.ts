import assert from "node:assert/strict";
import { test } from "node:test";
import { parseSearch, readDate, readSize, type SearchContext, wordAt, writeValue } from "./parse.ts";

const now = new Date(2026, 2, 15, 13, 45);
const context: SearchContext = {
  findMailbox: (name) => ({ inbox: "F1", "to do": "F7", trash: "F3" })[name.toLowerCase()] ?? null,
  findLabel: (name) => ({ work: "work", "very urgent": "urgent" })[name.toLowerCase()] ?? null,
  apart: [],
  now,
};
const parse = (text: string) => parseSearch(text, context).filter;
const utc = (day: Date) => day.toISOString().replace(".000Z", "Z");

test("one word is looked for everywhere", () => {
  assert.deepEqual(parse("hello"), { text: "hello" });
});

test("words side by side must all be there", () => {
  assert.deepEqual(parse(" two  words "), { operator: "AND", conditions: [{ text: "two" }, { text: "words" }] });
});

test("words in quotes stay together, an open quote ends at the end", () => {
  assert.deepEqual(parse('"annual report"'), { text: '"annual report"' });
  assert.deepEqual(parse('subject:"annual report'), { subject: '"annual report"' });
});

test("each operator becomes its condition", () => {
  assert.deepEqual(parse("from:ann@example.org"), { from: "ann@example.org" });
  assert.deepEqual(parse("to:bob"), { operator: "OR", conditions: [{ to: "bob" }, { cc: "bob" }] });
  assert.deepEqual(parse("subject:lunch"), { subject: "lunch" });
  assert.deepEqual(parse("has:attachment"), { hasAttachment: true });
  assert.deepEqual(parse("larger:5M"), { minSize: 5 << 20 });
  assert.deepEqual(parse("smaller:10k"), { maxSize: 10 << 10 });
  assert.deepEqual(parse("in:inbox"), { inMailbox: "F1" });
  assert.deepEqual(parse('in:"to do"'), { inMailbox: "F7" });
  assert.deepEqual(parse("is:unread"), { notKeyword: "$seen" });
  assert.deepEqual(parse("is:starred"), { hasKeyword: "$flagged" });
  assert.deepEqual(parse('label:"very urgent"'), { hasKeyword: "urgent" });
});

test("names of operators may be in capitals", () => {
  assert.deepEqual(parse("From:ann"), { from: "ann" });
});

test("dates count from the start of their day where the user is", () => {
  assert.deepEqual(parse("before:2026-03-01"), { before: utc(new Date(2026, 2, 1)) });
  assert.deepEqual(parse("after:2026"), { after: utc(new Date(2026, 0, 1)) });
  assert.deepEqual(parse("after:1.2.2026"), { after: utc(new Date(2026, 1, 1)) });
  assert.deepEqual(readDate("7d", now), new Date(2026, 2, 8));
  assert.deepEqual(readDate("2w", now), new Date(2026, 2, 1));
  assert.deepEqual(readDate("1m", now), new Date(2026, 1, 15));
  assert.deepEqual(readDate("yesterday", now), new Date(2026, 2, 14));
});

test("a day that is in no calendar is no date", () => {
  for (const text of ["2026-02-30", "2026-13", "soon", "30.2.2026", ""]) assert.equal(readDate(text, now), null);
});

test("sizes have units or none", () => {
  assert.equal(readSize("300"), 300);
  assert.equal(readSize("1.5MB"), 1.5 * 1024 * 1024);
  assert.equal(readSize("1,5mb"), 1.5 * 1024 * 1024);
  assert.equal(readSize("big"), null);
});

test("a minus turns round what follows, brackets too", () => {
  assert.deepEqual(parse("-from:ann"), { operator: "NOT", conditions: [{ from: "ann" }] });
  assert.deepEqual(parse("-(a OR b)"), {
    operator: "NOT",
    conditions: [{ operator: "OR", conditions: [{ text: "a" }, { text: "b" }] }],
  });
});

test("a minus inside a word is part of it", () => {
  assert.deepEqual(parse("e-mail"), { text: "e-mail" });
  assert.deepEqual(parse("a - b"), { operator: "AND", conditions: [{ text: "a" }, { text: "-" }, { text: "b" }] });
});

test("OR joins its neighbours before words are joined", () => {
  assert.deepEqual(parse("x a OR b"), {
    operator: "AND",
    conditions: [{ text: "x" }, { operator: "OR", conditions: [{ text: "a" }, { text: "b" }] }],
  });
  assert.deepEqual(parse("a OR b OR c"), {
    operator: "OR",
    conditions: [{ text: "a" }, { text: "b" }, { text: "c" }],
  });
});

test("or in small letters is a word", () => {
  assert.deepEqual(parse("a or"), { operator: "AND", conditions: [{ text: "a" }, { text: "or" }] });
});

test("half typed searches are searches", () => {
  for (const text of ["from:", "OR", "a OR", "(", ")", "(a", "a)", "-", '"', "", "  ", "()", "-()", "a OR OR b"]) {
    assert.doesNotThrow(() => parse(text), text);
  }
  assert.deepEqual(parse("from:"), {});
  assert.deepEqual(parse("a OR"), { text: "a" });
  assert.deepEqual(parse("(a"), { text: "a" });
});

test("words with a colon that are no operators are looked for as they are", () => {
  assert.deepEqual(parse("Re:hello"), { text: "Re:hello" });
  assert.deepEqual(parse("12:30"), { text: "12:30" });
  assert.deepEqual(parse("https://example.org/x"), { text: "https://example.org/x" });
});

test("what is not understood is told and looked for as text", () => {
  const parsed = parseSearch("before:soon in:nowhere is:blue", context);
  assert.deepEqual(parsed.problems, ["before:soon", "in:nowhere", "is:blue"]);
  assert.equal(JSON.stringify(parsed.filter).includes("before:soon"), true);
});

test("trash and junk are left out until a mailbox is named", () => {
  const apart = { ...context, apart: ["F3", "F4"] };
  assert.deepEqual(parseSearch("x", apart).filter, {
    operator: "AND",
    conditions: [{ text: "x" }, { inMailboxOtherThan: ["F3", "F4"] }],
  });
  assert.deepEqual(parseSearch("x in:trash", apart).filter, {
    operator: "AND",
    conditions: [{ text: "x" }, { inMailbox: "F3" }],
  });
  assert.deepEqual(parseSearch("x in:anywhere", apart).filter, { text: "x" });
});

test("suggestions are for the word at the caret, quotes included", () => {
  assert.deepEqual(wordAt("a from:jo b", 9), { start: 2, word: "from:jo" });
  assert.deepEqual(wordAt('from:"jo do', 11), { start: 0, word: 'from:"jo do' });
  assert.equal(writeValue("to do"), '"to do"');
  assert.equal(writeValue("inbox"), "inbox");
});

test("a long line of brackets neither hangs nor throws", () => {
  assert.doesNotThrow(() => parse(`${"(".repeat(3000)}a${")".repeat(3000)}`));
  assert.doesNotThrow(() => parse("-a ".repeat(3000)));
});
