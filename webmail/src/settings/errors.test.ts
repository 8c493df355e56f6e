import assert from "node:assert/strict";
import { test } from "node:test";
import { language } from "../i18n/index.ts";
import { translate } from "./errors.ts";

test("what the server refuses is told in the language of the page", () => {
  language.value = "de";
  assert.equal(translate("second.test is already here"), "second.test gibt es hier schon.");
  assert.equal(translate("The password is wrong"), "Das Passwort ist falsch.");
  language.value = "en";
  assert.equal(translate("there is no account a@b.test"), "There is no account a@b.test");
});

test("what is no address is told so, without the reason of the parser", () => {
  language.value = "en";
  assert.equal(translate("a@b c: domain is not valid: Codepoint U+0020"), "“a@b c” is not an address.");
  assert.equal(translate("no domain: domain is not valid"), "“no domain” is not valid here.");
});

test("what is wrong with an address that is one is told as it is", () => {
  const loop = "x@b.test would lead to nobody: its targets do not exist, or loop";
  const only = "a@b.test is the only address of the account: remove the account instead";
  language.value = "en";
  assert.equal(translate(loop), "x@b.test would lead to nobody: its targets do not exist, or lead in a circle.");
  assert.equal(translate(only), "a@b.test is the only address of the account: remove the account.");
  assert.equal(translate("a@b.test is busy: try again"), "a@b.test is busy: try again");
  language.value = "de";
  assert.equal(translate(loop), "x@b.test führte zu niemandem: Die Ziele gibt es nicht, oder sie gehen im Kreis.");
  assert.equal(translate(only), "a@b.test ist die einzige Adresse des Kontos: Entfernen Sie das Konto.");
  assert.equal(translate("a@b c: domain is not valid: Codepoint U+0020"), "„a@b c“ ist keine Adresse.");
});

test("nobody is sent to a command line", () => {
  language.value = "en";
  assert.equal(translate("b.test is not hosted here: posthouse domain add b.test"), "b.test is not hosted here");
});
