import assert from "node:assert/strict";
import { test } from "node:test";
import { speaksOfAttachment } from "./forgotten.ts";

test("a text that speaks of an attachment is known, in English and German", () => {
  const texts = [
    "I have attached the report.",
    "I've attached it",
    "Please find attached our offer.",
    "see attachment",
    "Attached you will find the plan",
    "The enclosed document ...",
    "Hello,\n\nattached are the slides.",
    "im Anhang findest du den Plan",
    "Siehe Anhang.",
    "Anbei die Rechnung.",
    "Ich habe dir die Datei angehängt.",
    "In der Anlage erhalten Sie ...",
    "beigefügt das Angebot",
    "Ich hänge die Liste an.",
  ];
  for (const text of texts) assert.ok(speaksOfAttachment("", text), text);
  assert.ok(speaksOfAttachment("Siehe Anhang", ""));
});

test("a text that does not speak of one is left alone", () => {
  const texts = [
    "I am attached to this idea",
    "How are you?",
    "Bei Fragen gern melden",
    "Die Anlage läuft wieder.",
    "Peter hängt sehr daran",
    "",
  ];
  for (const text of texts) assert.ok(!speaksOfAttachment("", text), text);
});

test("what others said does not count", () => {
  assert.ok(!speaksOfAttachment("", "Thanks!\n\n> I have attached the report\n"));
  assert.ok(!speaksOfAttachment("", "Thanks!\n-- \nThe attached files are confidential"));
  assert.ok(!speaksOfAttachment("", "FYI\n---------- Forwarded message ----------\nPlease find attached"));
});
