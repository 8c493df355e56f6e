/** Reads an email as one that is answered, forwarded, or written on. */

import { jmap } from "../jmap/client.ts";
import type { BodyPart, Email, GetAnswer } from "../jmap/types.ts";
import type { Address } from "./addresses.ts";
import { cleanHtml } from "./clean.ts";
import { makeKey } from "./draft.ts";
import { type Attachment, unwrapPage } from "./message.ts";
import { textToHtml } from "./quote.ts";
import type { Answered } from "./reply.ts";
import { t } from "./texts.ts";

const PROPERTIES = [
  ..."id blobId threadId mailboxIds keywords messageId inReplyTo references from replyTo to cc bcc subject sentAt receivedAt".split(
    " ",
  ),
  ..."textBody htmlBody attachments bodyValues size".split(" "),
  "header:List-Post:asRaw",
  "header:Mail-Followup-To:asAddresses",
];
const PART = ["partId", "blobId", "size", "name", "type", "charset", "disposition", "cid"];
const MOST_OCTETS = 1_000_000;

export type OpenedEmail = Email & {
  "header:List-Post:asRaw": string | null;
  "header:Mail-Followup-To:asAddresses": Address[] | null;
};

export async function fetchEmail(emailId: string): Promise<OpenedEmail> {
  const { list } = await jmap.call<GetAnswer<OpenedEmail>>("Email/get", {
    ids: [emailId],
    properties: PROPERTIES,
    bodyProperties: PART,
    fetchTextBodyValues: true,
    fetchHTMLBodyValues: true,
    maxBodyValueBytes: MOST_OCTETS,
  });
  const email = list[0];
  if (!email) throw new Error(t("openFailed"));
  return email;
}

export function toAnswered(email: OpenedEmail): Answered {
  return {
    ...email,
    listPost: email["header:List-Post:asRaw"],
    mailFollowupTo: email["header:Mail-Followup-To:asAddresses"],
  };
}

function textOf(email: OpenedEmail, part: BodyPart): string {
  return (part.partId && email.bodyValues[part.partId]?.value) || "";
}

/** The text as HTML, cleaned: of the parts that are HTML, and of those that are text. */
export function readHtml(email: OpenedEmail): string {
  const pieces = email.htmlBody.map((part) => {
    if (part.type === "text/html") return cleanHtml(unwrapPage(textOf(email, part)));
    return part.type.startsWith("text/") ? textToHtml(textOf(email, part)) : "";
  });
  return pieces.join("");
}

export function hasHtml(email: OpenedEmail): boolean {
  return email.htmlBody.some((part) => part.type === "text/html");
}

/** The plain text, if the message has one. */
export function readText(email: OpenedEmail): string | null {
  const parts = email.textBody.filter((part) => part.type.startsWith("text/") && part.type !== "text/html");
  return parts.length ? parts.map((part) => textOf(email, part)).join("\n") : null;
}

function toAttachment(part: BodyPart, isInline: boolean): Attachment {
  return {
    key: makeKey(),
    blobId: part.blobId,
    name: part.name ?? (part.type === "message/rfc822" ? "message.eml" : t("attachments")),
    type: part.type,
    size: part.size,
    cid: isInline ? part.cid : null,
  };
}

function isShown(part: BodyPart, html: string): boolean {
  if (!part.cid) return false;
  return html.includes(`data-cid="${part.cid}"`) || html.includes(`data-cid="${part.cid.replace(/&/g, "&amp;")}"`);
}

/** Images that the HTML shows. */
export function inlineImages(email: OpenedEmail, html: string): Attachment[] {
  const parts = [...email.attachments, ...email.htmlBody].filter((part) => part.blobId && isShown(part, html));
  return parts.map((part) => toAttachment(part, true));
}

/** All that hangs on it, those shown in the text marked as such. */
export function allAttachments(email: OpenedEmail, html: string): Attachment[] {
  const others = email.attachments.filter((part) => part.blobId && !isShown(part, html));
  return [...inlineImages(email, html), ...others.map((part) => toAttachment(part, false))];
}
