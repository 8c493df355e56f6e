import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { api } from "../api.ts";
import { go, place } from "../router.ts";
import { Panel } from "../settings/frame.tsx";
import { sayError } from "../settings/load.tsx";
import { sayMoment } from "../settings/when.ts";
import { Button } from "../ui/button.tsx";
import { TextField } from "../ui/field.tsx";
import { Spinner } from "../ui/spinner.tsx";
import { sayStep } from "./reasons.ts";
import { t } from "./texts.ts";
import type { Story } from "./types.ts";

const GOOD = new Set(["delivered", "relayed"]);
const BAD = new Set(["failed", "expired", "refused", "bounced", "deleted"]);

export function Trace() {
  const asked = place.value.query.get("q") ?? "";
  const typed = useSignal(asked);
  const stories = useSignal<Story[] | null>(null);
  const isBusy = useSignal(false);
  const error = useSignal("");
  useEffect(() => {
    typed.value = asked;
    stories.value = null;
    if (!asked) return;
    isBusy.value = true;
    error.value = "";
    api<Story[]>("GET", `admin/trace?q=${encodeURIComponent(asked)}`)
      .then(
        (found) => {
          stories.value = found.toReversed();
        },
        (reason) => {
          error.value = sayError(reason);
        },
      )
      .finally(() => {
        isBusy.value = false;
      });
  }, [asked]);
  return (
    <>
      <Panel text={t("traceText")}>
        <form
          class="filters"
          onSubmit={(event) => {
            event.preventDefault();
            go(`/admin/trace?q=${encodeURIComponent(typed.peek().trim())}`);
          }}
        >
          <TextField
            label={t("traceField")}
            value={typed.value}
            error={error.value}
            onInput={(value) => {
              typed.value = value;
            }}
          />
          <Button type="submit" icon="search" kind="primary">
            {t("search")}
          </Button>
        </form>
      </Panel>
      {isBusy.value && <Spinner isCentred />}
      {stories.value?.length === 0 && <p role="status">{t("traceNone")}</p>}
      {stories.value?.map((story) => (
        <Panel key={story.id} title={story.id}>
          <ol class="story">
            {story.records.map((record, at) => (
              <li key={at} class={GOOD.has(record.step) ? "good" : BAD.has(record.step) ? "bad" : undefined}>
                <time dateTime={record.time}>{sayMoment(record.time)}</time>
                <b>{sayStep(record.step, record.words)}</b>
                {record.details && <span>{record.details}</span>}
              </li>
            ))}
          </ol>
        </Panel>
      ))}
    </>
  );
}
