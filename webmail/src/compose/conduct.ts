/** What the buttons of a window do: send, stop, save and close, throw away. */

import { locale } from "../i18n/index.ts";
import { jmap, OfflineError } from "../jmap/client.ts";
import type { SetAnswer } from "../jmap/types.ts";
import { mediumDate } from "../mail/format.ts";
import { closeComposer, compose } from "../state/compose.ts";
import { session } from "../state/session.ts";
import { toast } from "../ui/toast.tsx";
import { mailboxOf } from "./account.ts";
import { commitTyped } from "./address_field.tsx";
import type { Open } from "./index.tsx";
import { keepCopy, makeCopy } from "./safe_copy.ts";
import {
  type Doubt,
  findObstacle,
  listDoubts,
  markSource,
  Refused,
  type Sent,
  sendDraft,
  stopSending,
} from "./send.ts";
import { t } from "./texts.ts";
import { stopUploads } from "./uploads.ts";

/** Doubts are given back unless the writer is sure; then nothing was sent. */
export async function sendNow(open: Open, sendAt: Date | null, isSure: boolean): Promise<Doubt[]> {
  const { draft, keeper } = open;
  if (draft.isSending.peek()) return [];
  commitTyped(draft);
  await draft.ready.catch(() => undefined);
  draft.readEditor?.();
  draft.problem.value = findObstacle(draft);
  if (draft.problem.peek()) return [];
  const doubts = isSure ? [] : listDoubts(draft);
  if (doubts.length) return doubts;
  draft.isSending.value = true;
  keeper.keepNow();
  await keeper.settle();
  try {
    const sent = await sendDraft(draft, sendAt);
    finish(open);
    tellSent(sent, open, sendAt);
  } catch (error) {
    draft.refused.value = error instanceof Refused ? error.recipients : [];
    draft.problem.value = explain(error);
    draft.kept.value = draft.emailId ? "saved" : "changed";
    if (!draft.emailId) draft.onChange();
  } finally {
    draft.isSending.value = false;
  }
  return [];
}

function explain(error: unknown): string {
  if (error instanceof OfflineError) return t("offline");
  return error instanceof Error && error.message ? error.message : t("notSent");
}

/** The window goes, with the copy in the tab. */
function finish(open: Open): void {
  open.keeper.stop(true);
  stopUploads(open.draft);
  closeComposer(open.key);
}

function tellSent(sent: Sent, open: Open, sendAt: Date | null): void {
  const undo = () => void undoSending(sent, open);
  const heldMs = (session.peek()?.server.undoSeconds ?? 0) * 1000;
  if (sendAt) {
    const when = mediumDate(sendAt.toISOString(), locale(), new Date());
    toast(t("scheduled", { when }), { undo, about: sent.emailId });
  } else if (sent.undoStatus === "pending" && heldMs > 0)
    toast(t("sending"), { undo, about: sent.emailId, forMs: Math.max(2_000, heldMs - 300) });
  else toast(t("sent"));
}

async function undoSending(sent: Sent, open: Open): Promise<void> {
  try {
    if (!(await stopSending(sent.submissionId, sent.emailId))) throw new Error(t("undoFailed"));
    const { source } = open.draft;
    if (source) markSource(source.emailId, source.keyword, false);
    compose({ kind: "draft", emailId: sent.emailId });
    toast(t("undone"));
  } catch (error) {
    toast(error instanceof OfflineError ? t("offline") : t("undoFailed"), { isError: true });
  }
}

export async function saveAndClose(open: Open): Promise<void> {
  const { draft, keeper } = open;
  commitTyped(draft);
  if (draft.isUploading()) {
    draft.problem.value = t("uploading");
    return;
  }
  try {
    await keeper.saveNow();
    finish(open);
    if (draft.emailId && draft.version > 0) toast(t("saved"));
  } catch (error) {
    draft.problem.value = error instanceof OfflineError ? t("offline") : t("saveFailed");
  }
}

/** Into the trash, so that it can be undone; what the server never had stays in the tab for that. */
export async function discard(open: Open): Promise<void> {
  const { draft, keeper } = open;
  draft.readEditor?.();
  await keeper.settle();
  const { emailId } = draft;
  const isEmpty = !emailId && !draft.isWorthSaving();
  const copy = makeCopy(draft, jmap.accountId);
  finish(open);
  if (emailId) {
    const before = await moveAway(emailId);
    toast(t("discarded"), { undo: () => void bringBack(emailId, before) });
  } else if (isEmpty) toast(t("discarded"));
  else toast(t("discarded"), { undo: () => reopenCopy(draft.key, copy) });
}

function reopenCopy(key: string, copy: ReturnType<typeof makeCopy>): void {
  keepCopy(sessionStorage, key, copy);
  compose({ kind: "kept", copy: key });
}

async function moveAway(emailId: string): Promise<string> {
  const drafts = await mailboxOf("drafts");
  const update = { [emailId]: { mailboxIds: { [await mailboxOf("trash")]: true } } };
  await jmap.call<SetAnswer>("Email/set", { update }).promise.catch(() => undefined);
  return drafts;
}

async function bringBack(emailId: string, drafts: string): Promise<void> {
  await jmap.call<SetAnswer>("Email/set", { update: { [emailId]: { mailboxIds: { [drafts]: true } } } });
  compose({ kind: "draft", emailId });
}
