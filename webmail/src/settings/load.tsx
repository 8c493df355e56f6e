/** What a page shows of the server: asked for when it opens, and again when something was changed. */

import { type Signal, useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { t as shell } from "../i18n/t.ts";
import { OfflineError } from "../jmap/client.ts";
import { Button } from "../ui/button.tsx";
import { Spinner } from "../ui/spinner.tsx";
import { toast } from "../ui/toast.tsx";
import { translate } from "./errors.ts";
import { keepOrder } from "./order.ts";

const EVERY_MS = 5_000;

export interface Loaded<T> {
  value: Signal<T | null>;
  error: Signal<string>;
  reload: () => Promise<void>;
}

export function useLoad<T>(load: () => Promise<T>, key = ""): Loaded<T> {
  const value = useSignal<T | null>(null);
  const error = useSignal("");
  const [ask] = useState(keepOrder);
  const reload = async () => {
    const isNewest = ask();
    try {
      const answer = await load();
      if (!isNewest()) return;
      value.value = answer;
      error.value = "";
    } catch (reason) {
      if (isNewest()) error.value = sayError(reason);
    }
  };
  useEffect(() => {
    void reload();
  }, [key]);
  return { value, error, reload };
}

/** Again every few seconds, while somebody looks. */
export function useReload<T>(loaded: Loaded<T>): void {
  useEffect(() => {
    const timer = setInterval(() => {
      if (document.visibilityState === "visible") void loaded.reload();
    }, EVERY_MS);
    return () => clearInterval(timer);
  }, []);
}

export function sayError(reason: unknown): string {
  if (reason instanceof OfflineError) return shell("app.offline");
  return reason instanceof Error && reason.message ? translate(reason.message) : shell("app.failed");
}

/** Does it, and tells when it did not go. True: it went. */
export async function attempt(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (reason) {
    toast(sayError(reason), { isError: true });
    return false;
  }
}

/** What was loaded last stays under the error, which says that it is old. */
export function Shown<T>({ loaded, children }: { loaded: Loaded<T>; children: (value: T) => ComponentChildren }) {
  const value = loaded.value.value;
  const error = loaded.error.value;
  if (value === null && !error) return <Spinner />;
  return (
    <>
      {error && (
        <div class="notice bad" role="alert">
          <p>{error}</p>
          <Button size="small" onClick={() => void loaded.reload()}>
            {shell("app.retry")}
          </Button>
        </div>
      )}
      {value !== null && children(value)}
    </>
  );
}
