/** Which labels the chosen messages have; new ones are made by typing a name, names and colours changed in place. */

import { useSignal } from "@preact/signals";
import { t as shell } from "../i18n/t.ts";
import { type Label, preferences, setPreferences } from "../state/preferences.ts";
import { Button, IconButton } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Checkbox, TextField } from "../ui/field.tsx";
import { addLabel, COLOURS, type ColourName, findLabels } from "./label_names.ts";
import "./dialogs.css";
import { t } from "./texts.ts";

export interface LabelsDialogProps {
  /** How many of the chosen messages have each label (by keyword): none when it is missing. */
  chosen: Record<string, "all" | "some">;
  onApply: (add: string[], remove: string[]) => void;
  onClose: () => void;
}

export default function LabelsDialog({ chosen, onApply, onClose }: LabelsDialogProps) {
  const changed = useSignal<Record<string, boolean>>({});
  const filter = useSignal("");
  const editing = useSignal<string | null>(null);
  const { labels } = preferences.value;
  const found = findLabels(labels, filter.value);
  const name = filter.value.trim();
  const isNew = name !== "" && !labels.some((one) => one.name.toLowerCase() === name.toLowerCase());
  const set = (keyword: string, isOn: boolean) => {
    changed.value = { ...changed.peek(), [keyword]: isOn };
  };
  const create = () => {
    const next = addLabel(labels, name);
    setPreferences({ labels: next });
    set(next.at(-1)!.keyword, true);
    filter.value = "";
  };
  const isChanged = Object.entries(changed.value).some(
    ([keyword, isOn]) => chosen[keyword] !== (isOn ? "all" : undefined),
  );
  const apply = () => {
    const entries = Object.entries(changed.peek());
    const pick = (isOn: boolean) => entries.flatMap(([keyword, wanted]) => (wanted === isOn ? [keyword] : []));
    onApply(pick(true), pick(false));
    onClose();
  };
  const submit = (event: Event) => {
    event.preventDefault();
    if (isNew && found.length === 0) create();
    else if (name && found.length === 1) set(found[0]!.keyword, true);
    else if (isChanged) apply();
    else onClose();
  };
  const foot = (
    <>
      <Button onClick={onClose}>{shell("common.cancel")}</Button>
      <Button kind="primary" disabled={!isChanged} onClick={apply}>
        {t("apply")}
      </Button>
    </>
  );
  return (
    <Dialog title={t("labels")} size="small" onClose={onClose} actions={foot}>
      <form onSubmit={submit}>
        <TextField
          label={t("filter")}
          isLabelHidden
          placeholder={t("filter")}
          autofocus
          value={filter.value}
          onInput={(value) => {
            filter.value = value;
          }}
        />
      </form>
      {labels.length === 0 && !name && <p class="quiet">{t("labelsEmpty")}</p>}
      <ul class="label-list">
        {found.map((label) => (
          <li key={label.keyword}>
            {editing.value === label.keyword ? (
              <LabelEditor label={label} onDone={() => (editing.value = null)} />
            ) : (
              <>
                <span class="dot" style={{ background: label.colour }} />
                <Checkbox
                  label={label.name}
                  isOn={changed.value[label.keyword] ?? chosen[label.keyword] === "all"}
                  isMixed={changed.value[label.keyword] === undefined && chosen[label.keyword] === "some"}
                  onChange={(isOn) => set(label.keyword, isOn)}
                />
                <IconButton
                  size="small"
                  icon="compose"
                  label={t("edit", { name: label.name })}
                  onClick={() => {
                    editing.value = label.keyword;
                  }}
                />
              </>
            )}
          </li>
        ))}
      </ul>
      {isNew && (
        <Button kind="plain" icon="plus" onClick={create}>
          {t("create", { name })}
        </Button>
      )}
    </Dialog>
  );
}

/** Also for the settings. */
export function LabelEditor({ label, onDone }: { label: Label; onDone: () => void }) {
  const name = useSignal(label.name);
  const colour = useSignal(label.colour);
  const save = (event: Event) => {
    event.preventDefault();
    const changed = { ...label, name: name.peek().trim() || label.name, colour: colour.peek() };
    setPreferences({ labels: preferences.peek().labels.map((one) => (one.keyword === label.keyword ? changed : one)) });
    onDone();
  };
  const remove = () => {
    setPreferences({ labels: preferences.peek().labels.filter((one) => one.keyword !== label.keyword) });
    onDone();
  };
  return (
    <form class="label-editor" onSubmit={save}>
      <TextField
        label={t("name")}
        isLabelHidden
        autofocus
        value={name.value}
        onInput={(value) => {
          name.value = value;
        }}
      />
      <fieldset class="swatches">
        <legend class="unseen">{t("colour")}</legend>
        {(Object.entries(COLOURS) as [ColourName, string][]).map(([word, value]) => (
          <label key={word} data-tooltip={t(word)}>
            <input
              type="radio"
              name={`colour-${label.keyword}`}
              checked={colour.value === value}
              onChange={() => {
                colour.value = value;
              }}
            />
            <span class="swatch" style={{ background: value }} />
            <span class="unseen">{t(word)}</span>
          </label>
        ))}
      </fieldset>
      <span class="form-actions">
        <Button size="small" icon="trash" kind="plain" data-tooltip={t("removeText")} onClick={remove}>
          {t("remove")}
        </Button>
        <Button size="small" kind="primary" type="submit">
          {shell("common.save")}
        </Button>
      </span>
    </form>
  );
}
