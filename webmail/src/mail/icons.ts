// The sign of a mailbox.

import type { Mailbox } from "../jmap/types.ts";
import type { IconName } from "../ui/icon.tsx";

const ICONS: Record<string, IconName> = {
  inbox: "inbox",
  drafts: "draft",
  sent: "send",
  archive: "archive",
  junk: "junk",
  trash: "trash",
  scheduled: "schedule",
  snoozed: "clock",
};

export function iconOf(mailbox: Mailbox): IconName {
  return ICONS[mailbox.role ?? ""] ?? "folder";
}
