import assert from "node:assert/strict";
import { test } from "node:test";
import { formatSize, readSnippet, shortDate } from "./format.ts";

const now = new Date(2026, 4, 10, 15, 0);

test("today has a time, this year a day, before that a date", () => {
  assert.equal(shortDate(new Date(2026, 4, 10, 9, 5).toISOString(), "de", now), "09:05");
  assert.match(shortDate(new Date(2026, 1, 3).toISOString(), "en", now), /3/);
  assert.equal(shortDate(new Date(2024, 1, 3).toISOString(), "de", now), "03.02.2024");
});

test("sizes are short", () => {
  assert.equal(formatSize(12, "en"), "12 B");
  assert.equal(formatSize(1536, "en"), "1.5 KB");
  assert.equal(formatSize(5 << 20, "de"), "5 MB");
});

test("a snippet is marked text and nothing else", () => {
  assert.deepEqual(readSnippet("a &lt;b&gt; <mark>c &amp; d</mark> e"), [
    { text: "a <b> ", isMarked: false },
    { text: "c & d", isMarked: true },
    { text: " e", isMarked: false },
  ]);
  assert.deepEqual(readSnippet("<img src=x>"), [{ text: "<img src=x>", isMarked: false }]);
});
