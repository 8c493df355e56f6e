import assert from "node:assert/strict";
import { test } from "node:test";
import type { EmailSummary } from "../jmap/types.ts";
import { planChange } from "./patches.ts";

const email = { id: "M1", mailboxIds: { inbox: true }, keywords: { $seen: true } } as unknown as EmailSummary;

test("a move is put and taken, and undone the other way round", () => {
  const planned = planChange(email, { put: ["archive"], take: ["inbox"] });
  assert.deepEqual(planned?.patch, { "mailboxIds/inbox": null, "mailboxIds/archive": true });
  assert.deepEqual(planned?.undo, { "mailboxIds/inbox": true, "mailboxIds/archive": null });
  assert.deepEqual(planned?.after.mailboxIds, { archive: true });
  assert.deepEqual(email.mailboxIds, { inbox: true });
});

test("what is so already is no change", () => {
  assert.equal(planChange(email, { set: ["$seen"] }), null);
  assert.equal(planChange(email, { put: ["inbox"], take: ["inbox"] }), null);
});

test("no email is left without a mailbox", () => {
  assert.equal(planChange(email, { take: ["inbox"] }), null);
});

test("keywords with a slash or a tilde are escaped in the pointer", () => {
  const planned = planChange(email, { set: ["a/b~c"], clear: ["$seen"] });
  assert.deepEqual(planned?.patch, { "keywords/$seen": null, "keywords/a~1b~0c": true });
});
