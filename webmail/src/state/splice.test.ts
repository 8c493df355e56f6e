import assert from "node:assert/strict";
import { test } from "node:test";
import { applyChange, missingPages, type Sparse } from "./splice.ts";

const none = new Set<string>();

test("a new message stands at its index and the rest moves down", () => {
  const next = applyChange(["a", "b"], { removed: [], added: [{ id: "n", index: 0 }] }, none);
  assert.deepEqual(next, ["n", "a", "b"]);
});

test("an answer in a conversation brings it to the top", () => {
  const change = { removed: ["b"], added: [{ id: "b2", index: 0 }] };
  assert.deepEqual(applyChange(["a", "b", "c"], change, none), ["b2", "a", "c"]);
});

test("indexes are those of the finished list, given in rising order", () => {
  const added = [
    { id: "x", index: 1 },
    { id: "y", index: 3 },
  ];
  assert.deepEqual(applyChange(["a", "b", "c"], { removed: [], added }, none), ["a", "x", "b", "y", "c"]);
});

test("what goes in a part that was never loaded cannot be followed", () => {
  const ids: Sparse = ["a", undefined, undefined, "d"];
  assert.equal(applyChange(ids, { removed: ["c"], added: [] }, none), null);
});

test("what the page took away itself is no surprise", () => {
  assert.deepEqual(applyChange(["a"], { removed: ["b"], added: [] }, new Set(["b"])), ["a"]);
});

test("a change to a message out of sight that stays in the list is followed", () => {
  const change = { removed: ["c"], added: [{ id: "c", index: 2 }] };
  assert.deepEqual(applyChange(["a", undefined, undefined], change, none), ["a", undefined, "c", undefined]);
});

test("only pages with a hole in sight are asked for", () => {
  const ids: Sparse = Array.from({ length: 230 }, (_, at) => (at < 50 ? `m${at}` : undefined));
  assert.deepEqual(missingPages(ids, 0, 50, 50), []);
  assert.deepEqual(missingPages(ids, 40, 60, 50), [50]);
  assert.deepEqual(missingPages(ids, 120, 230, 50), [100, 150, 200]);
});
