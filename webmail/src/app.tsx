// What is shown at which address.

import { useEffect } from "preact/hooks";
import { t } from "./i18n/t.ts";
import { lazy } from "./lazy.tsx";
import { go, place } from "./router.ts";
import { composeFromQuery, composers, restoreComposers } from "./state/compose.ts";
import { isOnline, loadSession, session, startError } from "./state/session.ts";
import { Button } from "./ui/button.tsx";
import { Spinner } from "./ui/spinner.tsx";
import { Toasts } from "./ui/toast.tsx";
import { Tooltips } from "./ui/tooltip.tsx";

const Mail = lazy(() => import("./mail/index.tsx"));
const Settings = lazy(() => import("./settings/index.tsx"));
const Administration = lazy(() => import("./admin/index.tsx"));
const SignIn = lazy(() => import("./signin/index.tsx"));
const Composers = lazy(() => import("./compose/index.tsx"), true);
const HOME = "/mail/inbox";

export function App() {
  return (
    <>
      <a class="skip" href="#content">
        {t("app.skip")}
      </a>
      {!isOnline.value && (
        <div class="offline" role="status">
          {t("app.offline")}
        </div>
      )}
      <Screen />
      <Toasts />
      <Tooltips />
    </>
  );
}

function Screen() {
  if (startError.value) {
    return (
      <main class="centre" id="content">
        <p role="alert">{startError.value === "offline" ? t("app.offline") : startError.value}</p>
        <Button onClick={() => void loadSession()}>{t("app.retry")}</Button>
      </main>
    );
  }
  if (session.value === undefined) return <Spinner isCentred />;
  if (session.value === null) return <SignIn />;
  return (
    <>
      <Section />
      {composers.value.length > 0 && <Composers />}
    </>
  );
}

function Section() {
  const [first] = place.value.parts;
  useEffect(restoreComposers, []);
  useEffect(() => {
    if (first === "compose") {
      composeFromQuery(place.peek().query);
      go(HOME, { replace: true });
    }
    if (!first || first === "signin") go(HOME, { replace: true });
  }, [first]);
  if (first === "settings") return <Settings />;
  if (first === "admin") return <Administration />;
  return <Mail />;
}
