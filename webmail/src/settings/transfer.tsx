/** Mail out of the account as a file, and into it from one. */

import { useSignal } from "@preact/signals";
import { useId, useRef } from "preact/hooks";
import { t as shell } from "../i18n/t.ts";
import { jmap } from "../jmap/client.ts";
import type { GetAnswer, Mailbox } from "../jmap/types.ts";
import { nameOf } from "../state/mailboxes.ts";
import { Button } from "../ui/button.tsx";
import { Select } from "../ui/field.tsx";
import { Panel } from "./frame.tsx";
import { formatOf, type Imported, importFile } from "./import_file.ts";
import { Shown, sayError, useLoad } from "./load.tsx";
import { t } from "./texts.ts";

interface Choice {
  value: string;
  label: string;
}

/** With the names of those above: "Work / Old". */
async function loadMailboxes(): Promise<Choice[]> {
  const { list } = await jmap.call<GetAnswer<Mailbox>>("Mailbox/get", { ids: null });
  const byId = new Map(list.map((one) => [one.id, one]));
  const pathOf = (one: Mailbox): string => {
    const above = one.parentId ? byId.get(one.parentId) : undefined;
    return above ? `${pathOf(above)} / ${nameOf(one)}` : nameOf(one);
  };
  const closed = ["outbox", "scheduled"];
  const open = list.filter((one) => !closed.includes(one.role ?? "") && one.name !== "Outbox");
  const choices = open.map((one) => ({ value: one.id, label: pathOf(one) }));
  const first = list.find((one) => one.role === "inbox")?.id;
  return choices.toSorted(
    (one, other) => Number(other.value === first) - Number(one.value === first) || one.label.localeCompare(other.label),
  );
}

export function TransferSettings() {
  const loaded = useLoad(loadMailboxes);
  return (
    <Shown loaded={loaded}>
      {(mailboxes) => (
        <>
          <ImportPanel mailboxes={mailboxes} />
          <ExportPanel mailboxes={mailboxes} />
        </>
      )}
    </Shown>
  );
}

function ExportPanel({ mailboxes }: { mailboxes: Choice[] }) {
  const mailbox = useSignal("");
  const wanted = useSignal<"mbox" | "zip">("mbox");
  // A file of the kind mbox holds one mailbox.
  const format = mailbox.value ? wanted.value : "zip";
  const address = `/api/export?format=${format}${mailbox.value && `&mailbox=${encodeURIComponent(mailbox.value)}`}`;
  return (
    <Panel title={t("exportTitle")} text={t("exportText")}>
      <div class="two">
        <Select
          label={t("mailbox")}
          value={mailbox.value}
          options={[{ value: "", label: t("allMailboxes") }, ...mailboxes]}
          onChange={(value) => {
            mailbox.value = value;
          }}
        />
        <Select
          label={t("format")}
          value={format}
          options={[
            ...(mailbox.value ? [{ value: "mbox" as const, label: t("formatMbox") }] : []),
            { value: "zip" as const, label: t("formatZip") },
          ]}
          onChange={(value) => {
            wanted.value = value;
          }}
        />
      </div>
      <a class="button normal" href={address} download="">
        {t("download")}
      </a>
    </Panel>
  );
}

function ImportPanel({ mailboxes }: { mailboxes: Choice[] }) {
  const id = useId();
  const file = useSignal<File | null>(null);
  const mailbox = useSignal(mailboxes[0]?.value ?? "");
  const sent = useSignal<number | null>(null);
  const done = useSignal<Imported | null>(null);
  const error = useSignal("");
  const stop = useRef<AbortController | null>(null);
  const isZip = file.value !== null && formatOf(file.value.name) === "zip";
  const choices = isZip ? [{ value: "", label: t("asInZip") }, ...mailboxes] : mailboxes;
  const choose = (chosen: File | null) => {
    file.value = chosen;
    error.value = chosen && !formatOf(chosen.name) ? t("wrongFile") : "";
    done.value = null;
    mailbox.value = chosen && formatOf(chosen.name) === "zip" ? "" : mailbox.peek() || (mailboxes[0]?.value ?? "");
  };
  const start = async (event: Event) => {
    event.preventDefault();
    const chosen = file.peek();
    const format = chosen && formatOf(chosen.name);
    done.value = null;
    error.value = format ? "" : t("wrongFile");
    if (!chosen || !format) return;
    stop.current = new AbortController();
    sent.value = 0;
    try {
      const target = { mailbox: mailbox.peek(), format };
      done.value = await importFile(
        chosen,
        target,
        (octets) => (sent.value = octets / chosen.size),
        stop.current.signal,
      );
    } catch (reason) {
      const isStopped = reason instanceof DOMException && reason.name === "AbortError";
      error.value = isStopped ? t("cancelled") : sayError(reason);
    } finally {
      sent.value = null;
    }
  };
  const percent = Math.floor((sent.value ?? 0) * 100);
  return (
    <Panel title={t("importTitle")} text={t("importText")}>
      <form onSubmit={(event) => void start(event)}>
        <div class="field">
          <label class="field-label" for={id}>
            {t("file")}
          </label>
          <input
            id={id}
            type="file"
            class="input"
            accept=".mbox,.mbx,.eml,.zip,application/mbox,message/rfc822,application/zip"
            aria-invalid={error.value ? "true" : undefined}
            aria-describedby={error.value ? `${id}-error` : undefined}
            onChange={(event) => choose(event.currentTarget.files?.[0] ?? null)}
          />
        </div>
        <Select
          label={t("into")}
          value={mailbox.value}
          options={choices}
          onChange={(value) => {
            mailbox.value = value;
          }}
        />
        {sent.value === null ? (
          <Button type="submit" icon="upload" disabled={!file.value}>
            {t("startImport")}
          </Button>
        ) : (
          <>
            <progress class="bar" max={1} value={sent.value} aria-label={t("importing", { percent })} />
            <p role="status">{percent < 100 ? t("importing", { percent }) : t("importWorking")}</p>
            <Button onClick={() => stop.current?.abort()}>{shell("common.cancel")}</Button>
          </>
        )}
        <div role="status">{done.value && <Result done={done.value} />}</div>
        {error.value && (
          <p id={`${id}-error`} class="notice bad" role="alert">
            {error.value}
          </p>
        )}
      </form>
    </Panel>
  );
}

function Result({ done }: { done: Imported }) {
  const isWhole = done.failed === 0 && !done.stopped;
  return (
    <div class={isWhole ? "notice good" : "notice"}>
      <p>
        {t("imported", { n: done.imported })}
        {done.failed > 0 && `, ${t("importFailed", { n: done.failed })}`}
      </p>
      {done.stopped && <p>{t("importFull")}</p>}
      {done.troubles.length > 0 && (
        <details>
          <summary>{t("importWhy")}</summary>
          <ul class="troubles">
            {done.troubles.map((one, at) => (
              <li key={at}>{one}</li>
            ))}
          </ul>
        </details>
      )}
    </div>
  );
}
