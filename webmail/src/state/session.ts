// Who is signed in, and whether the server answers.

import { signal } from "@preact/signals";
import { ApiError, api } from "../api.ts";
import { jmap } from "../jmap/client.ts";
import { startPush, stopPush } from "../jmap/push.ts";
import { dropKept } from "./compose.ts";

export interface Account {
  id: string;
  name: string;
  displayName: string;
  isAdmin: boolean;
  addresses: string[];
}

export interface ServerFacts {
  hostname: string;
  version: string;
  undoSeconds: number;
  maxUpload: number;
}

export interface SessionAnswer {
  account: Account;
  csrf: null;
  secondFactors: string[];
  server: ServerFacts;
}

/** undefined: not asked yet; null: signed out. */
export const session = signal<SessionAnswer | null | undefined>(undefined);
export const isOnline = signal(true);
export const startError = signal<string>("");

export const setOnline = (value: boolean): void => {
  isOnline.value = value;
};

/** Asks who we are; with an account, JMAP and push are ready afterwards. Sign-in pages call this when they are done. */
export async function loadSession(): Promise<void> {
  startError.value = "";
  try {
    const [who] = await Promise.all([api<SessionAnswer>("GET", "session"), jmap.load()]);
    jmap.onSignedOut = forget;
    jmap.onOnline = setOnline;
    session.value = who;
    startPush(jmap.accountId, setOnline);
  } catch (error) {
    if (error instanceof Error && "status" in error && error.status === 401) session.value = null;
    else startError.value = error instanceof ApiError ? error.message : "offline";
  }
}

export async function signOut(): Promise<void> {
  stopPush();
  await api("DELETE", "session").catch(() => undefined);
  dropKept();
  // Everything of the account that is in memory goes with the page.
  location.assign("/signin");
}

function forget(): void {
  stopPush();
  session.value = null;
}
