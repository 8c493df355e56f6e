// Commands on rows, for the menu of the toolbar and that of the right mouse button.

import { t } from "../i18n/t.ts";
import type { Id } from "../jmap/types.ts";
import { writeValue } from "../search/parse.ts";
import { compose } from "../state/compose.ts";
import { peekEmail } from "../state/emails.ts";
import type { MenuEntry } from "../ui/menu.tsx";
import * as act from "./act.ts";
import { openSearch, view } from "./view.ts";

export function rowMenu(rows: readonly Id[]): MenuEntry[] {
  const role = view.peek().mailbox?.role;
  const [first] = rows;
  const email = rows.length === 1 && first ? peekEmail(first) : undefined;
  const isUnread = rows.some((row) => !("$seen" in (peekEmail(row)?.keywords ?? {})));
  const isStarred = rows.every(act.isStarred);
  const answers: MenuEntry[] = email
    ? [
        { label: t("do.reply"), icon: "reply", run: () => compose({ kind: "reply", emailId: email.id }) },
        { label: t("do.replyAll"), icon: "replyAll", run: () => compose({ kind: "replyAll", emailId: email.id }) },
        { label: t("do.forward"), icon: "forward", run: () => compose({ kind: "forward", emailId: email.id }) },
        "line",
      ]
    : [];
  const sender = email?.from?.[0]?.email;
  return [
    ...answers,
    { label: t("do.archive"), icon: "archive", run: () => void act.archive(rows), isDisabled: role === "archive" },
    ...placeItems(role, rows),
    { label: t("do.move"), icon: "move", run: () => void act.ask("move", rows) },
    { label: t("do.label"), icon: "tag", run: () => void act.ask("labels", rows) },
    role === "snoozed"
      ? { label: t("do.unsnooze"), icon: "clock", run: () => void act.unsnooze(rows) }
      : { label: t("do.snooze"), icon: "clock", run: () => void act.ask("snooze", rows) },
    "line",
    {
      label: t(isUnread ? "do.read" : "do.unread"),
      icon: isUnread ? "read" : "unread",
      run: () => void act.setSeen(isUnread, rows),
    },
    { label: t(isStarred ? "do.unstar" : "do.star"), icon: "star", run: () => void act.toggleStar(rows) },
    ...(sender
      ? [
          {
            label: t("do.filterLike"),
            icon: "search" as const,
            run: () => openSearch(`from:${writeValue(sender)}`),
          },
        ]
      : []),
  ];
}

function placeItems(role: string | null | undefined, rows: readonly Id[]): MenuEntry[] {
  const isLast = role === "trash" || role === "junk";
  return [
    role === "junk"
      ? { label: t("do.notJunk"), icon: "inbox", run: () => void act.markNotJunk(rows) }
      : { label: t("do.junk"), icon: "junk", run: () => void act.markJunk(rows) },
    {
      label: t(isLast ? "do.deleteForever" : "do.delete"),
      icon: "trash",
      isDangerous: isLast,
      run: () => void act.remove(rows),
    },
  ];
}
