import assert from "node:assert/strict";
import { test } from "node:test";
import { fromLocalInput, planSendTimes, planSnoozeTimes, toLocalInput, toUtcDate } from "./presets.ts";

const MONDAY = new Date(2026, 10, 23, 10, 20);
const names = (list: { name: string }[]) => list.map((one) => one.name);

test("all times are still to come, at any hour of any day", () => {
  for (let hour = 0; hour < 24 * 9; hour++) {
    const now = new Date(MONDAY.getTime() + hour * 3600_000);
    for (const { name, at } of [...planSendTimes(now), ...planSnoozeTimes(now)])
      assert.ok(at > now, `${name} at ${now}`);
  }
});

test("no time is offered twice", () => {
  for (let hour = 0; hour < 24 * 9; hour++) {
    const times = planSnoozeTimes(new Date(MONDAY.getTime() + hour * 3600_000)).map((one) => +one.at);
    assert.equal(new Set(times).size, times.length);
  }
});

test("an evening is offered by day only, a weekend in the week only", () => {
  assert.deepEqual(names(planSendTimes(MONDAY)), ["thisEvening", "tomorrowMorning", "tomorrowAfternoon", "nextWeek"]);
  assert.ok(!names(planSendTimes(new Date(2026, 10, 23, 21))).includes("thisEvening"));
  assert.ok(names(planSnoozeTimes(MONDAY)).includes("weekend"));
  assert.ok(!names(planSnoozeTimes(new Date(2026, 10, 28, 10))).includes("weekend"));
});

test("next week is the Monday that comes", () => {
  const { at } = planSendTimes(MONDAY).find((one) => one.name === "nextWeek")!;
  assert.deepEqual([at.getDate(), at.getDay(), at.getHours()], [30, 1, 8]);
});

test("a date field is written and read in local time; what is past is none", () => {
  assert.equal(toLocalInput(MONDAY), "2026-11-23T10:20");
  assert.equal(+fromLocalInput("2026-11-23T10:21", MONDAY)!, +MONDAY + 60_000);
  assert.equal(fromLocalInput("2026-11-23T10:20", MONDAY), null);
  assert.equal(fromLocalInput("soon", MONDAY), null);
});

test("a time on the wire has no fraction", () => {
  assert.equal(toUtcDate(new Date(Date.UTC(2026, 0, 2, 3, 4, 5, 678))), "2026-01-02T03:04:05Z");
});

test("times to come back are offered in their order", () => {
  const names = planSnoozeTimes(new Date(2026, 10, 24, 16, 3)).map((one) => one.name);
  assert.deepEqual(names.slice(0, 3), ["thisEvening", "laterToday", "tomorrowMorning"]);
});
