/** Forwarding, and the answer while one is away. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { api } from "../api.ts";
import { isValidAddress } from "../compose/addresses.ts";
import { fromLocalInput, toLocalInput, toUtcDate } from "../compose/presets.ts";
import { t as shell } from "../i18n/t.ts";
import { jmap } from "../jmap/client.ts";
import type { GetAnswer, VacationResponse } from "../jmap/types.ts";
import { Button, IconButton } from "../ui/button.tsx";
import { Switch, TextField } from "../ui/field.tsx";
import { toast } from "../ui/toast.tsx";
import { Panel } from "./frame.tsx";
import { attempt, Shown, sayError, useLoad } from "./load.tsx";
import { updateOne } from "./sets.ts";
import { t } from "./texts.ts";

export function DeliverySettings() {
  return (
    <>
      <Vacation />
      <Forwarding />
    </>
  );
}

interface ForwardingState {
  targets: string[];
  keepsCopy: boolean;
}

function Forwarding() {
  const loaded = useLoad(() => api<ForwardingState>("GET", "forwarding"));
  const typed = useSignal("");
  const error = useSignal("");
  const put = async (next: ForwardingState, before?: ForwardingState) => {
    const isDone = await attempt(async () => {
      await api("PUT", "forwarding", next);
      loaded.value.value = next;
    });
    if (isDone) toast(t("saved"), before ? { undo: () => void put(before) } : {});
  };
  const add = (event: Event, now: ForwardingState) => {
    event.preventDefault();
    const email = typed.peek().trim();
    error.value = isValidAddress(email) ? "" : t("badAddress", { email });
    if (error.peek()) return;
    typed.value = "";
    void put({ ...now, targets: [...now.targets.filter((one) => one !== email), email] });
  };
  return (
    <Panel title={t("forwarding")} text={t("forwardingText")}>
      <Shown loaded={loaded}>
        {(now) => (
          <>
            {now.targets.length === 0 && <p class="quiet">{t("forwardingOff")}</p>}
            <ul class="rows">
              {now.targets.map((email) => (
                <li key={email}>
                  <span class="row-main">{email}</span>
                  <IconButton
                    icon="trash"
                    size="small"
                    label={t("removeNamed", { name: email })}
                    onClick={() => void put({ ...now, targets: now.targets.filter((one) => one !== email) }, now)}
                  />
                </li>
              ))}
            </ul>
            <form onSubmit={(event) => add(event, now)}>
              <TextField
                label={t("targets")}
                inputmode="email"
                value={typed.value}
                error={error.value}
                onInput={(value) => {
                  typed.value = value;
                  error.value = "";
                }}
              />
              <Button type="submit" size="small">
                {t("addTarget")}
              </Button>
            </form>
            {now.targets.length > 0 && (
              <Switch
                label={t("keepsCopy")}
                isOn={now.keepsCopy}
                onChange={(keepsCopy) => void put({ ...now, keepsCopy }, now)}
              />
            )}
          </>
        )}
      </Shown>
    </Panel>
  );
}

function Vacation() {
  const loaded = useLoad(async () => {
    const { list } = await jmap.call<GetAnswer<VacationResponse>>("VacationResponse/get", { ids: ["singleton"] });
    return list[0]!;
  });
  return (
    <Panel title={t("vacation")} text={t("vacationText")}>
      <Shown loaded={loaded}>{(value) => <VacationForm value={value} />}</Shown>
    </Panel>
  );
}

const toField = (date: string | null) => (date ? toLocalInput(new Date(date)) : "");

function readDate(field: string): string | null {
  const at = fromLocalInput(field, new Date(0));
  return at ? toUtcDate(at) : null;
}

function VacationForm({ value }: { value: VacationResponse }) {
  const isOn = useSignal(value.isEnabled);
  const from = useSignal("");
  const until = useSignal("");
  const subject = useSignal(value.subject ?? "");
  const text = useSignal(value.textBody ?? "");
  const error = useSignal("");
  const wrongDate = useSignal("");
  useEffect(() => {
    from.value = toField(value.fromDate);
    until.value = toField(value.toDate);
  }, [value]);
  const save = async (event: Event) => {
    event.preventDefault();
    const [fromDate, toDate] = [readDate(from.peek()), readDate(until.peek())];
    error.value = isOn.peek() && !text.peek().trim() ? t("vacationNoText") : "";
    wrongDate.value = fromDate && toDate && fromDate >= toDate ? t("vacationOrder") : "";
    if (error.peek() || wrongDate.peek()) return;
    try {
      const [name, body] = [subject.peek().trim() || null, text.peek().trim() ? text.peek() : null];
      const patch = { isEnabled: isOn.peek(), fromDate, toDate, subject: name, textBody: body };
      await updateOne("VacationResponse", "singleton", patch);
      toast(t("saved"));
    } catch (reason) {
      error.value = sayError(reason);
    }
  };
  return (
    <form onSubmit={(event) => void save(event)}>
      <Switch
        label={t("vacationOn")}
        isOn={isOn.value}
        onChange={(value) => {
          isOn.value = value;
        }}
      />
      <div class="two">
        <TextField
          label={`${t("from")} (${t("optional")})`}
          type="datetime-local"
          value={from.value}
          onInput={(value) => {
            from.value = value;
          }}
        />
        <TextField
          label={`${t("until")} (${t("optional")})`}
          type="datetime-local"
          value={until.value}
          error={wrongDate.value}
          onInput={(value) => {
            until.value = value;
            wrongDate.value = "";
          }}
        />
      </div>
      <TextField
        label={t("subject")}
        hint={t("subjectHint")}
        value={subject.value}
        onInput={(value) => {
          subject.value = value;
        }}
      />
      <TextField
        label={t("text")}
        rows={5}
        value={text.value}
        error={error.value}
        onInput={(value) => {
          text.value = value;
          error.value = "";
        }}
      />
      <Button type="submit">{shell("common.save")}</Button>
    </form>
  );
}
