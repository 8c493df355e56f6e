import assert from "node:assert/strict";
import { test } from "node:test";
import { shortDate } from "../mail/format.ts";
import { fill, guessLanguage, localeOf } from "./index.ts";

test("the first language of the browser that we speak is the page's", () => {
  assert.equal(guessLanguage(["fr-FR", "de-AT", "en"]), "de");
  assert.equal(guessLanguage(["den", "fr"]), "en");
});

test("dates are in the browser's own kind of the language", () => {
  const now = new Date(2026, 4, 10, 18, 0);
  const afternoon = new Date(2026, 4, 10, 15, 3).toISOString();
  assert.equal(shortDate(afternoon, localeOf("en", ["en-GB", "en-US", "en"]), now), "15:03");
  assert.match(shortDate(afternoon, localeOf("en", ["en-US", "en"]), now), /^3:03\sPM/);
  assert.equal(localeOf("de", ["en-GB", "de-CH"]), "de-CH");
  assert.equal(localeOf("de", ["en-GB"]), "de");
});

test("numbers in a text are written as the language writes them", () => {
  assert.equal(fill("{n} rows", { n: 1234 }, "de"), "1.234 rows");
});
