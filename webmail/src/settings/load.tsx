/** What a page shows of the server: asked for when it opens, and again when something was changed. */

import { type Signal, useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { t as shell } from "../i18n/t.ts";
import { Button } from "../ui/button.tsx";
import { Spinner } from "../ui/spinner.tsx";
import { toast } from "../ui/toast.tsx";
import { translate } from "./errors.ts";

const EVERY_MS = 5_000;

export interface Loaded<T> {
  value: Signal<T | null>;
  error: Signal<string>;
  reload: () => Promise<void>;
}

export function useLoad<T>(load: () => Promise<T>, key = ""): Loaded<T> {
  const value = useSignal<T | null>(null);
  const error = useSignal("");
  const reload = async () => {
    try {
      value.value = await load();
      error.value = "";
    } catch (reason) {
      error.value = sayError(reason);
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

export function Shown<T>({ loaded, children }: { loaded: Loaded<T>; children: (value: T) => ComponentChildren }) {
  const value = loaded.value.value;
  if (value !== null) return <>{children(value)}</>;
  if (!loaded.error.value) return <Spinner />;
  return (
    <div class="notice bad" role="alert">
      <p>{loaded.error.value}</p>
      <Button size="small" onClick={() => void loaded.reload()}>
        {shell("app.retry")}
      </Button>
    </div>
  );
}
