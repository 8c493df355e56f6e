import assert from "node:assert/strict";
import { test } from "node:test";
import { keepOrder } from "./order.ts";

test("an answer that was overtaken by a newer one is dropped", () => {
  const ask = keepOrder();
  const [first, second] = [ask(), ask()];
  assert.deepEqual([second(), first()], [true, false]);
});

test("answers that come in order all count, so that a slow server is not waited for in vain", () => {
  const ask = keepOrder();
  const [first, second, third] = [ask(), ask(), ask()];
  assert.deepEqual([first(), second(), third()], [true, true, true]);
});
