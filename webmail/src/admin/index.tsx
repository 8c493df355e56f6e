import { place } from "../router.ts";
import { Frame, type Part } from "../settings/frame.tsx";
import { session } from "../state/session.ts";
import { Accounts } from "./accounts.tsx";
import "./admin.css";
import { Aliases, Domains } from "./domains.tsx";
import { Overview } from "./overview.tsx";
import { Queue } from "./queue.tsx";
import { ServerSessions } from "./sessions.tsx";
import { t } from "./texts.ts";
import { Trace } from "./trace.tsx";

const PAGES = {
  overview: Overview,
  queue: Queue,
  trace: Trace,
  accounts: Accounts,
  domains: Domains,
  aliases: Aliases,
  sessions: ServerSessions,
} as const;
type Key = keyof typeof PAGES;

export default function Administration() {
  const asked = place.value.parts[1] ?? "";
  const chosen: Key = asked in PAGES ? (asked as Key) : "overview";
  const Page = PAGES[chosen];
  const parts: Part[] = [
    { key: "overview", label: t("overview"), icon: "chart" },
    { key: "queue", label: t("queue"), icon: "queue" },
    { key: "trace", label: t("trace"), icon: "search" },
    { key: "accounts", label: t("accounts"), icon: "users" },
    { key: "domains", label: t("domains"), icon: "globe" },
    { key: "aliases", label: t("aliases"), icon: "alias" },
    { key: "sessions", label: t("sessions"), icon: "device" },
  ];
  // The server refuses every call of others; this only spares them a page of errors.
  const isAllowed = session.value?.account.isAdmin ?? false;
  return (
    <Frame title={t("title")} base="/admin" parts={isAllowed ? parts : []} chosen={chosen}>
      {isAllowed ? <Page /> : <p class="notice bad">{t("notAdmin")}</p>}
    </Frame>
  );
}
