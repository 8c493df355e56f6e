/** What waits, and why; what can be done with it. */

import { useSignal } from "@preact/signals";
import { api } from "../api.ts";
import { locale } from "../i18n/index.ts";
import { formatSize } from "../mail/format.ts";
import { Panel } from "../settings/frame.tsx";
import { attempt, Shown, useLoad, useReload } from "../settings/load.tsx";
import { sayWhen } from "../settings/when.ts";
import { Button } from "../ui/button.tsx";
import { Confirm } from "../ui/dialog.tsx";
import { Checkbox, Select, TextField } from "../ui/field.tsx";
import { toast } from "../ui/toast.tsx";
import { sayReason } from "./reasons.ts";
import { type AdminText, t } from "./texts.ts";
import type { QueueItem, QueuePage, QueueRecipient } from "./types.ts";

type Action = "hold" | "release" | "retry" | "delete" | "bounce";
const ACTIONS: readonly Action[] = ["retry", "hold", "release", "bounce", "delete"];
const STATES: Record<string, AdminText> = {
  ready: "stateReady",
  active: "stateActive",
  deferred: "stateDeferred",
  held: "stateHeld",
  delivered: "delivered",
  relayed: "relayed",
  failed: "failed",
  expired: "stateExpired",
};
const BADGES: Record<string, string> = {
  deferred: "badge warn",
  held: "badge warn",
  failed: "badge bad",
  expired: "badge bad",
};
const MOST = 200;

export function Queue() {
  const domain = useSignal("");
  const status = useSignal("");
  const chosen = useSignal<ReadonlySet<string>>(new Set());
  const asked = useSignal<Action | null>(null);
  const deed = asked.value;
  const loaded = useLoad(async () => {
    const query = new URLSearchParams({ limit: String(MOST) });
    if (domain.peek().trim()) query.set("domain", domain.peek().trim());
    if (status.peek()) query.set("status", status.peek());
    const page = await api<QueuePage>("GET", `admin/queue?${query}`);
    const ids = new Set(page.items.map((one) => one.id));
    chosen.value = new Set([...chosen.peek()].filter((id) => ids.has(id)));
    return page;
  });
  useReload(loaded);
  const run = async (action: Action) => {
    const ids = [...chosen.peek()];
    await attempt(async () => {
      const { changed } = await api<{ changed: number }>("POST", `admin/queue/${action}`, { ids });
      toast(t("changed", { n: changed }), undoOf(action, ids));
      chosen.value = new Set();
      await loaded.reload();
    });
  };
  const undoOf = (action: Action, ids: string[]) => {
    const back: Partial<Record<Action, Action>> = { hold: "release", release: "hold" };
    const other = back[action];
    if (!other) return {};
    const undo = () => attempt(async () => [await api("POST", `admin/queue/${other}`, { ids }), await loaded.reload()]);
    return { undo: () => void undo() };
  };
  const ask = (action: Action) => {
    if (action === "delete" || action === "bounce") asked.value = action;
    else void run(action);
  };
  const toggle = (id: string, isOn: boolean) => {
    const next = new Set(chosen.peek());
    if (isOn) next.add(id);
    else next.delete(id);
    chosen.value = next;
  };
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
          label={t("domain")}
          value={domain.value}
          onInput={(value) => {
            domain.value = value;
          }}
        />
        <Select
          label={t("status")}
          value={status.value}
          options={[
            { value: "", label: t("anyStatus") },
            ...["ready", "active", "deferred", "held"].map((value) => ({ value, label: t(STATES[value]!) })),
          ]}
          onChange={(value) => {
            status.value = value;
            void loaded.reload();
          }}
        />
        <Button type="submit" icon="refresh">
          {t("refresh")}
        </Button>
      </form>
      <Shown loaded={loaded}>
        {(page) => (
          <>
            {page.unanswered && <p class="notice bad">{t("incomplete", { names: page.unanswered })}</p>}
            {page.items.length > 0 && (
              <div class="queue-actions">
                <Checkbox
                  label={chosen.value.size ? t("chosen", { n: chosen.value.size }) : t("chooseAll")}
                  isOn={chosen.value.size === page.items.length}
                  isMixed={chosen.value.size > 0 && chosen.value.size < page.items.length}
                  onChange={(isOn) => {
                    chosen.value = new Set(isOn ? page.items.map((one) => one.id) : []);
                  }}
                />
                {chosen.value.size > 0 &&
                  ACTIONS.map((action) => (
                    <Button
                      key={action}
                      size="small"
                      kind={action === "delete" ? "danger" : "normal"}
                      onClick={() => ask(action)}
                    >
                      {t(action)}
                    </Button>
                  ))}
              </div>
            )}
            {page.items.length === 0 && <p class="quiet">{t("queueEmpty")}</p>}
            <ul class="rows queue">
              {page.items.map((item) => (
                <Item
                  key={item.id}
                  item={item}
                  isChosen={chosen.value.has(item.id)}
                  onChoose={(isOn) => toggle(item.id, isOn)}
                />
              ))}
            </ul>
          </>
        )}
      </Shown>
      {deed && (
        <Confirm
          title={t(deed === "delete" ? "deleteTitle" : "bounceTitle")}
          text={t(deed === "delete" ? "deleteText" : "bounceText", { n: chosen.value.size })}
          action={t(deed)}
          isDangerous
          onConfirm={() => void run(deed)}
          onClose={() => {
            asked.value = null;
          }}
        />
      )}
    </Panel>
  );
}

interface ItemProps {
  item: QueueItem;
  isChosen: boolean;
  onChoose: (isOn: boolean) => void;
}

function Item({ item, isChosen, onChoose }: ItemProps) {
  return (
    <li>
      <Checkbox label={t("choose", { id: item.id })} isLabelHidden isOn={isChosen} onChange={onChoose} />
      <div class="row-main">
        <b>{item.sender || t("emptySender")}</b>
        <small>
          {formatSize(item.size, locale())}, {t("arrivedAt", { when: sayWhen(item.arrived) })},{" "}
          <a href={`/admin/trace?q=${encodeURIComponent(item.id)}`}>{item.id}</a>
        </small>
        <ul class="queue-recipients">
          {item.recipients.map((one) => (
            <Recipient key={one.address} one={one} />
          ))}
        </ul>
      </div>
    </li>
  );
}

function Recipient({ one }: { one: QueueRecipient }) {
  const state = STATES[one.status];
  const isDue = one.next_attempt !== null && (one.status === "deferred" || one.status === "ready");
  const tries = [
    ...(one.attempts > 0 ? [t("attempts", { n: one.attempts })] : []),
    ...(isDue ? [t("nextAttempt", { when: sayWhen(one.next_attempt!) })] : []),
  ];
  return (
    <li>
      <div class="queue-head">
        <span class={BADGES[one.status] ?? "badge"}>{state ? t(state) : one.status}</span>
        <span>{one.address}</span>
      </div>
      <p>
        {sayReason(one.reasonCode, one.reason)}
        {tries.length > 0 && <small>{tries.join(", ")}</small>}
      </p>
      {one.last_reply && (
        <details>
          <summary>{t("lastReply")}</summary>
          <code>
            {one.next_hop && `${one.next_hop}: `}
            {one.last_reply}
          </code>
        </details>
      )}
    </li>
  );
}
