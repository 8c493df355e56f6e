// What of the mailbox Scheduled is shown as waiting. Pure.

import type { UtcDate } from "../jmap/types.ts";

/** That a clock may be wrong, and sending may take. */
export const SLACK_S = 5;

/** For undoing alone, right now; what should have gone before is not. */
export function isHeld(sendAt: UtcDate, now: number, undoSeconds: number): boolean {
  const at = Date.parse(sendAt);
  return now - SLACK_S * 1000 <= at && at <= now + (undoSeconds + SLACK_S) * 1000;
}

/**
 * All that lie in Scheduled, but those held for undoing, with which the list would jump at each message that is sent.
 * `pending`: when each goes that waits; null: not known, and then nothing is hidden.
 */
export function countWaiting(
  totalEmails: number,
  pending: readonly UtcDate[] | null,
  now: number,
  undoSeconds: number,
): number {
  const held = pending?.filter((time) => isHeld(time, now, undoSeconds)).length ?? 0;
  return Math.max(0, totalEmails - held);
}
