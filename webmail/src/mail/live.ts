// What happens by itself: changes from the server, the title and the icon of the window, notifications.

import { effect, untracked } from "@preact/signals";

import { onReconnect, onStates } from "../jmap/push.ts";
import type { EmailSummary } from "../jmap/types.ts";
import { go } from "../router.ts";
import { followWaiting, loadReturnTimes, loadSendTimes } from "../state/due.ts";
import { arrived, follow, showList } from "../state/list.ts";
import { byRole, inbox, loadMailboxes, mailboxes, nameOf, updateMailboxes } from "../state/mailboxes.ts";
import { loadPreferences, preferences } from "../state/preferences.ts";
import { clearSelection, cursor } from "../state/selection.ts";
import { session } from "../state/session.ts";
import { retryFailed } from "./details.ts";
import { fullName } from "./people.ts";
import { ownAddresses } from "./row.tsx";
import { loadSaved } from "./saved.tsx";
import { view } from "./view.ts";

const FRESH_MS = 10 * 60_000;
let isStarted = false;

/** As soon as somebody is signed in. */
export function startWhenSignedIn(): void {
  effect(() => {
    if (session.value) untracked(startMail);
  });
}

function startMail(): void {
  if (isStarted) return;
  isStarted = true;
  effect(showWanted);
  effect(followWaiting);
  void loadMailboxes().catch(() => undefined);
  void loadPreferences().catch(() => undefined);
  void loadSaved();
  loadSending();
  loadSnoozed();
  onStates((states) => {
    if (states["Email"] || states["Mailbox"] || states["Thread"]) refresh();
    if (states["SavedSearch"]) void loadSaved();
    if (states["EmailSubmission"]) loadSending();
    if (states["Snooze"] || states["Email"]) loadSnoozed();
  });
  onReconnect(() => {
    refresh();
    loadSending();
    loadSnoozed();
    retryFailed();
  });
  addEventListener("online", refresh);
  effect(showTitle);
  effect(() => notify(arrived.value));
}

let shownKey = "";

/** The list that the address names; asked for as soon as its mailbox is known, before anything is painted. */
function showWanted(): void {
  const { mailbox, search, parsed } = view.value;
  const filter = mailbox ? { inMailbox: mailbox.id } : parsed?.filter;
  const key = mailbox ? `m ${mailbox.id}` : `s ${search}`;
  // A search may name mailboxes: which those are must be known.
  if (!filter || key === shownKey || mailboxes.value.size === 0) return;
  shownKey = key;
  untracked(() => {
    showList({ key, filter, collapse: true });
    clearSelection();
    cursor.value = -1;
  });
}

function loadSending(): void {
  loadSendTimes(session.peek()?.server.undoSeconds ?? 0).catch(() => undefined);
}

function loadSnoozed(): void {
  loadReturnTimes().catch(() => undefined);
}

/** In one request. What fails is asked again with the next change, or when the network is back. */
function refresh(): void {
  follow().catch(() => undefined);
  updateMailboxes().catch(() => undefined);
}

function showTitle(): void {
  const unread = inbox.value?.unreadThreads ?? 0;
  const { mailbox, search } = view.value;
  const name = search || (mailbox ? nameOf(mailbox) : "");
  document.title = `${unread ? `(${unread}) ` : ""}${name ? `${name} – ` : ""}Posthouse`;
  const icon = document.getElementById("favicon") as HTMLLinkElement | null;
  const wanted = unread ? `data:image/svg+xml,${encodeURIComponent(iconWith(unread))}` : "/icon.svg";
  if (icon && icon.getAttribute("href") !== wanted) icon.setAttribute("href", wanted);
  const badge = navigator as { setAppBadge?: (n: number) => Promise<void>; clearAppBadge?: () => Promise<void> };
  (unread ? badge.setAppBadge?.(unread) : badge.clearAppBadge?.())?.catch(() => undefined);
}

function iconWith(unread: number): string {
  const text = unread > 99 ? "99+" : String(unread);
  return (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64"><rect width="64" height="64" rx="15" fill="#2458d6"/>' +
    '<path d="m14 28 18 12 18-12" fill="none" stroke="#fff" stroke-width="5" stroke-linecap="round" stroke-linejoin="round"/>' +
    '<circle cx="44" cy="44" r="20" fill="#c5221f"/><text x="44" y="52" fill="#fff" font-family="sans-serif" ' +
    `font-weight="bold" font-size="${text.length > 2 ? 17 : 24}" text-anchor="middle">${text}</text></svg>`
  );
}

function isNews(email: EmailSummary, now: number): boolean {
  const inboxId = byRole("inbox")?.id ?? "";
  const isOwn = ownAddresses().has(email.from?.[0]?.email.toLowerCase() ?? "");
  const isFresh = now - Date.parse(email.receivedAt) < FRESH_MS;
  return inboxId in email.mailboxIds && !("$seen" in email.keywords) && !isOwn && isFresh;
}

/** Only while nobody looks at the page. */
function notify(emails: readonly EmailSummary[]): void {
  if (!preferences.peek().notifications || !("Notification" in globalThis)) return;
  if (Notification.permission !== "granted" || document.hasFocus()) return;
  const now = Date.now();
  for (const email of emails.filter((one) => isNews(one, now)).slice(-3)) {
    const from = fullName(email.from?.[0] ?? { name: null, email: "?" });
    const note = new Notification(from, { body: email.subject || email.preview, tag: email.id, icon: "/icon-192.png" });
    note.onclick = () => {
      window.focus();
      go(`/mail/inbox/${encodeURIComponent(email.threadId)}`);
      note.close();
    };
  }
}

/** Asks the browser, which asks the user; must come from a click. */
export async function askToNotify(): Promise<boolean> {
  if (!("Notification" in globalThis)) return false;
  return (await Notification.requestPermission()) === "granted";
}
