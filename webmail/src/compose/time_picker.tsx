/** Times to choose from, and one's own. For sending later and for snoozing. */

import { useSignal } from "@preact/signals";
import { useId } from "preact/hooks";
import { locale } from "../i18n/index.ts";
import { mediumDate } from "../mail/format.ts";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Icon } from "../ui/icon.tsx";
import { fromLocalInput, type Preset, toLocalInput } from "./presets.ts";
import "./time_picker.css";
import { t } from "./texts.ts";

export interface TimePickerProps {
  title: string;
  text?: string;
  action: string;
  presets: readonly Preset[];
  /** The latest that is possible. */
  latest?: Date | null;
  onPick: (at: Date) => void;
  onClose: () => void;
}

export function TimePicker({ title, text, action, presets, latest, onPick, onClose }: TimePickerProps) {
  const id = useId();
  const now = new Date();
  const typed = useSignal(toLocalInput(presets.at(-1)?.at ?? now));
  const error = useSignal("");
  const pick = (at: Date | null) => {
    if (!at) error.value = t("pastTime");
    else if (latest && at > latest)
      error.value = t("tooFar", { days: Math.floor((+latest - Date.now()) / 86_400_000) });
    else onPick(at);
  };
  const shown = presets.filter((one) => !latest || one.at <= latest);
  return (
    <Dialog title={title} size="small" onClose={onClose}>
      {text && <p class="quiet">{text}</p>}
      <ul class="time-list">
        {shown.map(({ name, at }, index) => (
          <li key={name}>
            <button type="button" autofocus={index === 0} onClick={() => pick(at)}>
              <Icon name="clock" size={18} />
              <span>{t(name)}</span>
              <time dateTime={at.toISOString()}>{mediumDate(at.toISOString(), locale(), now)}</time>
            </button>
          </li>
        ))}
      </ul>
      <form
        class="time-own"
        onSubmit={(event) => {
          event.preventDefault();
          pick(fromLocalInput(typed.peek(), new Date()));
        }}
      >
        <label for={id}>{t("customTime")}</label>
        <span>
          <input
            id={id}
            class="input"
            type="datetime-local"
            value={typed.value}
            min={toLocalInput(now)}
            aria-invalid={error.value ? "true" : undefined}
            aria-describedby={error.value ? `${id}-error` : undefined}
            onInput={(event) => {
              typed.value = event.currentTarget.value;
              error.value = "";
            }}
          />
          <Button type="submit" kind="primary">
            {action}
          </Button>
        </span>
        {error.value && (
          <p id={`${id}-error`} class="field-error" role="alert">
            {error.value}
          </p>
        )}
      </form>
    </Dialog>
  );
}
