import { api } from "../api.ts";
import { nameAgent } from "../settings/agents.ts";
import { Panel } from "../settings/frame.tsx";
import { attempt, Shown, useLoad } from "../settings/load.tsx";
import { sayWhen } from "../settings/when.ts";
import { Button } from "../ui/button.tsx";
import { toast } from "../ui/toast.tsx";
import { t } from "./texts.ts";
import type { ServerSession } from "./types.ts";

interface SessionPage {
  items: ServerSession[];
  unanswered: string;
}

export function ServerSessions() {
  const loaded = useLoad(() => api<SessionPage>("GET", "admin/sessions"));
  const end = (one: ServerSession) =>
    attempt(async () => {
      await api("DELETE", `admin/sessions/${encodeURIComponent(one.id)}`);
      toast(t("ended"));
      await loaded.reload();
    });
  return (
    <Panel
      actions={
        <Button size="small" icon="refresh" onClick={() => void loaded.reload()}>
          {t("refresh")}
        </Button>
      }
    >
      <Shown loaded={loaded}>
        {(page) => (
          <>
            {page.unanswered && <p class="notice bad">{t("incomplete", { names: page.unanswered })}</p>}
            <div class="table-box" tabIndex={0} role="group" aria-label={t("sessions")}>
              <table class="table">
                <thead>
                  <tr>
                    <th scope="col">{t("service")}</th>
                    <th scope="col">{t("who")}</th>
                    <th scope="col">{t("from")}</th>
                    <th scope="col">{t("doing")}</th>
                    <th scope="col">{t("since")}</th>
                    <td />
                  </tr>
                </thead>
                <tbody>
                  {page.items.map((one) => (
                    <tr key={one.id}>
                      <td>
                        <span class="badge">{one.service}</span>
                      </td>
                      <td>{one.login ?? "–"}</td>
                      <td>{one.name ?? one.peer}</td>
                      <td class="table-text" title={one.doing ?? ""}>
                        {one.service === "web" ? nameAgent(one.doing ?? "") : (one.doing ?? "")}
                      </td>
                      <td>{sayWhen(one.since)}</td>
                      <td>
                        <Button
                          size="small"
                          aria-label={t("endNamed", { name: one.login ?? one.peer })}
                          onClick={() => void end(one)}
                        >
                          {t("end")}
                        </Button>
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          </>
        )}
      </Shown>
    </Panel>
  );
}
