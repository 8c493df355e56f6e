// When what waits goes out, and when what is snoozed comes back.

import { computed, signal } from "@preact/signals";
import { jmap } from "../jmap/client.ts";
import type { EmailSubmission, GetAnswer, Id, QueryAnswer, Snooze, UtcDate } from "../jmap/types.ts";

type Times = ReadonlyMap<Id, UtcDate>;

const SLACK_S = 5;
const NONE: Times = new Map();

/** Of emails whose writer chose a time; those held for undoing alone are not here. */
export const sendTimes = signal<Times>(NONE);
export const returnTimes = signal<Times>(NONE);
export const waiting = computed(() => sendTimes.value.size);

/** In a mailbox of that role. */
export function timesIn(role: string | null | undefined): Times {
  return role === "scheduled" ? sendTimes.value : role === "snoozed" ? returnTimes.value : NONE;
}

export async function loadSendTimes(heldSeconds: number): Promise<void> {
  const after = new Date(Date.now() + (heldSeconds + SLACK_S) * 1000).toISOString().replace(/\.\d+Z$/, "Z");
  const found = jmap.call<QueryAnswer>("EmailSubmission/query", { filter: { undoStatus: "pending", after } });
  const properties = ["emailId", "sendAt"];
  const got = jmap.call<GetAnswer<EmailSubmission>>("EmailSubmission/get", { "#ids": found.ref("/ids"), properties });
  sendTimes.value = new Map((await got).list.map((one) => [one.emailId, one.sendAt]));
}

export async function loadReturnTimes(): Promise<void> {
  const got = await jmap.call<GetAnswer<Snooze>>("Snooze/get", { ids: null, properties: ["emailId", "until"] });
  returnTimes.value = new Map(got.list.map((one) => [one.emailId, one.until]));
}
