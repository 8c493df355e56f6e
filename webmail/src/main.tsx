import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/ui.css";
import { render } from "preact";
import { App } from "./app.tsx";
import { handleKey } from "./keys.ts";
import { startRouter } from "./router.ts";
import { startPreferences } from "./state/preferences.ts";
import { loadSession } from "./state/session.ts";

startPreferences();
startRouter();
document.addEventListener("keydown", handleKey);
void loadSession();
render(<App />, document.getElementById("app")!);
