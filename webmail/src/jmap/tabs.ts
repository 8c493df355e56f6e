// One tab of many does what a browser does not do for all: over HTTP/1.1 it opens six connections to a server, so with a
// stream in each tab the seventh would hang. Who holds the lock leads and tells the others; the browser gives the lock
// on when that tab goes, however it goes. Tabs of one name only know of each other. Without Web Locks (no secure
// context, storage forbidden) each tab leads for itself.

/** What it needs of the browser. */
export interface Browser {
  locks: Pick<LockManager, "request"> | undefined;
  openChannel: (name: string) => Pick<BroadcastChannel, "postMessage" | "close" | "onmessage">;
}

export interface Role<Word> {
  /** Begins to tell all tabs, this one too; returns how to end. An heir does not know what was missed before. */
  lead: (tell: (word: Word) => void, isHeir: boolean) => () => void;
  hear: (word: Word) => void;
}

const here: Browser = {
  locks: globalThis.navigator?.locks,
  openChannel: (name) => new BroadcastChannel(name),
};

/** Returns how to leave. */
export function joinTabs<Word>(name: string, role: Role<Word>, browser: Browser = here): () => void {
  const { locks } = browser;
  if (!locks) return role.lead(role.hear, false);
  const leaving = new AbortController();
  const { signal } = leaving;
  const channel = browser.openChannel(name);
  channel.onmessage = (event) => role.hear(event.data as Word);
  const tell = (word: Word) => {
    channel.postMessage(word);
    role.hear(word);
  };
  const lead = (isHeir: boolean) =>
    new Promise<void>((release) => {
      if (signal.aborted) return release();
      const end = role.lead(tell, isHeir);
      signal.addEventListener("abort", () => {
        end();
        release();
      });
    });
  const stand = async () => {
    // Who gets it at once inherits from nobody: a tab that waited would have got it before.
    await locks.request(name, { ifAvailable: true }, (lock) => (lock ? lead(false) : undefined));
    if (!signal.aborted) await locks.request(name, { signal }, () => lead(true));
  };
  stand().catch(() => lead(false));
  return () => {
    leaving.abort();
    channel.close();
  };
}
