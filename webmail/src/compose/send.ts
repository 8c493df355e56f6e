/**
 * Sending: the last version of the draft and its submission go in one request, so that a message is either a draft or
 * on its way. While the server holds it (its time for undoing, or a time the writer chose) it can be stopped.
 */

import { jmap } from "../jmap/client.ts";
import type { Email, EmailSubmission, QueryAnswer, SetAnswer, SetError } from "../jmap/types.ts";
import { takeNotesAbout } from "../ui/toast.tsx";
import { mailboxOf } from "./account.ts";
import { isValidAddress } from "./addresses.ts";
import type { Draft } from "./draft.ts";
import { speaksOfAttachment } from "./forgotten.ts";
import { makeEmail, makeSubmission } from "./message.ts";
import { t } from "./texts.ts";

export type Doubt = "forgotten" | "subject";

/** What keeps it from being sent, in words; null: nothing. */
export function findObstacle(draft: Draft): string | null {
  const everybody = draft.recipients();
  if (everybody.length === 0) return t("noRecipient");
  const wrong = everybody.find((one) => !isValidAddress(one.email));
  if (wrong) return t("invalidAddress", { email: wrong.email });
  if (draft.isUploading()) return t("uploading");
  const failed = draft.attachments.peek().find((one) => !one.blobId);
  return failed ? t("uploadFailed", { name: failed.name }) : null;
}

/** What one should think of before. */
export function listDoubts(draft: Draft): Doubt[] {
  const doubts: Doubt[] = [];
  const written = draft.write();
  const hasFiles = draft.attachments.peek().some((one) => one.cid === null);
  if (!hasFiles && speaksOfAttachment(written.subject, written.text)) doubts.push("forgotten");
  if (!written.subject.trim()) doubts.push("subject");
  return doubts;
}

export class Refused extends Error {
  /** Those at fault, if it is an address. */
  readonly recipients: string[];

  constructor(text: string, recipients: string[] = []) {
    super(text);
    this.recipients = recipients;
  }
}

interface SubmissionError extends SetError {
  invalidRecipients?: string[];
  maxRecipients?: number;
  maxSize?: number;
}

function explain(error: SubmissionError, draft: Draft): Refused {
  const said = error.description ?? "";
  switch (error.type) {
    case "invalidRecipients": {
      const list = error.invalidRecipients ?? [];
      return new Refused(join(t("refusedRecipients", { list: list.join(", ") }), said), list);
    }
    case "noRecipients":
      return new Refused(t("noRecipient"));
    case "tooManyRecipients":
      return new Refused(t("tooManyRecipients", { n: error.maxRecipients ?? 0 }));
    case "forbiddenFrom":
    case "forbiddenMailFrom":
      return new Refused(t("notAllowed", { email: draft.identity.peek().email }));
    case "tooLarge":
      return new Refused(t("tooLarge"));
    default:
      return new Refused(join(t("notSent"), said), nameRecipients(said, draft));
  }
}

function join(text: string, more: string): string {
  return more ? `${text} (${more})` : text;
}

function nameRecipients(text: string, draft: Draft): string[] {
  const said = text.toLowerCase();
  return draft.recipients().flatMap(({ email }) => (said.includes(email.toLowerCase()) ? [email] : []));
}

export interface Sent {
  submissionId: string;
  emailId: string;
  undoStatus: string;
  sendAt: string | null;
}

/** Raises Refused for what the server does not take, and the client's errors; the draft is saved then, if that went. */
export async function sendDraft(draft: Draft, sendAt: Date | null): Promise<Sent> {
  const [drafts, sent] = await Promise.all([mailboxOf("drafts"), mailboxOf("sent")]);
  const written = draft.write();
  const old = draft.emailId;
  const saving = jmap.call<SetAnswer<Email>>("Email/set", {
    create: { draft: makeEmail(written, drafts) },
    destroy: old ? [old] : null,
  });
  const sending = jmap.call<SetAnswer<EmailSubmission>>("EmailSubmission/set", {
    create: { send: makeSubmission(written, "#draft", sendAt) },
    onSuccessUpdateEmail: { "#send": leaveDrafts(drafts, sent) },
  });
  const saved = await saving;
  const emailId = saved.created?.["draft"]?.id;
  if (!emailId) throw explain((saved.notCreated?.["draft"] ?? { type: "serverFail" }) as SubmissionError, draft);
  draft.emailId = emailId;
  const answer = await sending;
  const made = answer.created?.["send"];
  if (!made?.id) throw explain((answer.notCreated?.["send"] ?? { type: "serverFail" }) as SubmissionError, draft);
  if (draft.source) markSource(draft.source.emailId, draft.source.keyword, true);
  return { submissionId: made.id, emailId, undoStatus: made.undoStatus ?? "pending", sendAt: made.sendAt ?? null };
}

function leaveDrafts(drafts: string, sent: string): Record<string, unknown> {
  return { [`mailboxIds/${drafts}`]: null, [`mailboxIds/${sent}`]: true, "keywords/$draft": null };
}

export function markSource(emailId: string, keyword: string, isOn: boolean): void {
  const update = { [emailId]: { [`keywords/${keyword}`]: isOn ? true : null } };
  void jmap.call<SetAnswer>("Email/set", { update }).promise.catch(() => undefined);
}

/** False: it is too late. Afterwards the email lies in Drafts. */
export async function stopSending(submissionId: string, emailId: string): Promise<boolean> {
  const answer = await jmap.call<SetAnswer<EmailSubmission>>("EmailSubmission/set", {
    update: { [submissionId]: { undoStatus: "canceled" } },
  });
  if (!answer.updated || !(submissionId in answer.updated)) return false;
  await backToDrafts(emailId);
  return true;
}

async function backToDrafts(emailId: string): Promise<void> {
  const update = { [emailId]: { mailboxIds: { [await mailboxOf("drafts")]: true }, "keywords/$draft": true } };
  await jmap.call<SetAnswer>("Email/set", { update });
}

/** Of what waits in Scheduled. Raises Refused when nothing could be stopped. */
export async function stopScheduled(emailId: string): Promise<void> {
  const filter = { emailIds: [emailId], undoStatus: "pending" };
  const { ids } = await jmap.call<QueryAnswer>("EmailSubmission/query", { filter });
  for (const id of ids) {
    if (!(await stopSending(id, emailId))) continue;
    takeNotesAbout(emailId); // the one that offers to undo its sending
    return;
  }
  throw new Refused(t("notStopped"));
}
