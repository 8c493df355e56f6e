import { useSignal } from "@preact/signals";
import { api } from "../api.ts";
import { Button } from "../ui/button.tsx";
import { Confirm } from "../ui/dialog.tsx";
import { Icon } from "../ui/icon.tsx";
import { toast } from "../ui/toast.tsx";
import { nameAgent } from "./agents.ts";
import { Panel } from "./frame.tsx";
import { attempt, Shown, useLoad } from "./load.tsx";
import { t } from "./texts.ts";
import { sayWhen } from "./when.ts";

interface WebSession {
  id: string;
  created: string;
  lastUsed: string;
  address: string;
  userAgent: string;
  isCurrent: boolean;
}

export function SessionSettings() {
  const loaded = useLoad(() => api<WebSession[]>("GET", "sessions"));
  const isAsking = useSignal(false);
  const others = (loaded.value.value ?? []).filter((one) => !one.isCurrent);
  const end = (list: WebSession[]) =>
    attempt(async () => {
      for (const one of list) await api("DELETE", `sessions/${one.id}`);
      toast(t("sessionEnded"));
      await loaded.reload();
    });
  return (
    <Panel
      text={t("sessionsText")}
      actions={
        others.length > 1 && (
          <Button size="small" onClick={() => (isAsking.value = true)}>
            {t("endOthers")}
          </Button>
        )
      }
    >
      <Shown loaded={loaded}>
        {(list) => (
          <ul class="rows">
            {list.map((one) => (
              <li key={one.id}>
                <Icon name="device" />
                <span class="row-main" title={one.userAgent}>
                  <b>{nameAgent(one.userAgent)}</b>
                  <small>
                    {one.address}, {t("since", { when: sayWhen(one.created) })},{" "}
                    {t("lastUsed", { when: sayWhen(one.lastUsed) })}
                  </small>
                </span>
                {one.isCurrent ? (
                  <span class="badge good">{t("thisSession")}</span>
                ) : (
                  <Button
                    size="small"
                    aria-label={t("endSessionNamed", { name: nameAgent(one.userAgent) })}
                    onClick={() => void end([one])}
                  >
                    {t("endSession")}
                  </Button>
                )}
              </li>
            ))}
          </ul>
        )}
      </Shown>
      {isAsking.value && (
        <Confirm
          title={t("endOthersTitle")}
          text={t("endOthersText")}
          action={t("endOthers")}
          isDangerous
          onConfirm={() => void end(others)}
          onClose={() => (isAsking.value = false)}
        />
      )}
    </Panel>
  );
}
