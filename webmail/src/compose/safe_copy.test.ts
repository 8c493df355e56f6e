import assert from "node:assert/strict";
import { test } from "node:test";
import type { Identity } from "../jmap/types.ts";
import { Draft } from "./draft.ts";
import { dropCopy, type KeyValues, keepCopy, listCopies, makeCopy, startFrom } from "./safe_copy.ts";

function makeStore(room = 1_000_000): KeyValues & { values: Map<string, string> } {
  const values = new Map<string, string>();
  return {
    values,
    get length() {
      return values.size;
    },
    key: (at) => [...values.keys()][at] ?? null,
    getItem: (key) => values.get(key) ?? null,
    setItem: (key, value) => {
      if (value.length > room) throw new DOMException("full", "QuotaExceededError");
      values.set(key, value);
    },
    removeItem: (key) => void values.delete(key),
  };
}

const identity: Identity = {
  id: "I2",
  name: "Me",
  email: "me@example.org",
  replyTo: null,
  bcc: null,
  textSignature: "",
  htmlSignature: "",
  mayDelete: true,
};

function makeDraft(): Draft {
  const draft = new Draft({ identity, content: { isRich: true, html: "<p>Hi</p>", text: "Hi\n" } }, "k1");
  draft.change(draft.subject, "Plans");
  draft.change(draft.to, [{ name: null, email: "a@x.example" }]);
  return draft;
}

test("what was written comes back after a reload", () => {
  const store = makeStore();
  assert.ok(keepCopy(store, "k1", makeCopy(makeDraft(), "A1")));
  const copy = listCopies(store, "A1").get("k1")!;
  const again = new Draft(startFrom(copy, [{ ...identity, id: "I1" }, identity])!, "k1");
  assert.deepEqual(again.write(), makeDraft().write());
});

test("a file that is still on its way up is not in the copy", () => {
  const draft = makeDraft();
  const file = { key: "f", name: "a", type: "", size: 1, cid: null, error: null, url: null };
  draft.attachments.value = [
    { ...file, blobId: null, sent: 0 },
    { ...file, key: "g", blobId: "U1", sent: null },
  ];
  const copy = makeCopy(draft, "A1");
  assert.deepEqual(copy.attachments, [{ key: "g", blobId: "U1", name: "a", type: "", size: 1, cid: null }]);
});

test("another account's drafts are not shown", () => {
  const store = makeStore();
  keepCopy(store, "k1", makeCopy(makeDraft(), "A1"));
  keepCopy(store, "k2", makeCopy(makeDraft(), "A2"));
  store.setItem("other", "kept");
  assert.deepEqual([...listCopies(store, "A2").keys()], ["k2"]);
  dropCopy(store, "k2");
  assert.equal(listCopies(store, "A2").size, 0);
  assert.deepEqual([...store.values.keys()], ["posthouse.draft.k1", "other"]);
});

test("a broken copy is removed", () => {
  const store = makeStore();
  for (const text of ["{", "null", '{"to": 1}', '{"to":[1],"cc":[],"bcc":[]}'])
    store.setItem("posthouse.draft.x", text);
  assert.equal(listCopies(store, "A1").size, 0);
  assert.equal(store.length, 0);
});

test("a full session storage is told, and nothing breaks", () => {
  assert.ok(!keepCopy(makeStore(10), "k1", makeCopy(makeDraft(), "A1")));
});
