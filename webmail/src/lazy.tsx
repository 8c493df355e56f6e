// Parts of the page that are loaded when they are first shown.

import { signal } from "@preact/signals";
import type { ComponentType } from "preact";
import { useEffect } from "preact/hooks";
import { t } from "./i18n/t.ts";
import { Button } from "./ui/button.tsx";
import { Spinner } from "./ui/spinner.tsx";

type Loader<P> = () => Promise<{ default: ComponentType<P> }>;

/** `isQuiet`: nothing is shown until it is there. */
export function lazy<P extends object>(load: Loader<P>, isQuiet = false): ComponentType<P> {
  const found = signal<ComponentType<P> | null>(null);
  const hasFailed = signal(false);
  let isAsked = false;
  const start = () => {
    if (isAsked) return;
    isAsked = true;
    hasFailed.value = false;
    load().then(
      (module) => {
        found.value = module.default;
      },
      () => {
        isAsked = false;
        hasFailed.value = true;
      },
    );
  };
  return function Lazy(props: P) {
    useEffect(start, []);
    const Found = found.value;
    if (Found) return <Found {...props} />;
    if (hasFailed.value) {
      return (
        <div class="centre" role="alert">
          <p>{t("app.failed")}</p>
          <Button onClick={start}>{t("app.retry")}</Button>
        </div>
      );
    }
    return isQuiet ? null : <Spinner isCentred />;
  };
}
