import assert from "node:assert/strict";
import { test } from "node:test";
import { countWaiting } from "./waiting.ts";

const NOW = Date.parse("2026-03-15T12:00:00Z");
const UNDO_S = 10;
const count = (total: number, pending: string[] | null) => countWaiting(total, pending, NOW, UNDO_S);

test("what is held for undoing alone does not bring Scheduled into the list", () => {
  assert.equal(count(1, ["2026-03-15T12:00:09Z"]), 0);
  assert.equal(count(0, ["2026-03-15T12:00:09Z"]), 0); // not there yet, or not any more
  assert.equal(count(2, ["2026-03-15T12:00:09Z", "2026-03-15T11:59:58Z"]), 0);
});

test("what waits for its time counts, also beside what is just being sent", () => {
  assert.equal(count(1, ["2026-03-16T08:00:00Z"]), 1);
  assert.equal(count(2, ["2026-03-16T08:00:00Z", "2026-03-15T12:00:09Z"]), 1);
});

test("what should have gone is not hidden: held at its time, overdue, or left there by a crash", () => {
  assert.equal(count(1, ["2026-03-15T11:59:00Z"]), 1);
  assert.equal(count(1, []), 1);
});

test("nothing is hidden while it is not known what is held", () => {
  assert.equal(count(1, null), 1);
  assert.equal(count(0, null), 0);
});
