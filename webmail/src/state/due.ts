// When what waits goes out, and when what is snoozed comes back.

import { signal } from "@preact/signals";
import { jmap } from "../jmap/client.ts";
import type { EmailSubmission, GetAnswer, Id, QueryAnswer, Snooze, UtcDate } from "../jmap/types.ts";
import { byRole, mailboxes } from "./mailboxes.ts";
import { countWaiting, isHeld, SLACK_S } from "./waiting.ts";

type Times = ReadonlyMap<Id, UtcDate>;

const SETTLE_MS = 1000;
const NONE: Times = new Map();

/** Of emails whose writer chose a time; those held for undoing alone are not here. */
export const sendTimes = signal<Times>(NONE);
export const returnTimes = signal<Times>(NONE);
/** How many of Scheduled are not on their way; null: not known yet. */
export const waiting = signal<number | null>(null);

interface Pending {
  /** null: they could not be asked for. */
  times: UtcDate[] | null;
  undoSeconds: number;
  at: number;
}
const pending = signal<Pending | null>(null);
let settling: ReturnType<typeof setTimeout> | undefined;
let ending: ReturnType<typeof setTimeout> | undefined;

/** In a mailbox of that role. */
export function timesIn(role: string | null | undefined): Times {
  return role === "scheduled" ? sendTimes.value : role === "snoozed" ? returnTimes.value : NONE;
}

export async function loadSendTimes(undoSeconds: number): Promise<void> {
  try {
    const list = await askPending();
    const now = Date.now();
    const later = list.filter(({ sendAt }) => Date.parse(sendAt) > now && !isHeld(sendAt, now, undoSeconds));
    sendTimes.value = new Map(later.map((one) => [one.emailId, one.sendAt]));
    lookAgain({ times: [...new Map(list.map((one) => [one.emailId, one.sendAt])).values()], undoSeconds, at: now });
  } catch (error) {
    lookAgain({ times: null, undoSeconds, at: Date.now() });
    throw error;
  }
}

async function askPending(): Promise<EmailSubmission[]> {
  const after = new Date(Date.now() - SLACK_S * 1000).toISOString().replace(/\.\d+Z$/, "Z");
  const found = jmap.call<QueryAnswer>("EmailSubmission/query", { filter: { undoStatus: "pending", after } });
  const properties = ["emailId", "sendAt"];
  const got = jmap.call<GetAnswer<EmailSubmission>>("EmailSubmission/get", { "#ids": found.ref("/ids"), properties });
  return (await got).list;
}

/** Now, and when the first that is held should have gone: nothing tells us of what does not go. */
function lookAgain(next: Pending): void {
  pending.value = next;
  clearTimeout(ending);
  const held = next.times?.filter((time) => isHeld(time, next.at, next.undoSeconds)) ?? [];
  if (held.length === 0) return;
  const end = Math.min(...held.map((time) => Date.parse(time))) + SLACK_S * 1000 + 1;
  ending = setTimeout(() => lookAgain({ ...next, at: Math.max(end, Date.now()) }), end - next.at);
}

/** For an effect. What goes leaves the submissions and the mailbox in two steps: only a count that stays is shown. */
export function followWaiting(): void {
  const known = pending.value;
  if (!known || mailboxes.value.size === 0) return;
  const count = countWaiting(byRole("scheduled")?.totalEmails ?? 0, known.times, known.at, known.undoSeconds);
  clearTimeout(settling);
  const show = () => {
    waiting.value = count;
  };
  if (waiting.peek() === null) show();
  else settling = setTimeout(show, SETTLE_MS);
}

export async function loadReturnTimes(): Promise<void> {
  const got = await jmap.call<GetAnswer<Snooze>>("Snooze/get", { ids: null, properties: ["emailId", "until"] });
  returnTimes.value = new Map(got.list.map((one) => [one.emailId, one.until]));
}
