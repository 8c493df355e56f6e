/**
 * Drafts in the tab's session storage, until the server has them. Of attachments only those that are up are kept. What
 * is read back is looked at as anything from outside: a field of the wrong kind makes the copy worthless, no more.
 */

import type { Identity } from "../jmap/types.ts";
import { KEPT_PREFIX } from "../state/compose.ts";
import type { Address } from "./addresses.ts";
import type { Content, Draft, Source, Start } from "./draft.ts";
import type { Attachment } from "./message.ts";

const PREFIX = KEPT_PREFIX;

export interface SafeCopy {
  account: string;
  identityId: string;
  to: Address[];
  cc: Address[];
  bcc: Address[];
  subject: string;
  content: Content;
  attachments: Attachment[];
  inReplyTo: string[] | null;
  references: string[] | null;
  source: Source | null;
  emailId: string | null;
}

export interface KeyValues {
  readonly length: number;
  key(index: number): string | null;
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

export function makeCopy(draft: Draft, account: string): SafeCopy {
  const uploaded = draft.attachments.peek().filter((one) => one.blobId);
  return {
    account,
    identityId: draft.identity.peek().id,
    to: draft.to.peek(),
    cc: draft.cc.peek(),
    bcc: draft.bcc.peek(),
    subject: draft.subject.peek(),
    content: draft.content,
    attachments: uploaded.map(({ key, blobId, name, type, size, cid }) => ({ key, blobId, name, type, size, cid })),
    inReplyTo: draft.inReplyTo,
    references: draft.references,
    source: draft.source,
    emailId: draft.emailId,
  };
}

/** False: there is no room; the server has to do. */
export function keepCopy(store: KeyValues, key: string, copy: SafeCopy): boolean {
  try {
    store.setItem(PREFIX + key, JSON.stringify(copy));
    return true;
  } catch {
    return false;
  }
}

export function dropCopy(store: KeyValues, key: string): void {
  store.removeItem(PREFIX + key);
}

/** Those of the account, by key; broken ones are removed. */
export function listCopies(store: KeyValues, account: string): Map<string, SafeCopy> {
  const names = Array.from({ length: store.length }, (_, at) => store.key(at) ?? "");
  const found = new Map<string, SafeCopy>();
  for (const name of names.filter((one) => one.startsWith(PREFIX)).sort()) {
    const copy = readCopy(store.getItem(name));
    if (!copy) store.removeItem(name);
    else if (copy.account === account) found.set(name.slice(PREFIX.length), copy);
  }
  return found;
}

function readCopy(text: string | null): SafeCopy | null {
  try {
    const copy = JSON.parse(text ?? "null") as SafeCopy | null;
    const isOne =
      copy !== null &&
      [copy.to, copy.cc, copy.bcc].every(
        (list) => Array.isArray(list) && list.every((one) => typeof one.email === "string"),
      ) &&
      Array.isArray(copy.attachments) &&
      typeof copy.subject === "string" &&
      typeof copy.content?.html === "string" &&
      typeof copy.content.text === "string";
    return isOne ? copy : null;
  } catch {
    return null;
  }
}

export function startFrom(copy: SafeCopy, identities: readonly Identity[]): Start | null {
  const identity = identities.find((one) => one.id === copy.identityId) ?? identities[0];
  if (!identity) return null;
  const { account: _account, identityId: _id, ...rest } = copy;
  return { ...rest, identity };
}
