/** From what was asked for to a draft: a new message, an answer, something forwarded, or what was begun before. */

import { locale } from "../i18n/index.ts";
import { jmap } from "../jmap/client.ts";
import type { Identity } from "../jmap/types.ts";
import { longDate } from "../mail/format.ts";
import type { ComposeRequest } from "../state/compose.ts";
import { preferences } from "../state/preferences.ts";
import { needIdentities } from "./account.ts";
import { formatAddresses, isOwnAddress, labelAddress, parseAddresses, sameAddress } from "./addresses.ts";
import {
  allAttachments,
  fetchEmail,
  hasHtml,
  inlineImages,
  type OpenedEmail,
  readHtml,
  readText,
  toAnswered,
} from "./answered.ts";
import { cleanFragment } from "./clean.ts";
import { type Content, Draft, makeKey, type Start } from "./draft.ts";
import {
  escapeHtml,
  forwardHeadHtml,
  forwardHeadText,
  quoteHtml,
  quoteText,
  textToHtml,
  treeToText,
  wrapText,
} from "./quote.ts";
import { forwardSubject, pickAddress, planRecipients, type ReplyMode, replySubject, threadFields } from "./reply.ts";
import { listCopies, startFrom } from "./safe_copy.ts";
import { stopScheduled } from "./send.ts";
import { signatureHtml, signatureText } from "./signature.ts";
import { t } from "./texts.ts";

const MODES: Record<string, ReplyMode> = { reply: "sender", replyAll: "all", replyList: "list" };

export async function openRequest(request: ComposeRequest): Promise<Draft> {
  const identities = await needIdentities();
  switch (request.kind) {
    case "new":
      return new Draft(startNew(request, identities), makeKey());
    case "reply":
    case "replyAll":
    case "replyList":
      return new Draft(await startReply(request.emailId, MODES[request.kind]!, identities), makeKey());
    case "forward":
      return new Draft(await startForward(request.emailId, identities), makeKey());
    case "forwardAttached":
      return new Draft(await startAttached(request.emailId, identities), makeKey());
    case "scheduled":
      await stopScheduled(request.emailId);
      return new Draft(await startDraft(request.emailId, identities), makeKey());
    case "draft":
      return new Draft(await startDraft(request.emailId, identities), makeKey());
    case "kept":
      return openKept(request.copy, identities);
  }
}

function isRichWanted(): boolean {
  return !preferences.value.plainText;
}

function startNew(request: Extract<ComposeRequest, { kind: "new" }>, identities: Identity[]): Start {
  const identity = identities[0]!;
  const body = request.body ?? "";
  return {
    identity,
    to: parseAddresses(request.to ?? ""),
    cc: parseAddresses(request.cc ?? ""),
    bcc: [...parseAddresses(request.bcc ?? ""), ...(identity.bcc ?? [])],
    subject: request.subject ?? "",
    content: makeContent(identity, isRichWanted(), body ? textToHtml(body) : "<div><br></div>", body, "", ""),
  };
}

/** Text, signature, quote: in this order. */
function makeContent(
  identity: Identity,
  isRich: boolean,
  html: string,
  text: string,
  quotedHtml: string,
  quoted: string,
): Content {
  const below = quoted ? `\n${quoted}` : "";
  return {
    isRich,
    html: `${html}${signatureHtml(identity)}${quotedHtml && `<div><br></div>${quotedHtml}`}`,
    text: `${text}\n${signatureText(identity)}${below}`,
  };
}

function ownAddresses(identities: readonly Identity[]): string[] {
  return identities.map((one) => one.email);
}

function pickIdentity(email: OpenedEmail, identities: Identity[]): Identity {
  const address = pickAddress(toAnswered(email), ownAddresses(identities));
  const exact = identities.find((one) => address !== null && sameAddress(one.email, address));
  return exact ?? identities.find((one) => address !== null && isOwnAddress(address, [one.email])) ?? identities[0]!;
}

function writeDate(email: OpenedEmail): string {
  return longDate(email.sentAt ?? email.receivedAt, locale());
}

async function startReply(emailId: string, mode: ReplyMode, identities: Identity[]): Promise<Start> {
  const email = await fetchEmail(emailId);
  const identity = pickIdentity(email, identities);
  const answered = toAnswered(email);
  const name = labelAddress(email.from?.[0] ?? { name: null, email: "?" });
  const attribution = t("attribution", { date: writeDate(email), name });
  const before = readHtml(email);
  const text = readText(email) ?? plainOf(before);
  const quoted = `${attribution}\n${quoteText(wrapText(text))}\n`;
  const quotedHtml = `<div>${escapeHtml(attribution)}</div>${quoteHtml(before)}`;
  return {
    identity,
    ...planRecipients(answered, mode, ownAddresses(identities)),
    bcc: identity.bcc ?? [],
    subject: replySubject(email.subject),
    content: makeContent(identity, isRichWanted(), "<div><br></div>", "", quotedHtml, quoted),
    attachments: inlineImages(email, before),
    ...threadFields(answered),
    source: { emailId, keyword: "$answered" },
  };
}

function plainOf(html: string): string {
  return treeToText(cleanFragment(html));
}

async function startForward(emailId: string, identities: Identity[]): Promise<Start> {
  const email = await fetchEmail(emailId);
  const identity = pickIdentity(email, identities);
  const words = {
    title: t("forwardTitle"),
    from: t("headFrom"),
    date: t("headDate"),
    subject: t("headSubject"),
    to: t("headTo"),
    cc: t("headCc"),
  };
  const head = { from: email.from, to: email.to, cc: email.cc, subject: email.subject, date: writeDate(email) };
  const before = readHtml(email);
  const text = readText(email) ?? plainOf(before);
  return {
    identity,
    bcc: identity.bcc ?? [],
    subject: forwardSubject(email.subject),
    content: makeContent(
      identity,
      isRichWanted(),
      "<div><br></div>",
      "",
      `${forwardHeadHtml(head, words)}<div>${before}</div>`,
      `${forwardHeadText(head, words)}\n\n${text}`,
    ),
    attachments: allAttachments(email, before),
    references: threadFields(toAnswered(email)).references,
    source: { emailId, keyword: "$forwarded" },
  };
}

async function startAttached(emailId: string, identities: Identity[]): Promise<Start> {
  const email = await fetchEmail(emailId);
  const identity = pickIdentity(email, identities);
  const name = `${
    (email.subject ?? t("message"))
      .replace(/[/\\:*?"<>|\p{Cc}]+/gu, " ")
      .slice(0, 80)
      .trim() || t("message")
  }.eml`;
  const whole = { key: makeKey(), blobId: email.blobId, name, type: "message/rfc822", size: email.size, cid: null };
  return {
    identity,
    bcc: identity.bcc ?? [],
    subject: forwardSubject(email.subject),
    content: makeContent(identity, isRichWanted(), "<div><br></div>", "", "", ""),
    attachments: [whole],
    source: { emailId, keyword: "$forwarded" },
  };
}

async function startDraft(emailId: string, identities: Identity[]): Promise<Start> {
  const email = await fetchEmail(emailId);
  const from = email.from?.[0]?.email ?? "";
  const identity = identities.find((one) => sameAddress(one.email, from)) ?? identities[0]!;
  const html = readHtml(email);
  const text = readText(email) ?? plainOf(html);
  return {
    identity,
    to: email.to ?? [],
    cc: email.cc ?? [],
    bcc: email.bcc ?? [],
    subject: email.subject ?? "",
    content: { isRich: hasHtml(email), html: hasHtml(email) ? html : textToHtml(text), text },
    attachments: allAttachments(email, html),
    inReplyTo: email.inReplyTo,
    references: email.references,
    emailId,
  };
}

function openKept(key: string, identities: Identity[]): Draft {
  const copy = listCopies(sessionStorage, jmap.accountId).get(key);
  const start = copy && startFrom(copy, identities);
  if (!start) throw new Error(t("openFailed"));
  const draft = new Draft(start, key);
  draft.kept.value = "changed";
  draft.isKept = true;
  return draft;
}

/** For a window's title. */
export function titleOf(draft: Draft): string {
  const subject = draft.subject.value.trim();
  return subject || formatAddresses(draft.to.value) || t("newMessage");
}
