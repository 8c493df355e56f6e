import assert from "node:assert/strict";
import { test } from "node:test";
import type { Mailbox } from "../jmap/types.ts";
import { mayNest, treeOf } from "./tree.ts";

function make(id: string, name: string, parentId: string | null = null, role: string | null = null): Mailbox {
  return { id, name, parentId, role, sortOrder: 0 } as Mailbox;
}

const mailboxes = [
  make("1", "Trash", null, "trash"),
  make("2", "Work", null),
  make("3", "INBOX", null, "inbox"),
  make("4", "Bills", "2"),
  make("5", "2026", "4"),
  make("6", "Lost", "99"),
  make("7", "Accounts", "2"),
];

test("those with a use come first, in the order of use; others by name, children below their parent", () => {
  const shown = treeOf(mailboxes).map((row) => `${" ".repeat(row.depth)}${row.mailbox.name}`);
  assert.deepEqual(shown, ["INBOX", "Trash", "Lost", "Work", " Accounts", " Bills", "  2026"]);
});

test("a mailbox is never put below itself or below what it holds", () => {
  const rows = treeOf(mailboxes);
  assert.equal(mayNest(rows, "2", "2"), false);
  assert.equal(mayNest(rows, "2", "5"), false);
  assert.equal(mayNest(rows, "4", null), true);
  assert.equal(mayNest(rows, "7", "4"), true);
});
