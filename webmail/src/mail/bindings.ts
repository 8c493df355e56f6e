// Gmail's keys.

import { t } from "../i18n/t.ts";
import { type Binding, useKeys } from "../keys.ts";
import { go } from "../router.ts";
import { compose } from "../state/compose.ts";
import { emailsOf, peekEmail } from "../state/emails.ts";
import { list } from "../state/list.ts";
import { choose, clearSelection, cursor, hasChosen, moveCursor, toggle } from "../state/selection.ts";
import { undoLast } from "../ui/toast.tsx";
import * as act from "./act.ts";
import { openRow } from "./list.tsx";
import { focusedMessage, stepMessage } from "./reading.ts";
import { has } from "./toolbar.tsx";
import { openThread, view } from "./view.ts";

type Command = [keys: string, label: Parameters<typeof t>[0], run: () => void, isHidden?: boolean];

function group(name: Parameters<typeof t>[0], commands: Command[]): Binding[] {
  return commands.map(([keys, label, run, isHidden]) => ({
    keys,
    label: t(label),
    group: t(name),
    run,
    isHidden: isHidden ?? false,
  }));
}

/** With a conversation open beside the list, the keys walk through conversations. */
function step(by: number): void {
  const { threadId } = view.peek();
  if (threadId && cursor.peek() < 0) {
    const row = act.rowOfThread(threadId);
    if (row) cursor.value = list.peek().ids.indexOf(row);
  }
  const index = moveCursor(by);
  const id = list.peek().ids[index];
  if (threadId && id) {
    const email = peekEmail(id);
    if (email) openThread(email.threadId, true);
  }
  document.getElementById("list")?.focus({ preventScroll: true });
}

function openCursor(): void {
  const id = list.peek().ids[cursor.peek()];
  if (id) openRow(id);
}

function back(): void {
  if (hasChosen.peek()) clearSelection();
  else if (view.peek().threadId) openThread(null);
  else if (view.peek().search) go("/mail/inbox");
}

function answer(kind: "reply" | "replyAll" | "forward"): void {
  const { threadId } = view.peek();
  const id = list.peek().ids[cursor.peek()];
  const last = threadId ? (focusedMessage.peek() ?? emailsOf(threadId).at(-1)?.id) : id;
  if (last) compose({ kind, emailId: last });
}

const goTo = (slug: string) => () => go(`/mail/${slug}`);

export function useMailKeys(): void {
  useKeys([
    ...group("keys.group.list", [
      ["j", "keys.next", () => step(1)],
      ["k", "keys.prev", () => step(-1)],
      ["ArrowDown", "keys.next", () => step(1)],
      ["ArrowUp", "keys.prev", () => step(-1)],
      ["o", "keys.open", openCursor],
      ["Enter", "keys.open", openCursor],
      ["u", "keys.back", back],
      ["Escape", "keys.back", back],
      ["x", "keys.select", () => toggle(cursor.peek(), false)],
      ["Shift+X", "keys.select", () => toggle(cursor.peek(), true), true],
      ["* a", "do.selectAll", () => choose(() => true)],
      ["* n", "do.selectNone", clearSelection],
      ["* r", "do.selectRead", () => choose((id) => has(id, "$seen"))],
      ["* u", "do.selectUnread", () => choose((id) => !has(id, "$seen"))],
      ["* s", "do.selectStarred", () => choose((id) => has(id, "$flagged"))],
    ]),
    ...group("keys.group.act", [
      ["e", "do.archive", () => void act.archive()],
      ["y", "do.archive", () => void act.archive(), true],
      ["#", "do.delete", () => void act.remove()],
      ["Delete", "do.delete", () => void act.remove()],
      ["!", "do.junk", () => void act.markJunk()],
      ["s", "do.star", () => void act.toggleStar()],
      ["l", "do.label", () => void act.ask("labels")],
      ["v", "do.move", () => void act.ask("move")],
      ["b", "do.snooze", () => void act.ask("snooze")],
      ["Shift+I", "do.read", () => void act.setSeen(true)],
      ["Shift+U", "do.unread", () => void act.setSeen(false)],
      ["z", "do.undo", undoLast],
    ]),
    ...group("keys.group.read", [
      ["r", "do.reply", () => answer("reply")],
      ["a", "do.replyAll", () => answer("replyAll")],
      ["f", "do.forward", () => answer("forward")],
      ["n", "keys.nextMessage", () => stepMessage(1)],
      ["p", "keys.prevMessage", () => stepMessage(-1)],
    ]),
    ...group("keys.group.go", [
      ["g i", "role.inbox", goTo("inbox")],
      ["g t", "role.sent", goTo("sent")],
      ["g d", "role.drafts", goTo("drafts")],
      ["g a", "role.archive", goTo("archive")],
      ["g b", "role.snoozed", goTo("snoozed")],
      ["g s", "do.selectStarred", () => go("/search?q=is%3Astarred")],
      ["g c", "nav.settings", () => go("/settings")],
    ]),
    ...group("keys.group.app", [
      ["c", "do.compose", () => compose({ kind: "new" })],
      ["/", "do.search", () => document.getElementById("search")?.focus()],
      [
        "?",
        "keys.help",
        () => {
          act.asking.value = { kind: "keys" };
        },
      ],
    ]),
  ]);
}
