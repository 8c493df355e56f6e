/**
 * Who gets a reply, what it is called, and how it hangs on what it answers. Pure.
 *
 * - To the sender: Reply-To if there is one, else From; of mail one sent oneself, the recipients again.
 * - To all: Mail-Followup-To if the author asks for it; else that and the other recipients, without one's own
 *   addresses, each address once.
 * - To the list: List-Post (RFC 2369 §3.4).
 * References and In-Reply-To as RFC 5322 §3.6.4.
 */

import { type Address, dropRepeats, isOwnAddress } from "./addresses.ts";

export type ReplyMode = "sender" | "all" | "list";

/** What is read of the email that is answered; lists are null where there is no such field. */
export interface Answered {
  from: Address[] | null;
  replyTo: Address[] | null;
  to: Address[] | null;
  cc: Address[] | null;
  bcc?: Address[] | null;
  listPost?: string | null;
  mailFollowupTo?: Address[] | null;
  messageId: string[] | null;
  references: string[] | null;
  inReplyTo?: string[] | null;
  subject: string | null;
}

export interface Recipients {
  to: Address[];
  cc: Address[];
}

const MAX_REFERENCES = 100;

/** The address of `List-Post: <mailto:list@example.org>`; null for NO and for other URLs. */
export function readListPost(field: string | null | undefined): string | null {
  const found = /<\s*mailto:([^?>\s]+)[^>]*>/i.exec(field ?? "");
  if (!found?.[1]) return null;
  try {
    return decodeURIComponent(found[1]);
  } catch {
    return found[1];
  }
}

export function planRecipients(email: Answered, mode: ReplyMode, own: readonly string[]): Recipients {
  const list = readListPost(email.listPost);
  if (mode === "list" && list) return { to: [{ name: null, email: list }], cc: [] };
  if (mode === "all") return planAll(email, own);
  return { to: planSender(email, own), cc: [] };
}

function planSender(email: Answered, own: readonly string[]): Address[] {
  const from = email.from ?? [];
  const isMine = from.length > 0 && from.every((one) => isOwnAddress(one.email, own));
  const asked = (email.replyTo ?? []).filter((one) => one.email);
  if (isMine && !asked.some((one) => !isOwnAddress(one.email, own))) {
    const others = dropRepeats(email.to ?? []);
    return others.length ? others : dropRepeats(from);
  }
  return dropRepeats(asked.length ? asked : from);
}

function planAll(email: Answered, own: readonly string[]): Recipients {
  const isNotMine = (one: Address) => !isOwnAddress(one.email, own);
  const followUp = dropRepeats(email.mailFollowupTo ?? []).filter(isNotMine);
  if (followUp.length) return { to: followUp, cc: [] };
  const isFromMe = (email.from ?? []).some((one) => !isNotMine(one));
  const first = planSender(email, own);
  if (isFromMe) return keepSome(first, dropRepeats(email.cc ?? [], first), isNotMine);
  const others = dropRepeats([...(email.to ?? [])], first).filter(isNotMine);
  const copies = dropRepeats(email.cc ?? [], [...first, ...others]).filter(isNotMine);
  const to = first.filter(isNotMine);
  // A list that sets Reply-To to itself would else drop the author from the answer to all.
  const author = dropRepeats(email.from ?? [], [...first, ...others, ...copies]).filter(isNotMine);
  if (!to.length && !others.length && !copies.length && !author.length) return { to: first, cc: [] };
  return liftCopies({ to, cc: [...author, ...others, ...copies] });
}

function keepSome(to: Address[], cc: Address[], isKept: (one: Address) => boolean): Recipients {
  const kept = liftCopies({ to: to.filter(isKept), cc: cc.filter(isKept) });
  return kept.to.length ? kept : { to, cc: [] };
}

/** Nobody in To: those in Cc are whom it is to. */
function liftCopies(recipients: Recipients): Recipients {
  return recipients.to.length ? recipients : { to: recipients.cc, cc: [] };
}

/** Whether answering all reaches anybody that answering the sender does not. */
export function hasOthers(email: Answered, own: readonly string[]): boolean {
  const one = planRecipients(email, "sender", own);
  const all = planRecipients(email, "all", own);
  const keys = new Set(one.to.map((each) => each.email.toLowerCase()));
  return [...all.to, ...all.cc].some((each) => !keys.has(each.email.toLowerCase()));
}

/** The identity that was written to: the first of one's own among To, Cc, Bcc and then From; null: none. */
export function pickAddress(email: Answered, own: readonly string[]): string | null {
  const named = [...(email.to ?? []), ...(email.cc ?? []), ...(email.bcc ?? []), ...(email.from ?? [])];
  return named.find((one) => isOwnAddress(one.email, own))?.email ?? null;
}

/** Re, AW, Antw, SV, VS and the like, with or without a count, however often. */
const REPLY_MARKS = /^\s*(?:(?:re|aw|antw|sv|vs|odp|r|res)\s*(?:\[\d+\]|\^\d+)?\s*[:：]\s*)+/i;
const FORWARD_MARKS = /^\s*(?:(?:fwd?|wg|vs|tr|enc|rv)\s*(?:\[\d+\])?\s*[:：]\s*)+/i;

export function replySubject(subject: string | null): string {
  return `Re: ${(subject ?? "").replace(REPLY_MARKS, "").trim()}`.trimEnd();
}

export function forwardSubject(subject: string | null): string {
  const bare = (subject ?? "").trim();
  return FORWARD_MARKS.test(bare) ? bare : `Fwd: ${bare}`.trimEnd();
}

export interface ThreadFields {
  inReplyTo: string[] | null;
  references: string[] | null;
}

/** Of the references the first and the last are kept when there are too many (as Usenet did: RFC 5537 §3.4.4). */
export function threadFields(email: Answered): ThreadFields {
  const own = email.messageId ?? [];
  if (!own.length) return { inReplyTo: null, references: email.references?.length ? email.references : null };
  const single = email.inReplyTo?.length === 1 ? email.inReplyTo : [];
  const before = email.references?.length ? email.references : single;
  const chain = [...before.filter((id) => !own.includes(id)), ...own];
  const kept = chain.length > MAX_REFERENCES ? [chain[0] as string, ...chain.slice(1 - MAX_REFERENCES)] : chain;
  return { inReplyTo: own, references: kept };
}
