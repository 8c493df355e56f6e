// Mailboxes, labels and saved searches. Mail is dropped on mailboxes; mailboxes are dropped on each other.

import { signal } from "@preact/signals";
import { useState } from "preact/hooks";
import { complain } from "../complain.ts";
import { locale } from "../i18n/index.ts";
import { t } from "../i18n/t.ts";
import type { Id, Mailbox } from "../jmap/types.ts";
import { writeValue } from "../search/parse.ts";
import { compose } from "../state/compose.ts";
import { waiting } from "../state/due.ts";
import { changeMailbox, childrenOf, destroyMailbox, mailboxes, nameOf, slugOf, tree } from "../state/mailboxes.ts";
import { preferences } from "../state/preferences.ts";
import { mayNest, type TreeRow } from "../state/tree.ts";
import { Button, IconButton } from "../ui/button.tsx";
import { Icon } from "../ui/icon.tsx";
import { Menu, type MenuEntry } from "../ui/menu.tsx";
import { toast } from "../ui/toast.tsx";
import { asking, confirm, empty, moveTo } from "./act.ts";
import { iconOf } from "./icons.ts";
import { ROWS_TYPE } from "./list.tsx";
import { forgetSearch, savedSearches } from "./saved.tsx";
import { mayHold } from "./toolbar.tsx";
import { openSearch, view } from "./view.ts";

const BOX_TYPE = "application/x-posthouse-mailbox";
const CLOSED = "posthouse.closed";
const closed = signal<ReadonlySet<Id>>(new Set(readClosed()));
const over = signal<Id | "">("");

function readClosed(): Id[] {
  try {
    return JSON.parse(localStorage.getItem(CLOSED) ?? "[]") as Id[];
  } catch {
    return [];
  }
}

function toggleClosed(id: Id): void {
  const next = new Set(closed.value);
  if (!next.delete(id)) next.add(id);
  closed.value = next;
  localStorage.setItem(CLOSED, JSON.stringify([...next]));
}

export function Sidebar({ isShown }: { isShown: boolean }) {
  return (
    <nav class={isShown ? "sidebar shown" : "sidebar"} aria-label={t("mailbox.list")} id="sidebar">
      <Button kind="primary" icon="compose" class="compose" onClick={() => compose({ kind: "new" })}>
        {t("do.compose")}
      </Button>
      <Mailboxes />
      <Labels />
      <Saved />
    </nav>
  );
}

function Mailboxes() {
  const here = view.value.mailbox?.id;
  const isIdle = ({ id, role }: Mailbox) => role === "scheduled" && !waiting.value && id !== here;
  const rows = tree.value.filter((row) => !row.above.some((id) => closed.value.has(id)) && !isIdle(row.mailbox));
  const first = rows.findIndex((row) => row.mailbox.role === null);
  return (
    <div class="side-group">
      <ul class="side-list">
        {(first < 0 ? rows : rows.slice(0, first)).map((row) => (
          <MailboxRow key={row.mailbox.id} row={row} />
        ))}
      </ul>
      <h2 class="side-head" onDragOver={(event) => allow(event, BOX_TYPE)} onDrop={(event) => dropBox(event, null)}>
        {t("mailbox.list")}
        <IconButton
          icon="plus"
          size="small"
          label={t("mailbox.new")}
          onClick={() => {
            asking.value = { kind: "mailbox", parent: null, renamed: null };
          }}
        />
      </h2>
      <ul class="side-list">
        {(first < 0 ? [] : rows.slice(first)).map((row) => (
          <MailboxRow key={row.mailbox.id} row={row} />
        ))}
      </ul>
    </div>
  );
}

function allow(event: DragEvent, ...types: string[]): boolean {
  if (!types.some((type) => event.dataTransfer?.types.includes(type))) return false;
  event.preventDefault();
  return true;
}

function dropBox(event: DragEvent, under: Id | null): void {
  const id = event.dataTransfer?.getData(BOX_TYPE);
  if (!id || !mayNest(tree.peek(), id, under)) return;
  event.preventDefault();
  nest(id, under);
}

function nest(id: Id, under: Id | null): void {
  const before = mailboxes.peek().get(id)?.parentId ?? null;
  if (before === under) return;
  changeMailbox(id, { parentId: under }).then(
    () => toast(t("mailbox.moved"), { undo: () => void changeMailbox(id, { parentId: before }).catch(complain) }),
    complain,
  );
}

function dropOn(event: DragEvent, mailbox: Mailbox): void {
  over.value = "";
  const rows = event.dataTransfer?.getData(ROWS_TYPE);
  if (rows && mayHold(mailbox.role)) {
    event.preventDefault();
    void moveTo(mailbox, JSON.parse(rows) as Id[]);
  } else dropBox(event, mailbox.id);
}

function MailboxRow({ row }: { row: TreeRow }) {
  const { mailbox, depth, hasChildren } = row;
  const name = nameOf(mailbox);
  const isHere = view.value.mailbox?.id === mailbox.id;
  const isClosed = closed.value.has(mailbox.id);
  // Drafts and what waits count whole; elsewhere what is new counts.
  const isWhole = ["drafts", "scheduled", "snoozed"].includes(mailbox.role ?? "");
  const count = isWhole
    ? mailbox.role === "scheduled"
      ? (waiting.value ?? 0)
      : mailbox.totalEmails
    : ["trash", "sent"].includes(mailbox.role ?? "")
      ? 0
      : mailbox.unreadThreads;
  const names = ["side-row", isHere && "here", over.value === mailbox.id && "over", count > 0 && !isWhole && "unread"];
  return (
    <li
      class={names.filter(Boolean).join(" ")}
      style={{ "--depth": String(depth) }}
      draggable={mailbox.role === null}
      onDragStart={(event) => event.dataTransfer?.setData(BOX_TYPE, mailbox.id)}
      onDragOver={(event) => {
        const types = mayHold(mailbox.role) && !isHere ? [BOX_TYPE, ROWS_TYPE] : [BOX_TYPE];
        if (allow(event, ...types)) over.value = mailbox.id;
      }}
      onDragLeave={() => {
        over.value = "";
      }}
      onDrop={(event) => dropOn(event, mailbox)}
    >
      {hasChildren ? (
        <button
          type="button"
          class="twist"
          aria-expanded={!isClosed}
          aria-label={t(isClosed ? "mailbox.expand" : "mailbox.collapse", { name })}
          onClick={() => toggleClosed(mailbox.id)}
        >
          <Icon name={isClosed ? "chevronRight" : "chevronDown"} size={14} />
        </button>
      ) : (
        <span class="twist" />
      )}
      <a
        href={`/mail/${encodeURIComponent(slugOf(mailbox))}`}
        aria-current={isHere ? "page" : undefined}
        draggable={false}
      >
        <Icon name={iconOf(mailbox)} size={18} />
        <span class="side-name">{name}</span>
        {count > 0 && (
          <span class="side-count">
            {count.toLocaleString(locale())}
            {!isWhole && <span class="unseen"> {t("list.unread")}</span>}
          </span>
        )}
      </a>
      <Menu
        label={t("mailbox.menu", { name })}
        class="button plain icon-only tiny side-menu"
        items={mailboxMenu(mailbox, name)}
      />
    </li>
  );
}

function mailboxMenu(mailbox: Mailbox, name: string): MenuEntry[] {
  const below: MenuEntry = {
    label: t("mailbox.newBelow"),
    icon: "plus",
    isDisabled: mailbox.myRights["mayCreateChild"] === false,
    run: () => {
      asking.value = { kind: "mailbox", parent: mailbox, renamed: null };
    },
  };
  if (mailbox.role === "trash" || mailbox.role === "junk") {
    return [
      { label: t("do.empty", { name }), icon: "trash", isDangerous: true, run: () => void empty(mailbox, name) },
      below,
    ];
  }
  if (mailbox.role) return [below];
  return [
    below,
    {
      label: t("mailbox.rename"),
      icon: "compose",
      run: () => {
        asking.value = { kind: "mailbox", parent: null, renamed: mailbox };
      },
    },
    {
      label: t("mailbox.moveUp"),
      icon: "chevronUp",
      isDisabled: mailbox.parentId === null,
      run: () => nest(mailbox.id, null),
    },
    "line",
    { label: t("mailbox.delete"), icon: "trash", isDangerous: true, run: () => void deleteMailbox(mailbox, name) },
  ];
}

async function deleteMailbox(mailbox: Mailbox, name: string): Promise<void> {
  if (childrenOf(mailbox.id).length > 0) {
    toast(t("mailbox.hasInside", { name }), { isError: true });
    return;
  }
  if (!(await confirm(t("mailbox.deleteTitle", { name }), t("mailbox.deleteText"), t("common.delete")))) return;
  await destroyMailbox(mailbox.id).catch(complain);
}

function Labels() {
  const { labels } = preferences.value;
  if (labels.length === 0) return null;
  return (
    <div class="side-group">
      <h2 class="side-head">{t("labels")}</h2>
      <ul class="side-list">
        {labels.map((label) => {
          const search = `label:${writeValue(label.name)}`;
          const isHere = view.value.search === search;
          return (
            <li key={label.keyword} class={isHere ? "side-row here" : "side-row"}>
              <span class="twist" />
              <a href={`/search?q=${encodeURIComponent(search)}`} aria-current={isHere ? "page" : undefined}>
                <span class="dot" style={{ background: label.colour }} />
                <span class="side-name">{label.name}</span>
              </a>
            </li>
          );
        })}
      </ul>
    </div>
  );
}

function Saved() {
  const [isOpen, setOpen] = useState(true);
  if (savedSearches.value.length === 0) return null;
  return (
    <div class="side-group">
      <h2 class="side-head">
        <button type="button" class="plain-head" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
          {t("saved")}
        </button>
      </h2>
      {isOpen && (
        <ul class="side-list">
          {savedSearches.value.map((saved) => (
            <li key={saved.id} class={view.value.search === saved.query ? "side-row here" : "side-row"}>
              <span class="twist" />
              <a
                href={`/search?q=${encodeURIComponent(saved.query)}`}
                onClick={(event) => {
                  event.preventDefault();
                  openSearch(saved.query);
                }}
              >
                <Icon name="search" size={16} />
                <span class="side-name">{saved.name}</span>
              </a>
              <IconButton
                icon="close"
                size="small"
                class="side-menu"
                label={t("saved.delete", { name: saved.name })}
                onClick={() => forgetSearch(saved)}
              />
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
