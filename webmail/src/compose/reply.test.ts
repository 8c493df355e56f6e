import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Answered,
  forwardSubject,
  hasOthers,
  pickAddress,
  planRecipients,
  readListPost,
  replySubject,
  threadFields,
} from "./reply.ts";

const OWN = ["me@example.org", "me@example.net"];
const at = (email: string, name: string | null = null) => ({ name, email });

function make(fields: Partial<Answered>): Answered {
  const none = { replyTo: null, cc: null, references: null, messageId: ["m1@x"], subject: "Hi" };
  return { from: [at("anna@x.example")], to: [at("me@example.org")], ...none, ...fields };
}

test("a reply goes to Reply-To, else to From", () => {
  assert.deepEqual(planRecipients(make({}), "sender", OWN), { to: [at("anna@x.example")], cc: [] });
  const elsewhere = make({ replyTo: [at("desk@x.example"), at("DESK@x.example")] });
  assert.deepEqual(planRecipients(elsewhere, "sender", OWN).to, [at("desk@x.example")]);
});

test("a reply to all leaves out one's own addresses and repeats", () => {
  const email = make({
    to: [at("ME@example.org"), at("bob@x.example"), at("anna@x.example")],
    cc: [at("me+list@example.net"), at("carl@x.example"), at("bob@x.example")],
  });
  assert.deepEqual(planRecipients(email, "all", OWN), {
    to: [at("anna@x.example")],
    cc: [at("bob@x.example"), at("carl@x.example")],
  });
});

test("answering what one sent oneself goes to the same people again", () => {
  const sent = make({ from: [at("me@example.org")], to: [at("anna@x.example")], cc: [at("bob@x.example")] });
  assert.deepEqual(planRecipients(sent, "sender", OWN), { to: [at("anna@x.example")], cc: [] });
  assert.deepEqual(planRecipients(sent, "all", OWN), { to: [at("anna@x.example")], cc: [at("bob@x.example")] });
});

test("a note to oneself is answered to oneself", () => {
  const note = make({ from: [at("me@example.org")], to: [at("me@example.org")] });
  assert.deepEqual(planRecipients(note, "all", OWN), { to: [at("me@example.org")], cc: [] });
});

test("Mail-Followup-To is followed by a reply to all only", () => {
  const email = make({ to: [at("list@x.example")], mailFollowupTo: [at("list@x.example"), at("me@example.org")] });
  assert.deepEqual(planRecipients(email, "all", OWN), { to: [at("list@x.example")], cc: [] });
  assert.deepEqual(planRecipients(email, "sender", OWN).to, [at("anna@x.example")]);
});

test("a reply to the list goes to List-Post alone", () => {
  const email = make({
    to: [at("other@x.example")],
    listPost: "<https://x.example>, <mailto:list@x.example?subject=a>",
  });
  assert.deepEqual(planRecipients(email, "list", OWN), { to: [at("list@x.example")], cc: [] });
  assert.equal(readListPost("NO"), null);
  assert.equal(readListPost("<mailto:a%2Bb@x.example> (comment)"), "a+b@x.example");
  assert.equal(readListPost("<mailto:%zz@x.example>"), "%zz@x.example");
});

test("a list's Reply-To keeps the author in an answer to all", () => {
  const email = make({ replyTo: [at("list@x.example")], to: [at("list@x.example")] });
  assert.deepEqual(planRecipients(email, "all", OWN), { to: [at("list@x.example")], cc: [at("anna@x.example")] });
});

test("a Reply-To of one's own is followed, but not sent to when answering all", () => {
  const email = make({ replyTo: [at("me@example.net")], to: [at("bob@x.example")] });
  assert.deepEqual(planRecipients(email, "sender", OWN).to, [at("me@example.net")]);
  assert.deepEqual(planRecipients(email, "all", OWN), { to: [at("anna@x.example"), at("bob@x.example")], cc: [] });
});

test("answering all is offered where it reaches somebody else", () => {
  assert.ok(!hasOthers(make({}), OWN));
  assert.ok(hasOthers(make({ cc: [at("bob@x.example")] }), OWN));
});

test("the answer comes from the address that was written to", () => {
  assert.equal(pickAddress(make({ to: [at("bob@x.example")], cc: [at("me@example.net")] }), OWN), "me@example.net");
  assert.equal(pickAddress(make({ to: [at("list@x.example")] }), OWN), null);
});

test("a subject gets one Re:, whatever it had", () => {
  assert.equal(replySubject("Re: AW: re[2]: SV: Plans"), "Re: Plans");
  assert.equal(replySubject("Regarding: Plans"), "Re: Regarding: Plans");
  assert.equal(replySubject(null), "Re:");
  assert.equal(forwardSubject("Plans"), "Fwd: Plans");
  assert.equal(forwardSubject("WG: Plans"), "WG: Plans");
});

test("References are those of the parent and its Message-ID", () => {
  assert.deepEqual(threadFields(make({ references: ["r1@x", "r2@x"] })), {
    inReplyTo: ["m1@x"],
    references: ["r1@x", "r2@x", "m1@x"],
  });
  assert.deepEqual(threadFields(make({ inReplyTo: ["p@x"] })).references, ["p@x", "m1@x"]);
  assert.deepEqual(threadFields(make({ inReplyTo: ["p@x", "q@x"] })).references, ["m1@x"]);
  assert.deepEqual(threadFields(make({ messageId: null })), { inReplyTo: null, references: null });
});

test("too many References keep the first and the last", () => {
  const many = Array.from({ length: 300 }, (_, n) => `r${n}@x`);
  const { references } = threadFields(make({ references: many }));
  assert.equal(references?.length, 100);
  assert.equal(references?.[0], "r0@x");
  assert.equal(references?.at(-1), "m1@x");
});
