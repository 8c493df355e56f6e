import assert from "node:assert/strict";
import { test } from "node:test";
import type { EmailSummary } from "../jmap/types.ts";
import { listNames, participantsOf, shortName } from "./people.ts";

const own = new Set(["me@example.org"]);

function mail(name: string | null, email: string, ...keywords: string[]): EmailSummary {
  const from = [{ name, email }];
  return { from, keywords: Object.fromEntries(keywords.map((word) => [word, true])) } as unknown as EmailSummary;
}

const shown = (...emails: EmailSummary[]) => participantsOf(emails, own, "me").map((one) => one.name);

test("one who writes alone has the whole name", () => {
  assert.deepEqual(shown(mail("Ann Smith", "ann@example.org", "$seen")), ["Ann Smith"]);
});

test("several have their first names, each once, in the order they wrote in", () => {
  const emails = [
    mail("Ann Smith", "ann@x.example"),
    mail("Me Too", "ME@example.org"),
    mail("Ann S.", "ANN@x.example"),
  ];
  assert.deepEqual(shown(...emails), ["Ann", "me"]);
});

test("of many the first and the last are named", () => {
  const emails = ["a", "b", "c", "d", "e", "f"].map((letter) => mail(letter, `${letter}@x.example`));
  assert.deepEqual(shown(...emails), ["a", "…", "e", "f"]);
});

test("who wrote what is unread is marked", () => {
  const emails = [mail("Ann", "ann@x.example", "$seen"), mail("Bob", "bob@x.example")];
  assert.deepEqual(
    participantsOf(emails, own, "me").map((one) => one.isUnread),
    [false, true],
  );
});

test("short names of all kinds of names", () => {
  assert.equal(shortName({ name: "Smith, Ann", email: "a@x" }), "Ann");
  assert.equal(shortName({ name: null, email: "ann.smith@x" }), "ann.smith");
  assert.equal(shortName({ name: "ann@x", email: "ann@x" }), "ann");
  assert.equal(shortName({ name: "  ", email: "ann@x" }), "ann");
});

test("a long list of recipients is cut", () => {
  const many = ["a", "b", "c", "d", "e", "f", "g"].map((letter) => ({ name: letter, email: `${letter}@x` }));
  assert.equal(listNames(many, own, "me"), "a, b, c, d +3");
  assert.equal(listNames([{ name: "I", email: "me@example.org" }], own, "me"), "me");
});
