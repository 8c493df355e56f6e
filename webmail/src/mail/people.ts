// How people are named in rows and heads. Pure.

import type { EmailAddress, EmailSummary } from "../jmap/types.ts";

export interface Participant {
  name: string;
  isUnread: boolean;
  isDraft: boolean;
}

export function fullName(address: EmailAddress): string {
  return address.name?.trim() || address.email;
}

/** "Ann" of "Ann Smith", "Ann" of "Smith, Ann", "ann" of "ann@example.org". */
export function shortName(address: EmailAddress): string {
  const name = address.name?.trim().replace(/^["']|["']$/g, "") ?? "";
  if (!name || name.includes("@")) return address.email.split("@")[0] || address.email;
  const [last, first] = name.split(/\s*,\s*/, 2);
  return first ? first.split(" ")[0]! : (last!.split(" ")[0] ?? name);
}

const MOST = 4;

/** Who wrote in a conversation, in the order they first did, each once; one alone with the whole name. */
export function participantsOf(emails: readonly EmailSummary[], own: ReadonlySet<string>, me: string): Participant[] {
  const found = new Map<string, { address: EmailAddress; isUnread: boolean; isDraft: boolean }>();
  for (const email of emails) {
    const address = email.from?.[0];
    if (!address) continue;
    const key = own.has(address.email.toLowerCase()) ? me : address.email.toLowerCase();
    const before = found.get(key);
    const isDraft = "$draft" in email.keywords;
    const isUnread = !("$seen" in email.keywords) && !isDraft;
    found.set(key, {
      address: before?.address ?? address,
      isUnread: isUnread || !!before?.isUnread,
      isDraft: isDraft || !!before?.isDraft,
    });
  }
  const all = [...found].map(([key, one]) => ({
    name: key === me ? me : found.size > 1 ? shortName(one.address) : fullName(one.address),
    isUnread: one.isUnread,
    isDraft: one.isDraft,
  }));
  return all.length <= MOST
    ? all
    : [all[0]!, { name: "…", isUnread: false, isDraft: false }, ...all.slice(1 - MOST + 1)];
}

/** Whom mail went to, for rows in Sent and Drafts. */
export function recipientsOf(email: EmailSummary): string {
  return (email.to ?? []).map((address) => shortName(address)).join(", ");
}

export function listNames(addresses: readonly EmailAddress[] | null, own: ReadonlySet<string>, me: string): string {
  const names = (addresses ?? []).map((one) => (own.has(one.email.toLowerCase()) ? me : shortName(one)));
  return names.length > 5 ? `${names.slice(0, 4).join(", ")} +${names.length - 4}` : names.join(", ");
}
