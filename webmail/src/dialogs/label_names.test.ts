import assert from "node:assert/strict";
import { test } from "node:test";
import { addLabel, COLOURS, findLabels, makeKeyword } from "./label_names.ts";

test("a keyword is made of letters that every mail program takes", () => {
  assert.equal(makeKeyword("Größe & Maß", []), "grosse-mass");
  assert.equal(makeKeyword("日本", []), "label");
  assert.match(makeKeyword('a(b){c}%*"\\ d', []), /^[a-z0-9_.-]+$/);
});

test("a second label of the same name gets another keyword", () => {
  assert.equal(makeKeyword("Work", ["work", "work-2"]), "work-3");
});

test("each new label gets the colour that is used least", () => {
  let labels = addLabel([], " Work ");
  for (const name of ["b", "c", "d", "e", "f", "g", "h", "i"]) labels = addLabel(labels, name);
  assert.equal(labels[0]?.name, "Work");
  assert.equal(new Set(labels.map((one) => one.colour)).size, Object.keys(COLOURS).length);
});

test("labels are found by a part of their name", () => {
  const labels = addLabel(addLabel([], "Work"), "Network");
  assert.equal(findLabels(labels, " WORK").length, 2);
  assert.equal(findLabels(labels, "net").length, 1);
});
