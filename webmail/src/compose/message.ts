/** What is written, as the value of Email/set create (RFC 8621 §4.6), and as EmailSubmission/set has it. Pure. */

import { type Address, addressKey, dropRepeats } from "./addresses.ts";
import { toUtcDate } from "./presets.ts";

/** `blobId` null: not yet uploaded. `cid`: the HTML shows it in place. */
export interface Attachment {
  key: string;
  blobId: string | null;
  name: string;
  type: string;
  size: number;
  cid: string | null;
}

export interface Written {
  identityId: string;
  from: Address;
  replyTo: Address[] | null;
  to: Address[];
  cc: Address[];
  bcc: Address[];
  subject: string;
  /** null: plain text only. */
  html: string | null;
  text: string;
  attachments: Attachment[];
  inReplyTo: string[] | null;
  references: string[] | null;
}

export type EmailCreate = Record<string, unknown>;

const orNull = (list: Address[]) => (list.length ? list.map(({ name, email }) => ({ name, email })) : null);

export function makeEmail(written: Written, mailboxId: string): EmailCreate {
  const bodyValues: Record<string, { value: string }> = { text: { value: written.text } };
  const email: EmailCreate = {
    mailboxIds: { [mailboxId]: true },
    keywords: { $draft: true, $seen: true },
    from: orNull([written.from]),
    replyTo: written.replyTo?.length ? orNull(written.replyTo) : null,
    to: orNull(written.to),
    cc: orNull(written.cc),
    bcc: orNull(written.bcc),
    subject: written.subject.replace(/[\r\n\0]+/g, " "),
    inReplyTo: written.inReplyTo?.length ? written.inReplyTo : null,
    references: written.references?.length ? written.references : null,
    bodyValues,
    textBody: [{ partId: "text", type: "text/plain" }],
  };
  const used = written.attachments.filter((one) => one.blobId && isUsed(one, written.html));
  if (written.html !== null) {
    bodyValues.html = { value: wrapPage(written.html) };
    email.htmlBody = [{ partId: "html", type: "text/html" }];
  }
  if (used.length) email.attachments = used.map((one) => makePart(one, written.html));
  return email;
}

/** An image that was taken out of the text again does not go along. */
function isUsed(attachment: Attachment, html: string | null): boolean {
  return attachment.cid === null || (html !== null && shows(html, attachment.cid));
}

function shows(html: string, cid: string): boolean {
  return html.includes(`cid:${cid}"`) || html.includes(`cid:${encodeURIComponent(cid)}"`);
}

function makePart(attachment: Attachment, html: string | null): Record<string, unknown> {
  const isInline = attachment.cid !== null && html !== null;
  return {
    blobId: attachment.blobId,
    type: attachment.type || "application/octet-stream",
    name: attachment.name || null,
    disposition: isInline ? "inline" : "attachment",
    ...(isInline ? { cid: attachment.cid } : {}),
  };
}

function wrapPage(html: string): string {
  return `<!DOCTYPE html>\n<html><head><meta charset="utf-8"></head><body>${html}</body></html>\n`;
}

/** Of an HTML body: what is between the body tags, or all of it. */
export function unwrapPage(html: string): string {
  const found = /<body[^>]*>([\s\S]*?)(?:<\/body>|$)/i.exec(html);
  return found ? (found[1] ?? "") : html;
}

export interface SubmissionCreate {
  identityId: string;
  emailId: string;
  envelope: {
    mailFrom: { email: string; parameters: Record<string, string | null> | null };
    rcptTo: { email: string; parameters: null }[];
  };
}

/** `sendAt` null: now, or when the time for undoing is over. */
export function makeSubmission(written: Written, emailId: string, sendAt: Date | null): SubmissionCreate {
  const all = dropRepeats([...written.to, ...written.cc, ...written.bcc]);
  return {
    identityId: written.identityId,
    emailId,
    envelope: {
      mailFrom: { email: written.from.email, parameters: sendAt ? { HOLDUNTIL: toUtcDate(sendAt) } : null },
      rcptTo: all.map((one) => ({ email: one.email, parameters: null })),
    },
  };
}

/** Whether anything is worth keeping: a signature and a quote that were put there do not count. */
export function isWorthSaving(written: Written, initial: Written): boolean {
  return JSON.stringify(comparable(written)) !== JSON.stringify(comparable(initial));
}

function comparable(written: Written): unknown {
  const emails = (list: Address[]) => list.map((one) => addressKey(one.email));
  return [
    emails(written.to),
    emails(written.cc),
    emails(written.bcc),
    written.subject,
    written.text.trim(),
    written.html,
    written.attachments.map((one) => one.key),
  ];
}
