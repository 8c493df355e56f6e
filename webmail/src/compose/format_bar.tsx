import { useSignal } from "@preact/signals";
import { Button, IconButton } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { TextField } from "../ui/field.tsx";
import type { IconName } from "../ui/icon.tsx";
import { Menu } from "../ui/menu.tsx";
import type { Editor } from "./editor.ts";
import { type ComposeText, t } from "./texts.ts";

interface Command {
  icon: IconName;
  name: ComposeText;
  keys?: string;
  tag: string;
  set: (editor: Editor) => void;
  unset: (editor: Editor) => void;
}

const COMMANDS: readonly Command[] = [
  { icon: "bold", name: "bold", keys: "Ctrl+B", tag: "B", set: (e) => e.bold(), unset: (e) => e.removeBold() },
  { icon: "italic", name: "italic", keys: "Ctrl+I", tag: "I", set: (e) => e.italic(), unset: (e) => e.removeItalic() },
  {
    icon: "underline",
    name: "underline",
    keys: "Ctrl+U",
    tag: "U",
    set: (e) => e.underline(),
    unset: (e) => e.removeUnderline(),
  },
  { icon: "strike", name: "strike", tag: "S", set: (e) => e.strikethrough(), unset: (e) => e.removeStrikethrough() },
  { icon: "listBullet", name: "bullets", tag: "UL", set: (e) => e.makeUnorderedList(), unset: (e) => e.removeList() },
  { icon: "listNumber", name: "numbers", tag: "OL", set: (e) => e.makeOrderedList(), unset: (e) => e.removeList() },
  {
    icon: "quote",
    name: "quote",
    tag: "BLOCKQUOTE",
    set: (e) => e.increaseQuoteLevel(),
    unset: (e) => e.decreaseQuoteLevel(),
  },
];
const COLOURS: readonly [ComposeText, string | null][] = [
  ["colourDefault", null],
  ["colourGrey", "#5f6b7a"],
  ["colourRed", "#c62828"],
  ["colourOrange", "#b45309"],
  ["colourGreen", "#1b7f3b"],
  ["colourBlue", "#1d4ed8"],
  ["colourViolet", "#7b2cbf"],
];
const SIZES: readonly [ComposeText, string | null][] = [
  ["sizeSmall", "12px"],
  ["sizeNormal", null],
  ["sizeLarge", "18px"],
  ["sizeHuge", "26px"],
];

/** `path`: changes when what is at the caret may have changed. */
export function FormatBar({ editor, path }: { editor: Editor | null; path: string }) {
  const isLinking = useSignal(false);
  if (!editor) return <div class="format-bar" aria-hidden="true" />;
  const isOn = (tag: string) => path !== "" && editor.hasFormat(tag);
  const run = (command: Command) => {
    (isOn(command.tag) ? command.unset : command.set)(editor);
    editor.focus();
  };
  return (
    <div
      class="format-bar"
      role="toolbar"
      aria-label={t("formatting")}
      tabIndex={-1}
      onMouseDown={keepFocus}
      onKeyDown={moveInBar}
    >
      {COMMANDS.map((command, at) => (
        <IconButton
          key={command.name}
          size="small"
          icon={command.icon}
          label={t(command.name)}
          {...(command.keys ? { keys: command.keys } : {})}
          tabIndex={at ? -1 : 0}
          aria-pressed={isOn(command.tag)}
          onClick={() => run(command)}
        />
      ))}
      <IconButton
        size="small"
        icon="link"
        label={t("link")}
        tabIndex={-1}
        aria-pressed={isOn("A")}
        onClick={() => {
          isLinking.value = true;
        }}
      />
      <Menu
        class="button plain small format-menu"
        label={t("textSize")}
        items={SIZES.map(([name, size]) => ({ label: t(name), run: () => void editor.setFontSize(size).focus() }))}
      >
        <span aria-hidden="true">A↕</span>
      </Menu>
      <Menu
        class="button plain small format-menu"
        label={t("textColour")}
        items={COLOURS.map(([name, colour]) => ({
          label: t(name),
          colour: colour ?? "currentColor",
          run: () => void editor.setTextColor(colour).focus(),
        }))}
      >
        <span class="format-colour" aria-hidden="true">
          A
        </span>
      </Menu>
      <IconButton
        size="small"
        icon="clear"
        label={t("clear")}
        tabIndex={-1}
        onClick={() => void editor.removeAllFormatting().focus()}
      />
      {isLinking.value && <LinkDialog editor={editor} onClose={() => (isLinking.value = false)} />}
    </div>
  );
}

/** A click on a button leaves the caret where it is. */
function keepFocus(event: MouseEvent): void {
  if (!(event.target as Element).closest("dialog")) event.preventDefault();
}

function moveInBar(event: KeyboardEvent): void {
  const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
  const bar = event.currentTarget as HTMLElement;
  if (!by || !bar.contains(document.activeElement)) return;
  const buttons = [...bar.querySelectorAll<HTMLButtonElement>(":scope > button")];
  const at = buttons.indexOf(document.activeElement as HTMLButtonElement);
  if (at < 0) return;
  event.preventDefault();
  buttons.at((at + by) % buttons.length)?.focus();
}

const SCHEME = /^(?:https?:\/\/|mailto:|tel:)\S+$/i;

function LinkDialog({ editor, onClose }: { editor: Editor; onClose: () => void }) {
  const range = editor.getSelection();
  const before = linkAt(range);
  const address = useSignal(before || "https://");
  const error = useSignal("");
  const apply = (event: Event) => {
    event.preventDefault();
    const typed = address.peek().trim();
    const full = SCHEME.test(typed) ? typed : /^[\w.-]+\.\w{2,}(?:\/\S*)?$/.test(typed) ? `https://${typed}` : "";
    if (!full) {
      error.value = t("linkWrong");
      return;
    }
    onClose();
    setTimeout(() => void editor.setSelection(range).makeLink(full).focus());
  };
  const remove = () => {
    onClose();
    setTimeout(() => void editor.setSelection(range).removeLink().focus());
  };
  return (
    <Dialog title={t("link")} size="small" onClose={onClose}>
      <form onSubmit={apply}>
        <TextField
          label={t("linkAddress")}
          type="text"
          autofocus
          value={address.value}
          error={error.value}
          onInput={(value) => {
            address.value = value;
          }}
        />
        <div class="form-actions">
          {before && <Button onClick={remove}>{t("linkRemove")}</Button>}
          <Button kind="primary" type="submit">
            {t("linkSet")}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

function linkAt(range: Range): string {
  const node = range.startContainer;
  const element = node instanceof Element ? node : node.parentElement;
  return element?.closest(".rich a")?.getAttribute("href") ?? "";
}
