import assert from "node:assert/strict";
import { test } from "node:test";
import { isWorthSaving, makeEmail, makeSubmission, unwrapPage, type Written } from "./message.ts";

const at = (email: string) => ({ name: null, email });

function written(fields: Partial<Written> = {}): Written {
  const lists = { to: [at("b@x.example")], cc: [], bcc: [], attachments: [] };
  const rest = { replyTo: null, subject: "Hi", html: null, text: "Hello\n", inReplyTo: null, references: null };
  return { identityId: "I1", from: { name: "Me", email: "me@example.org" }, ...lists, ...rest, ...fields };
}

const file = { key: "k", blobId: "U1", name: "a.txt", type: "text/plain", size: 3, cid: null };

test("plain text goes as one part", () => {
  const email = makeEmail(written(), "F1-3");
  assert.deepEqual(email.mailboxIds, { "F1-3": true });
  assert.deepEqual(email.keywords, { $draft: true, $seen: true });
  assert.deepEqual(email.bodyValues, { text: { value: "Hello\n" } });
  assert.equal(email.htmlBody, undefined);
  assert.equal(email.cc, null);
});

test("rich text goes with a plain version", () => {
  const email = makeEmail(written({ html: "<p>Hello</p>" }), "F1-3");
  assert.deepEqual(email.htmlBody, [{ partId: "html", type: "text/html" }]);
  const values = email.bodyValues as Record<string, { value: string }>;
  assert.equal(unwrapPage(values.html!.value), "<p>Hello</p>");
});

test("a line end in the subject never reaches the server", () => {
  assert.equal(makeEmail(written({ subject: "a\r\nBcc: x@x.example" }), "F1-3").subject, "a Bcc: x@x.example");
});

test("an image taken out of the text again does not go along", () => {
  const image = { ...file, key: "i", name: "i.png", type: "image/png", cid: "i1@posthouse" };
  const gone = makeEmail(written({ html: "<p></p>", attachments: [image, file] }), "F1-3");
  assert.deepEqual(gone.attachments, [{ blobId: "U1", type: "text/plain", name: "a.txt", disposition: "attachment" }]);
  const shown = makeEmail(written({ html: '<img src="cid:i1@posthouse">', attachments: [image] }), "F1-3");
  assert.deepEqual(shown.attachments, [
    { blobId: "U1", type: "image/png", name: "i.png", disposition: "inline", cid: "i1@posthouse" },
  ]);
});

test("what is still on its way up is not in the draft", () => {
  assert.equal(makeEmail(written({ attachments: [{ ...file, blobId: null }] }), "F1-3").attachments, undefined);
});

test("the envelope has each recipient once, and the time to send at", () => {
  const mail = written({ cc: [at("B@x.example"), at("c@x.example")], bcc: [at("d@x.example")] });
  const plain = makeSubmission(mail, "M1-1", null);
  assert.deepEqual(
    plain.envelope.rcptTo.map((one) => one.email),
    ["b@x.example", "c@x.example", "d@x.example"],
  );
  assert.equal(plain.envelope.mailFrom.parameters, null);
  const later = makeSubmission(mail, "M1-1", new Date(Date.UTC(2027, 0, 1)));
  assert.deepEqual(later.envelope.mailFrom.parameters, { HOLDUNTIL: "2027-01-01T00:00:00Z" });
});

test("an answer that nothing was written in is not kept", () => {
  const start = written({ text: "\n-- \nMe\n" });
  assert.ok(!isWorthSaving({ ...start, text: "\n-- \nMe" }, start));
  assert.ok(isWorthSaving({ ...start, subject: "Other" }, start));
  assert.ok(isWorthSaving({ ...start, attachments: [file] }, start));
});
