// The bar above the list: the name of the mailbox, or what can be done with the rows that are chosen.

import { locale } from "../i18n/index.ts";
import { t } from "../i18n/t.ts";
import { peekEmail } from "../state/emails.ts";
import { follow, list, total } from "../state/list.ts";
import { nameOf, tree } from "../state/mailboxes.ts";
import { choose, chosen, clearSelection, hasChosen, isAllChosen } from "../state/selection.ts";
import { Button, IconButton } from "../ui/button.tsx";
import { Checkbox } from "../ui/field.tsx";
import { Menu } from "../ui/menu.tsx";
import * as act from "./act.ts";
import { iconOf } from "./icons.ts";
import { rowMenu } from "./menus.ts";
import { SaveSearch } from "./saved.tsx";
import { view } from "./view.ts";

export function ListBar({ name }: { name: string }) {
  return (
    <header class="list-bar">
      <SelectAll />
      {hasChosen.value ? <ChosenBar name={name} /> : <PlainBar name={name} />}
    </header>
  );
}

function SelectAll() {
  const loaded = list.value.ids.length;
  const n = chosen.value.size;
  return (
    <span class="select-all">
      <Checkbox
        label={t("do.selectAll")}
        isLabelHidden
        isOn={n > 0}
        isMixed={n > 0 && n < loaded && !isAllChosen.value}
        onChange={(isOn) => (isOn ? choose(() => true) : clearSelection())}
      />
      <Menu
        label={t("do.select")}
        icon="chevronDown"
        class="button plain icon-only tiny"
        items={[
          { label: t("do.selectAll"), keys: "* a", run: () => choose(() => true) },
          { label: t("do.selectNone"), keys: "* n", run: clearSelection },
          { label: t("do.selectRead"), keys: "* r", run: () => choose((id) => has(id, "$seen")) },
          { label: t("do.selectUnread"), keys: "* u", run: () => choose((id) => !has(id, "$seen")) },
          { label: t("do.selectStarred"), keys: "* s", run: () => choose((id) => has(id, "$flagged")) },
        ]}
      />
    </span>
  );
}

export function has(id: string, keyword: string): boolean {
  return keyword in (peekEmail(id)?.keywords ?? {});
}

function PlainBar({ name }: { name: string }) {
  const { mailbox, search } = view.value;
  const isLast = mailbox?.role === "trash" || mailbox?.role === "junk";
  return (
    <>
      <h1>{name}</h1>
      <span class="list-total">{total.value > 0 && total.value.toLocaleString(locale())}</span>
      {search && <SaveSearch search={search} />}
      {isLast && total.value > 0 && (
        <Button kind="plain" size="small" onClick={() => void act.empty(mailbox, nameOf(mailbox))}>
          {t("do.empty", { name })}
        </Button>
      )}
      <IconButton icon="refresh" label={t("do.refresh")} onClick={() => void follow()} />
    </>
  );
}

function ChosenBar({ name }: { name: string }) {
  const n = isAllChosen.value ? total.value : chosen.value.size;
  const role = view.value.mailbox?.role;
  const isLast = role === "trash" || role === "junk";
  return (
    <>
      <h1 class="unseen">{name}</h1>
      <span class="chosen-count" role="status">
        {t("list.chosen", { n })}
      </span>
      <IconButton icon="archive" label={t("do.archive")} keys="e" onClick={() => void act.archive()} />
      {role === "junk" ? (
        <IconButton icon="inbox" label={t("do.notJunk")} onClick={() => void act.markNotJunk()} />
      ) : (
        <IconButton icon="junk" label={t("do.junk")} keys="!" onClick={() => void act.markJunk()} />
      )}
      <IconButton
        icon="trash"
        label={t(isLast ? "do.deleteForever" : "do.delete")}
        keys="#"
        onClick={() => void act.remove()}
      />
      <MoveMenu />
      <Menu label={t("common.more")} items={rowMenu([...chosen.value])} />
    </>
  );
}

export function MoveMenu({ rows }: { rows?: readonly string[] }) {
  const here = view.value.mailbox?.id;
  return (
    <Menu
      label={t("do.move")}
      icon="move"
      items={tree.value
        .filter((row) => mayHold(row.mailbox.role) && row.mailbox.id !== here)
        .map((row) => ({
          label: `${"  ".repeat(row.depth)}${nameOf(row.mailbox)}`,
          icon: iconOf(row.mailbox),
          run: () => void act.moveTo(row.mailbox, rows),
        }))}
    />
  );
}

/** What waits to be sent is put there by sending alone. */
export function mayHold(role: string | null): boolean {
  return role !== "scheduled" && role !== "snoozed" && role !== "drafts";
}
