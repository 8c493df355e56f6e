// Dialogs that actions need first.

import { useState } from "preact/hooks";
import { reasonOf } from "../complain.ts";
import { t } from "../i18n/t.ts";
import type { Id, Mailbox } from "../jmap/types.ts";
import { bound } from "../keys.ts";
import { lazy } from "../lazy.tsx";
import { emailsOf, peekEmail } from "../state/emails.ts";
import { changeMailbox, childrenOf, createMailbox, nameOf, tree } from "../state/mailboxes.ts";
import { Button } from "../ui/button.tsx";
import { Confirm, Dialog } from "../ui/dialog.tsx";
import { Select, TextField } from "../ui/field.tsx";
import { Icon } from "../ui/icon.tsx";
import { toast } from "../ui/toast.tsx";
import { asking, moveTo, setLabels, snooze } from "./act.ts";
import { iconOf } from "./icons.ts";
import { mayHold } from "./toolbar.tsx";
import { view } from "./view.ts";

const SnoozeDialog = lazy(() => import("../dialogs/snooze.tsx"), true);
const LabelsDialog = lazy(() => import("../dialogs/labels.tsx"), true);

const close = () => {
  asking.value = null;
};

export function Dialogs() {
  const now = asking.value;
  switch (now?.kind) {
    case "snooze":
      return (
        <SnoozeDialog
          onClose={close}
          onPick={(until) => {
            close();
            void snooze(until, now.rows);
          }}
        />
      );
    case "labels":
      return (
        <LabelsDialog
          chosen={labelsOf(now.rows)}
          onClose={close}
          onApply={(add, removed) => {
            close();
            void setLabels(now.rows, add, removed);
          }}
        />
      );
    case "move":
      return <MoveDialog rows={now.rows} />;
    case "confirm":
      return (
        <Confirm
          title={now.title}
          text={now.text}
          action={now.action}
          isDangerous
          onConfirm={() => now.answer(true)}
          onClose={() => {
            close();
            now.answer(false);
          }}
        />
      );
    case "keys":
      return <KeysDialog />;
    case "mailbox":
      return <MailboxDialog parent={now.parent} renamed={now.renamed} />;
    default:
      return null;
  }
}

function labelsOf(rows: readonly Id[]): Record<string, "all" | "some"> {
  const emails = rows.flatMap((row) => {
    const email = peekEmail(row);
    return email ? [emailsOf(email.threadId).some((one) => one.id === row) ? emailsOf(email.threadId) : [email]] : [];
  });
  const counts = new Map<string, number>();
  for (const conversation of emails) {
    for (const word of new Set(conversation.flatMap((one) => Object.keys(one.keywords)))) {
      counts.set(word, (counts.get(word) ?? 0) + 1);
    }
  }
  return Object.fromEntries([...counts].map(([word, n]) => [word, n === emails.length ? "all" : "some"]));
}

function MoveDialog({ rows }: { rows: readonly Id[] }) {
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const wanted = text.trim().toLowerCase();
  const found = tree.value.filter(
    ({ mailbox }) =>
      mayHold(mailbox.role) && mailbox.id !== view.value.mailbox?.id && nameOf(mailbox).toLowerCase().includes(wanted),
  );
  const pick = (mailbox: Mailbox | undefined) => {
    if (!mailbox) return;
    close();
    void moveTo(mailbox, rows);
  };
  return (
    <Dialog title={t("do.move")} size="small" onClose={close}>
      <div
        role="presentation"
        onKeyDown={(event) => {
          const by = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
          if (by) {
            event.preventDefault();
            setAt(Math.max(0, Math.min(found.length - 1, at + by)));
          } else if (event.key === "Enter") {
            event.preventDefault();
            pick(found[at]?.mailbox);
          }
        }}
      >
        <TextField
          label={t("mailbox.list")}
          isLabelHidden
          placeholder={t("do.search")}
          value={text}
          autofocus
          onInput={(value) => {
            setText(value);
            setAt(0);
          }}
        />
        <div class="pick-list" role="listbox" aria-label={t("mailbox.list")}>
          {found.map(({ mailbox, depth }, index) => (
            <button
              key={mailbox.id}
              type="button"
              role="option"
              aria-selected={index === at}
              class={index === at ? "pick at" : "pick"}
              style={{ "--depth": String(wanted ? 0 : depth) }}
              onClick={() => pick(mailbox)}
            >
              <Icon name={iconOf(mailbox)} size={18} />
              {nameOf(mailbox)}
            </button>
          ))}
        </div>
      </div>
    </Dialog>
  );
}

function MailboxDialog({ parent, renamed }: { parent: Mailbox | null; renamed: Mailbox | null }) {
  const [name, setName] = useState(renamed?.name ?? "");
  const [under, setUnder] = useState<string>(parent?.id ?? "");
  const [error, setError] = useState("");
  const save = () => {
    const before = renamed?.name ?? "";
    const wanted = name.trim().toLowerCase();
    const beside = childrenOf(renamed ? renamed.parentId : under || null).filter((one) => one.id !== renamed?.id);
    if (beside.some((one) => one.name.toLowerCase() === wanted || nameOf(one).toLowerCase() === wanted)) {
      setError(t("mailbox.exists"));
      return;
    }
    const done = renamed ? changeMailbox(renamed.id, { name: name.trim() }) : createMailbox(name.trim(), under || null);
    done.then(
      () => {
        close();
        if (renamed) toast(t("mailbox.renamed"), { undo: () => void changeMailbox(renamed.id, { name: before }) });
      },
      (reason: unknown) => setError(reasonOf(reason)),
    );
  };
  const options = [
    { value: "", label: t("mailbox.top") },
    ...tree.value
      .filter((row) => row.mailbox.role === null || row.mailbox.id === parent?.id)
      .map((row) => ({ value: row.mailbox.id, label: `${"  ".repeat(row.depth)}${nameOf(row.mailbox)}` })),
  ];
  return (
    <Dialog
      title={t(renamed ? "mailbox.rename" : "mailbox.new")}
      size="small"
      onClose={close}
      actions={
        <>
          <Button onClick={close}>{t("common.cancel")}</Button>
          <Button kind="primary" disabled={!name.trim()} onClick={save}>
            {t(renamed ? "common.save" : "mailbox.create")}
          </Button>
        </>
      }
    >
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (name.trim()) save();
        }}
      >
        <TextField label={t("mailbox.name")} value={name} onInput={setName} error={error} autofocus />
        {!renamed && <Select label={t("mailbox.inside")} value={under} options={options} onChange={setUnder} />}
      </form>
    </Dialog>
  );
}

/** Keys of a window to write in: it listens itself, and may not be there. */
const WRITING = [
  ["Ctrl+Enter", "keys.send"],
  ["Escape", "keys.saveClose"],
  ["Ctrl+Shift+C", "keys.cc"],
  ["Ctrl+Shift+B", "keys.bcc"],
  ["Ctrl+B", "keys.bold"],
  ["Ctrl+I", "keys.italic"],
  ["Ctrl+U", "keys.underline"],
] as const;
const SIGNS: Record<string, string> = { ArrowDown: "↓", ArrowUp: "↑", Escape: "Esc", Delete: "Del" };

function KeysDialog() {
  const groups = new Map<string, { keys: string; label: string }[]>();
  for (const binding of bound.value.flat()) {
    if (binding.isHidden) continue;
    const group = groups.get(binding.group) ?? [];
    const same = group.find((one) => one.label === binding.label);
    if (same) same.keys += `|${binding.keys}`;
    else group.push({ keys: binding.keys, label: binding.label });
    groups.set(binding.group, group);
  }
  groups.set(
    t("keys.group.write"),
    WRITING.map(([keys, label]) => ({ keys, label: t(label) })),
  );
  return (
    <Dialog title={t("keys.title")} size="large" onClose={close}>
      <div class="keys">
        {[...groups].map(([name, bindings]) => (
          <section key={name}>
            <h3>{name}</h3>
            <dl>
              {bindings.map(({ keys, label }) => (
                <div key={label}>
                  <dt>
                    {keys.split("|").map((one) => (
                      <span key={one} class="combo">
                        {one.split(" ").map((key) => (
                          <kbd key={key}>{SIGNS[key] ?? key}</kbd>
                        ))}
                      </span>
                    ))}
                  </dt>
                  <dd>{label}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
    </Dialog>
  );
}
