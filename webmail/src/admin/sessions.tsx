import { useSignal } from "@preact/signals";
import { api } from "../api.ts";
import { nameAgent } from "../settings/agents.ts";
import { Panel } from "../settings/frame.tsx";
import { attempt, Shown, useLoad, useReload } from "../settings/load.tsx";
import { sayWhen } from "../settings/when.ts";
import { Button } from "../ui/button.tsx";
import { TextField } from "../ui/field.tsx";
import { toast } from "../ui/toast.tsx";
import { t } from "./texts.ts";
import type { ServerSession } from "./types.ts";

interface SessionPage {
  items: ServerSession[];
  unanswered: string;
}

export function ServerSessions() {
  const loaded = useLoad(() => api<SessionPage>("GET", "admin/sessions"));
  useReload(loaded);
  const wanted = useSignal("");
  const end = (one: ServerSession) =>
    attempt(async () => {
      await api("DELETE", `admin/sessions/${encodeURIComponent(one.id)}`);
      toast(t("ended"));
      await loaded.reload();
    });
  return (
    <Panel>
      <form
        class="filters"
        onSubmit={(event) => {
          event.preventDefault();
          void loaded.reload();
        }}
      >
        <TextField
          label={t("filter")}
          type="search"
          value={wanted.value}
          onInput={(value) => {
            wanted.value = value;
          }}
        />
        <Button type="submit" icon="refresh">
          {t("refresh")}
        </Button>
      </form>
      <Shown loaded={loaded}>
        {(page) => {
          const found = page.items.filter((one) => isWanted(one, wanted.value.trim().toLowerCase()));
          return (
            <>
              {page.unanswered && <p class="notice bad">{t("incomplete", { names: page.unanswered })}</p>}
              <p class="quiet" role="status">
                {found.length ? t("sessionCount", { n: found.length }) : t("filterNone")}
              </p>
              <ul class="rows">
                {found.map((one) => (
                  <Row key={one.id} one={one} onEnd={() => void end(one)} />
                ))}
              </ul>
            </>
          );
        }}
      </Shown>
    </Panel>
  );
}

/** By account, address of the client, or service. */
function isWanted(one: ServerSession, text: string): boolean {
  return [one.login, one.peer, one.name, one.service].some((word) => (word ?? "").toLowerCase().includes(text));
}

function Row({ one, onEnd }: { one: ServerSession; onEnd: () => void }) {
  const doing = one.service === "web" ? nameAgent(one.doing ?? "") : (one.doing ?? "");
  const facts = [doing, t("from", { peer: one.name ?? one.peer }), t("since", { when: sayWhen(one.since) })];
  return (
    <li>
      <span class="session-service">
        <span class="badge">{one.service}</span>
      </span>
      <span class="row-main" title={one.doing ?? ""}>
        <b>{one.login ?? t("noLogin")}</b>
        <small>{facts.filter(Boolean).join(", ")}</small>
      </span>
      <Button size="small" aria-label={t("endNamed", { name: one.login ?? one.peer })} onClick={onEnd}>
        {t("end")}
      </Button>
    </li>
  );
}
