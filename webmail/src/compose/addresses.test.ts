import assert from "node:assert/strict";
import { test } from "node:test";
import {
  dropRepeats,
  formatAddress,
  isOwnAddress,
  isValidAddress,
  parseAddress,
  parseAddresses,
  splitAddresses,
} from "./addresses.ts";

test("a comma inside quotes or angle brackets does not part addresses", () => {
  assert.deepEqual(splitAddresses('"Doe, Jane" <jane@example.org>, b@example.org; c@example.org\nd@example.org'), [
    '"Doe, Jane" <jane@example.org>',
    "b@example.org",
    "c@example.org",
    "d@example.org",
  ]);
  assert.deepEqual(splitAddresses("a@example.org (Jane, of Accounts), b@example.org"), [
    "a@example.org (Jane, of Accounts)",
    "b@example.org",
  ]);
});

test("a quote that is never closed ends with its line", () => {
  assert.deepEqual(splitAddresses('"Jane <jane@example.org>\nb@example.org'), [
    '"Jane <jane@example.org>',
    "b@example.org",
  ]);
});

test("an address is read with its name, quoted or not", () => {
  assert.deepEqual(parseAddress('"Doe, \\"J\\"" <jane@example.org>'), { name: 'Doe, "J"', email: "jane@example.org" });
  assert.deepEqual(parseAddress("Jane Doe <jane@example.org>"), { name: "Jane Doe", email: "jane@example.org" });
  assert.deepEqual(parseAddress("<jane@example.org>"), { name: null, email: "jane@example.org" });
  assert.deepEqual(parseAddress("jane@example.org (Jane)"), { name: "Jane", email: "jane@example.org" });
  assert.deepEqual(parseAddress("mailto:jane@example.org"), { name: null, email: "jane@example.org" });
  assert.deepEqual(parseAddress(" nobody "), { name: null, email: "nobody" });
});

test("what is written is read again as it was", () => {
  for (const name of ["Jane Doe", "Doe, Jane", 'The "Boss"', "a@b", "Zoë Ünal", "back\\slash"]) {
    const address = { name, email: "jane@example.org" };
    assert.deepEqual(parseAddresses(formatAddress(address)), [address]);
  }
});

test("addresses of any script and with quoted local parts are valid", () => {
  for (const email of [
    "a@b",
    "jane.doe+x@example.org",
    "zoë@büro.example",
    '"odd one"@example.org',
    "a@[192.0.2.1]",
    "o'neil@example.org",
  ])
    assert.ok(isValidAddress(email), email);
});

test("what can be no address is told", () => {
  const bad = [
    "",
    "jane",
    "@example.org",
    "jane@",
    "jane@@example.org",
    "ja ne@example.org",
    "jane@exa mple.org",
    "jane.@example.org",
  ];
  bad.push(
    ".jane@example.org",
    "jane@-example.org",
    "jane@example..org",
    "jane@example.org,",
    "jane@example_.org",
    `${"x".repeat(65)}@example.org`,
  );
  for (const email of bad) assert.ok(!isValidAddress(email), email);
});

test("one's own address is known in other case, with a subaddress, and by a catch-all", () => {
  assert.ok(isOwnAddress("Anna+Shop@Example.org", ["anna@example.org"]));
  assert.ok(isOwnAddress("any@example.net", ["*@example.net"]));
  assert.ok(!isOwnAddress("anna@example.com", ["anna@example.org"]));
  assert.ok(!isOwnAddress("susanna@example.org", ["anna@example.org"]));
});

test("an address that comes twice is kept once, with the name that either has", () => {
  const list = [
    { name: null, email: "a@example.org" },
    { name: "A", email: "A@example.org" },
    { name: "B", email: "b@example.org" },
  ];
  assert.deepEqual(dropRepeats(list, [{ name: null, email: "B@example.org" }]), [
    { name: "A", email: "a@example.org" },
  ]);
});
