/** One window to write in. Ctrl+Enter sends, Escape saves and closes, Ctrl+Shift+C and B open Cc and Bcc. */

import { useComputed, useSignal } from "@preact/signals";
import { useEffect, useId, useRef } from "preact/hooks";
import { Button, IconButton } from "../ui/button.tsx";
import { Menu, type MenuEntry } from "../ui/menu.tsx";
import { AddressField } from "./address_field.tsx";
import { AttachmentList } from "./attachment_list.tsx";
import { discard, saveAndClose, sendNow } from "./conduct.ts";
import { isBare, switchText } from "./content.ts";
import { Doubts } from "./doubts.tsx";
import { FileDrop } from "./file_drop.tsx";
import { FromField } from "./from_field.tsx";
import type { Open } from "./index.tsx";
import { titleOf } from "./open.ts";
import { PlainText } from "./plain_text.tsx";
import { RichText } from "./rich_text.tsx";
import type { Doubt } from "./send.ts";
import { SendLater } from "./send_later.tsx";
import { t } from "./texts.ts";
import { addFiles } from "./uploads.ts";

type Asked = "doubts" | "later" | "plain" | null;

export function ComposeWindow({ open, onShow }: { open: Open; onShow: () => void }) {
  const { draft } = open;
  const id = useId();
  const box = useRef<HTMLElement>(null);
  const asked = useSignal<Asked>(null);
  const doubts = useSignal<Doubt[]>([]);
  const sendAt = useSignal<Date | null>(null);
  const shape = draft.shape.value;
  const send = async (at: Date | null, isSure = false) => {
    sendAt.value = at;
    asked.value = null;
    doubts.value = await sendNow(open, at, isSure);
    if (doubts.value.length) asked.value = "doubts";
  };
  const keys = (event: KeyboardEvent) => {
    // What is open above the window is closed first.
    if (event.defaultPrevented || (event.target as Element).closest("dialog, [role=menu], [aria-expanded=true]"))
      return;
    const isCommand = event.ctrlKey || event.metaKey;
    if (isCommand && event.key === "Enter") void send(null);
    else if (event.key === "Escape") void saveAndClose(open);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <section
      ref={box}
      class={`compose-window ${shape}`}
      role="dialog"
      aria-labelledby={`${id}-title`}
      onKeyDownCapture={keys}
      data-key={open.key}
    >
      <Head open={open} titleId={`${id}-title`} onShow={onShow} />
      {shape !== "small" && (
        <FileDrop draft={draft}>
          <Fields open={open} />
          {draft.isRich.value ? <RichText draft={draft} /> : <PlainText draft={draft} />}
          <AttachmentList draft={draft} />
          {draft.problem.value && (
            <p class="compose-problem" role="alert">
              {draft.problem.value}
            </p>
          )}
          <Foot open={open} onSend={() => void send(null)} onAsk={(what) => (asked.value = what)} />
        </FileDrop>
      )}
      {asked.value === "doubts" && (
        <Doubts
          doubts={doubts.value}
          onSure={() => void send(sendAt.value, true)}
          onClose={() => (asked.value = null)}
        />
      )}
      {asked.value === "later" && <SendLater onPick={(at) => void send(at)} onClose={() => (asked.value = null)} />}
      {asked.value === "plain" && <ToPlain open={open} onClose={() => (asked.value = null)} />}
    </section>
  );
}

function Head({ open, titleId, onShow }: { open: Open; titleId: string; onShow: () => void }) {
  const { draft } = open;
  const title = useComputed(() => titleOf(draft));
  const shape = draft.shape.value;
  const toggle = () => {
    if (shape === "small") onShow();
    else draft.shape.value = "small";
  };
  return (
    <header class="compose-head">
      <h2 id={titleId}>
        <button type="button" class="compose-title" aria-expanded={shape !== "small"} onClick={toggle}>
          {title.value}
        </button>
      </h2>
      <IconButton
        size="small"
        icon={shape === "small" ? "chevronUp" : "minus"}
        label={shape === "small" ? t("restore") : t("minimise")}
        onClick={toggle}
      />
      <IconButton
        class="only-desk"
        size="small"
        icon={shape === "full" ? "collapse" : "expand"}
        label={shape === "full" ? t("unfull") : t("full")}
        onClick={() => {
          draft.shape.value = shape === "full" ? "open" : "full";
        }}
      />
      <IconButton size="small" icon="close" label={t("close")} keys="Esc" onClick={() => void saveAndClose(open)} />
    </header>
  );
}

function Fields({ open }: { open: Open }) {
  const { draft } = open;
  const id = useId();
  const hasCc = useSignal(draft.cc.peek().length > 0);
  const hasBcc = useSignal(draft.bcc.peek().length > 0);
  const isEmpty = draft.to.peek().length === 0;
  useEffect(() => {
    if (draft.cc.peek().length) hasCc.value = true;
    if (draft.bcc.peek().length) hasBcc.value = true;
  }, [draft.cc.value, draft.bcc.value]);
  const keys = (event: KeyboardEvent) => {
    const letter = event.key.toLowerCase();
    if (!(event.ctrlKey || event.metaKey) || !event.shiftKey || (letter !== "c" && letter !== "b")) return;
    event.preventDefault();
    (letter === "c" ? hasCc : hasBcc).value = true;
  };
  const more = (
    <span class="compose-more">
      {!hasCc.value && (
        <button type="button" onClick={() => (hasCc.value = true)}>
          {t("cc")}
        </button>
      )}
      {!hasBcc.value && (
        <button type="button" onClick={() => (hasBcc.value = true)}>
          {t("bcc")}
        </button>
      )}
    </span>
  );
  return (
    <div class="compose-fields" role="group" onKeyDown={keys}>
      <FromField draft={draft} />
      <AddressField draft={draft} field="to" takesFocus={isEmpty} extra={more} />
      {hasCc.value && <AddressField draft={draft} field="cc" takesFocus={draft.cc.peek().length === 0 && !isEmpty} />}
      {hasBcc.value && (
        <AddressField draft={draft} field="bcc" takesFocus={draft.bcc.peek().length === 0 && !isEmpty} />
      )}
      <div class="compose-row">
        <label for={`${id}-subject`}>{t("subject")}</label>
        <input
          id={`${id}-subject`}
          class="compose-input"
          value={draft.subject.value}
          maxLength={900}
          onInput={(event) => draft.change(draft.subject, event.currentTarget.value)}
        />
      </div>
    </div>
  );
}

function Foot({ open, onSend, onAsk }: { open: Open; onSend: () => void; onAsk: (what: Asked) => void }) {
  const { draft } = open;
  const picker = useRef<HTMLInputElement>(null);
  const toggleText = () => {
    if (draft.isRich.peek() && !isBare(draft)) onAsk("plain");
    else switchText(draft);
  };
  const options: MenuEntry[] = [{ label: t("sendLater"), icon: "schedule", run: () => onAsk("later") }];
  const more: MenuEntry[] = [
    { label: t("plainText"), isChecked: !draft.isRich.value, run: toggleText },
    "line",
    { label: t("discard"), icon: "trash", isDangerous: true, run: () => void discard(open) },
  ];
  return (
    <footer class="compose-foot">
      <span class="compose-send">
        <Button kind="primary" isBusy={draft.isSending.value} data-tooltip="Ctrl+Enter" onClick={onSend}>
          {draft.isSending.value ? t("sending") : t("send")}
        </Button>
        <Menu class="button primary icon-only" label={t("sendOptions")} icon="chevronDown" items={options} />
      </span>
      <IconButton icon="attach" label={t("attach")} onClick={() => picker.current?.click()} />
      <input
        ref={picker}
        type="file"
        multiple
        hidden
        aria-label={t("attach")}
        onChange={(event) => {
          addFiles(draft, [...(event.currentTarget.files ?? [])]);
          event.currentTarget.value = "";
        }}
      />
      <span class={`compose-kept ${draft.kept.value}`} role="status">
        {keptText(draft.kept.value)}
      </span>
      <IconButton icon="trash" label={t("discard")} onClick={() => void discard(open)} />
      <Menu label={t("more")} items={more} />
    </footer>
  );
}

function keptText(kept: string): string {
  if (kept === "saving") return t("saving");
  if (kept === "saved") return t("saved");
  return kept === "failed" ? t("saveFailed") : "";
}

function ToPlain({ open, onClose }: { open: Open; onClose: () => void }) {
  return (
    <Doubts
      doubts={["plain"]}
      onSure={() => {
        onClose();
        switchText(open.draft);
      }}
      onClose={onClose}
    />
  );
}
