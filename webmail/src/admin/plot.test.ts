import assert from "node:assert/strict";
import { test } from "node:test";
import { drawLine, findIndex, planLeft, planScale } from "./plot.ts";

const BOX = { left: 10, top: 0, width: 100, height: 50 };

test("a scale ends at a round number that holds every value", () => {
  for (const largest of [0, 0.004, 1, 3, 4.1, 7, 10, 99, 100, 101, 1234, 98765]) {
    const { max, ticks } = planScale([largest, null], 0.001);
    assert.ok(max >= largest && (largest < 0.01 || max <= largest * 2.6), `${largest}: ${max}`);
    assert.ok(ticks.length >= 2 && ticks.length <= 6 && ticks[0] === 0, `${ticks}`);
  }
  assert.deepEqual(planScale([37]).ticks, [0, 10, 20, 30, 40]);
});

test("counts are not parted", () => {
  for (const largest of [1, 2, 3, 5, 9, 11]) assert.ok(planScale([largest], 1, true).ticks.every(Number.isInteger));
});

test("nothing measured is a scale too", () => {
  assert.deepEqual(planScale([]).ticks.at(0), 0);
  assert.deepEqual(planScale([null, null]).ticks, [0, 1]);
});

test("the widest number has room beside the plot", () => {
  assert.ok(planLeft(["0", "0.0075"]) > planLeft(["0", "40"]));
});

test("a line has gaps where there is no value", () => {
  assert.equal(drawLine([0, 10, null, 10, 0], BOX, 10), "M10 50L35 0M85 0L110 50");
  assert.equal(drawLine([null, 5, null], BOX, 10), "M57 25h6");
});

test("the pointer finds the value that is nearest, also beyond the ends", () => {
  assert.equal(findIndex(BOX, 0, 5), 0);
  assert.equal(findIndex(BOX, 61, 5), 2);
  assert.equal(findIndex(BOX, 999, 5), 4);
  assert.equal(findIndex(BOX, 50, 1), 0);
});
