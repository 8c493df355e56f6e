// The list of conversations: rows, selection, dragging, and what is shown instead of rows.

import { useRef, useState } from "preact/hooks";
import { t } from "../i18n/t.ts";
import type { Id } from "../jmap/types.ts";
import { compose } from "../state/compose.ts";
import { emailSignal, peekEmail } from "../state/emails.ts";
import { list, query, reload, total, wantRange } from "../state/list.ts";
import { nameOf } from "../state/mailboxes.ts";
import { preferences } from "../state/preferences.ts";
import { chosen, cursor, isAllChosen, toggle } from "../state/selection.ts";
import { Button } from "../ui/button.tsx";
import { Icon } from "../ui/icon.tsx";
import { MenuList } from "../ui/menu.tsx";
import { Spinner } from "../ui/spinner.tsx";
import { VirtualList } from "../ui/virtual-list.tsx";
import { rowMenu } from "./menus.ts";
import { hovered, Row, rowId } from "./row.tsx";
import { wantSnippets } from "./snippets.ts";
import { ListBar } from "./toolbar.tsx";
import { openThread, view } from "./view.ts";

export const ROWS_TYPE = "application/x-posthouse-rows";
const HEIGHTS = { comfortable: 76, compact: 56 };
const DRAG_SHIFT = 12;

export function List() {
  const { mailbox, parsed, search } = view.value;
  const [menu, setMenu] = useState<{ x: number; y: number; row: Id } | null>(null);
  const { ids, isLoading, hasFailed } = list.value;
  const name = mailbox ? nameOf(mailbox) : t("list.search");
  const range = (first: number, last: number) => {
    wantRange(first, last);
    if (!search || !parsed) return;
    const shown = list
      .peek()
      .ids.slice(first, last)
      .filter((id) => id !== undefined);
    void wantSnippets(search, parsed.filter, shown);
  };
  return (
    <section class="list-pane" aria-label={t("list.label", { name })}>
      <ListBar name={name} />
      <AllChosen />
      {search && parsed?.problems[0] && (
        <p class="all-chosen" role="status">
          {t("search.unread", { text: parsed.problems.join(" ") })}
        </p>
      )}
      {isLoading && ids.length === 0 ? (
        <Spinner isCentred />
      ) : ids.length === 0 ? (
        <NoRows hasFailed={hasFailed} />
      ) : (
        <VirtualList
          count={ids.length}
          rowHeight={HEIGHTS[preferences.value.density]}
          role="grid"
          label={t("list.label", { name })}
          follow={cursor.value}
          resetKey={query.value?.key ?? ""}
          onRange={range}
          renderRow={(index) => <Row key={ids[index] ?? `empty${index}`} index={index} id={ids[index]} />}
          native={{
            tabIndex: 0,
            id: "list",
            "aria-rowcount": ids.length,
            "aria-multiselectable": true,
            "aria-activedescendant": cursor.value >= 0 ? rowId(cursor.value) : undefined,
            onClick: clickRow,
            onDblClick: openDraft,
            onPointerOver: (event) => {
              hovered.value = rowAt(event.target)?.index ?? -1;
            },
            onPointerLeave: () => {
              hovered.value = -1;
            },
            onDragStart: startDrag,
            onContextMenu: (event) => {
              const row = rowAt(event.target)?.id;
              if (!row) return;
              event.preventDefault();
              setMenu({ x: event.clientX, y: event.clientY, row });
            },
          }}
        />
      )}
      {menu && (
        <MenuList
          label={t("common.more")}
          items={rowMenu(chosen.peek().has(menu.row) ? [...chosen.peek()] : [menu.row])}
          near={{ left: menu.x, right: menu.x, top: menu.y, bottom: menu.y }}
          onClose={() => setMenu(null)}
        />
      )}
      <div class="unseen" aria-live="polite">
        {isLoading ? t("list.loading") : t("list.total", { n: total.value })}
      </div>
    </section>
  );
}

function rowAt(target: EventTarget | null): { index: number; id: Id | undefined } | null {
  const row = (target as Element | null)?.closest<HTMLElement>("[data-index]");
  if (!row) return null;
  const index = Number(row.dataset["index"]);
  return { index, id: list.peek().ids[index] };
}

function clickRow(event: MouseEvent): void {
  const target = event.target as HTMLElement;
  const row = rowAt(target);
  if (!row?.id || target.closest("button")) return;
  if (target.closest(".row-mark") || event.shiftKey || event.ctrlKey || event.metaKey) {
    if (target.tagName !== "INPUT" && target.closest("label")) return; // its own click follows
    if (event.shiftKey) getSelection()?.removeAllRanges();
    toggle(row.index, event.shiftKey);
    return;
  }
  cursor.value = row.index;
  openRow(row.id);
}

/** A draft opens where it is written on; everything else where it is read. */
export function openRow(id: Id): void {
  const email = peekEmail(id);
  if (!email) return;
  const role = view.peek().mailbox?.role;
  if (role === "drafts" && "$draft" in email.keywords) compose({ kind: "draft", emailId: id });
  else openThread(email.threadId);
}

function openDraft(event: MouseEvent): void {
  const id = rowAt(event.target)?.id;
  const email = id ? peekEmail(id) : undefined;
  if (email && "$draft" in email.keywords) compose({ kind: "draft", emailId: email.id });
}

function startDrag(event: DragEvent): void {
  const row = rowAt(event.target);
  if (!row?.id || !event.dataTransfer) return;
  const rows = chosen.peek().has(row.id) ? [...chosen.peek()] : [row.id];
  event.dataTransfer.setData(ROWS_TYPE, JSON.stringify(rows));
  event.dataTransfer.effectAllowed = "move";
  const pill = document.createElement("div");
  pill.className = "drag-pill";
  const subject = rows.length === 1 ? emailSignal(row.id).peek()?.subject : null;
  pill.textContent = subject || t("list.dragged", { n: rows.length });
  document.body.append(pill);
  event.dataTransfer.setDragImage(pill, -DRAG_SHIFT, -DRAG_SHIFT);
  setTimeout(() => pill.remove());
}

function AllChosen() {
  const n = total.value;
  const loaded = chosen.value.size;
  const wasAll = useRef(false);
  wasAll.current = loaded > 1 && list.value.ids.every((id) => !id || chosen.value.has(id));
  if (!wasAll.current || loaded >= n) return null;
  return (
    <div class="all-chosen" role="status">
      {isAllChosen.value ? t("list.allChosen", { n }) : t("list.allPage")}
      {!isAllChosen.value && (
        <Button
          kind="plain"
          size="small"
          onClick={() => {
            isAllChosen.value = true;
          }}
        >
          {t("list.allChoose", { n })}
        </Button>
      )}
    </div>
  );
}

function NoRows({ hasFailed }: { hasFailed: boolean }) {
  const { mailbox, search } = view.value;
  if (hasFailed) {
    return (
      <div class="centre" role="alert">
        <Icon name="warning" size={40} />
        <p>{t("list.failed")}</p>
        <Button onClick={() => void reload()}>{t("app.retry")}</Button>
      </div>
    );
  }
  const text = search ? t("list.noHits") : t(mailbox?.role === "inbox" ? "list.emptyInbox" : "list.empty");
  return (
    <div class="centre">
      <span class="faint">
        <Icon name={search ? "search" : mailbox?.role === "inbox" ? "check" : "folder"} size={44} />
      </span>
      <p>{text}</p>
      {search && <p class="hint">{t("list.noHitsHint")}</p>}
    </div>
  );
}
