import assert from "node:assert/strict";
import { test } from "node:test";
import {
  CLEAN,
  isClean,
  LATEST_MS,
  noteChange,
  noteFailure,
  noteSaved,
  noteStart,
  planSave,
  QUIET_MS,
} from "./autosave.ts";

test("a draft is saved when nothing was typed for a while", () => {
  const typed = noteChange(noteChange(CLEAN, 1_000), 1_400);
  assert.equal(planSave(typed), 1_400 + QUIET_MS);
});

test("who types without a rest is saved too", () => {
  let state = CLEAN;
  for (let now = 0; now <= LATEST_MS; now += 500) state = noteChange(state, now);
  assert.equal(planSave(state), LATEST_MS);
});

test("two saves never run at once, and what changed meanwhile is saved after", () => {
  const running = noteChange(noteStart(noteChange(CLEAN, 0)), 2_000);
  assert.equal(planSave(running), null);
  const after = noteSaved(running);
  assert.equal(planSave(after), 2_000 + QUIET_MS);
  assert.ok(!isClean(after));
  assert.ok(isClean(noteSaved(noteStart(noteChange(CLEAN, 0)))));
});

test("a save that failed is tried again, later each time", () => {
  const once = noteFailure(noteStart(noteChange(CLEAN, 0)), 10_000);
  assert.equal(planSave(once), 12_000);
  const twice = noteFailure(noteStart(once), 20_000);
  assert.equal(planSave(twice), 24_000);
  assert.equal(planSave(noteSaved(noteStart(twice))), null);
});
