// All of an email that reading it needs, asked for once.

import { type Signal, signal } from "@preact/signals";
import { jmap } from "../jmap/client.ts";
import type { Email, EmailSubmission, GetAnswer, Id, QueryAnswer } from "../jmap/types.ts";
import { SUMMARY } from "../state/emails.ts";

export interface Details extends Email {
  "header:List-Unsubscribe:asURLs"?: string[] | null;
  "header:List-Unsubscribe-Post:asText"?: string | null;
  "header:List-Post:asURLs"?: string[] | null;
}

export interface Loaded {
  email: Details | null;
  error: "" | "failed" | "gone";
}

const PROPERTIES = [
  ...SUMMARY,
  "blobId",
  "messageId",
  "inReplyTo",
  "references",
  "sender",
  "cc",
  "bcc",
  "replyTo",
  "sentAt",
  "textBody",
  "htmlBody",
  "attachments",
  "header:List-Unsubscribe:asURLs",
  "header:List-Unsubscribe-Post:asText",
  "header:List-Post:asURLs",
];
const MOST_KEPT = 200;
const known = new Map<Id, Signal<Loaded>>();

export function detailsOf(id: Id): Signal<Loaded> {
  let found = known.get(id);
  if (!found) {
    found = signal<Loaded>({ email: null, error: "" });
    known.set(id, found);
    if (known.size > MOST_KEPT) known.delete(known.keys().next().value!);
    void load(id, found);
  }
  return found;
}

/** What could not be loaded, once the server is back. */
export function retryFailed(): void {
  for (const [id, one] of known) if (one.peek().error === "failed") void load(id, one);
}

async function load(id: Id, into: Signal<Loaded>): Promise<void> {
  try {
    const answer = await jmap.call<GetAnswer<Details>>("Email/get", { ids: [id], properties: PROPERTIES });
    const email = answer.list[0] ?? null;
    into.value = { email, error: email ? "" : "gone" };
  } catch {
    // Kept: who shows it would else ask again at once, and again.
    into.value = { email: null, error: "failed" };
  }
}

export async function loadHeaders(id: Id): Promise<{ name: string; value: string }[]> {
  type WithHeaders = { headers: { name: string; value: string }[] };
  const answer = await jmap.call<GetAnswer<WithHeaders>>("Email/get", { ids: [id], properties: ["headers"] });
  return answer.list[0]?.headers ?? [];
}

/** How the sending of an email went, the newest first; none: it was not sent from here, or long ago. */
export async function loadSubmissions(emailId: Id): Promise<EmailSubmission[]> {
  const found = jmap.call<QueryAnswer>("EmailSubmission/query", { filter: { emailIds: [emailId] } });
  const got = jmap.call<GetAnswer<EmailSubmission>>("EmailSubmission/get", { "#ids": found.ref("/ids") });
  return (await got).list.toSorted((one, other) => other.sendAt.localeCompare(one.sendAt));
}

export async function loadText(blobId: Id, name: string, type: string, most: number): Promise<string> {
  const answer = await fetch(jmap.downloadUrl(blobId, name, type), { headers: { "X-Posthouse": "1" } });
  if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
  return (await answer.text()).slice(0, most);
}
