import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/ui.css";
import { render } from "preact";
import { App } from "./app.tsx";
import { handleKey } from "./keys.ts";
import { startRouter } from "./router.ts";
import { startPreferences } from "./state/preferences.ts";
import { loadSession, setOnline } from "./state/session.ts";
import { trustedWorker } from "./trust.ts";

startPreferences();
startRouter();
document.addEventListener("keydown", handleKey);
// What most visits show is fetched while we ask who is there.
if (!/^\/(settings|admin|signin)\b/.test(location.pathname)) void import("./mail/index.tsx").catch(() => undefined);
void loadSession();
/** Lets the page open without a network, and be installed. */
function startWorker(): void {
  if (!import.meta.env.PROD || !("serviceWorker" in navigator)) return;
  navigator.serviceWorker.register(trustedWorker()).catch(() => undefined);
}

addEventListener("load", startWorker);
addEventListener("online", () => setOnline(true));
addEventListener("offline", () => setOnline(false));
render(<App />, document.getElementById("app")!);
