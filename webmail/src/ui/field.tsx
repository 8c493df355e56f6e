// Labelled fields. `onInput` and `onChange` give the value, not the event.

import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";

interface Common {
  label: string;
  /** Shown below the field. */
  hint?: string;
  error?: string;
  /** The label is only for screen readers. */
  isLabelHidden?: boolean;
  disabled?: boolean;
}

export interface TextFieldProps extends Common {
  value: string;
  onInput: (value: string) => void;
  type?: "text" | "password" | "email" | "search" | "number" | "date" | "datetime-local" | "time" | "url";
  placeholder?: string;
  autocomplete?: string;
  required?: boolean;
  autofocus?: boolean;
  name?: string;
  inputmode?: "numeric" | "email" | "text";
  /** More than one makes it a text area. */
  rows?: number;
}

function Frame({ id, children, ...common }: Common & { id: string; children: ComponentChildren }) {
  return (
    <div class={common.error ? "field wrong" : "field"}>
      <label for={id} class={common.isLabelHidden ? "unseen" : "field-label"}>
        {common.label}
      </label>
      {children}
      {common.hint && !common.error && (
        <p id={`${id}-hint`} class="field-hint">
          {common.hint}
        </p>
      )}
      {common.error && (
        <p id={`${id}-hint`} class="field-error" role="alert">
          {common.error}
        </p>
      )}
    </div>
  );
}

export function TextField(props: TextFieldProps) {
  const { value, onInput, type = "text", rows = 1, label, hint, error, isLabelHidden, ...native } = props;
  const id = useId();
  const shared = {
    ...native,
    id,
    value,
    class: "input",
    "aria-invalid": error ? ("true" as const) : undefined,
    "aria-describedby": error || hint ? `${id}-hint` : undefined,
  };
  return (
    <Frame id={id} label={label} hint={hint ?? ""} error={error ?? ""} isLabelHidden={isLabelHidden ?? false}>
      {rows > 1 ? (
        <textarea {...shared} rows={rows} onInput={(event) => onInput(event.currentTarget.value)} />
      ) : (
        // The type is one of many; which attributes go with which, browsers decide.
        <input {...shared} type={type as "text"} onInput={(event) => onInput(event.currentTarget.value)} />
      )}
    </Frame>
  );
}

export interface SelectProps<V extends string> extends Common {
  value: V;
  options: readonly { value: V; label: string }[];
  onChange: (value: V) => void;
}

export function Select<V extends string>(props: SelectProps<V>) {
  const { label, hint, error, isLabelHidden, value, options, onChange, disabled } = props;
  const id = useId();
  return (
    <Frame id={id} label={label} hint={hint ?? ""} error={error ?? ""} isLabelHidden={isLabelHidden ?? false}>
      <select
        id={id}
        class="input"
        value={value}
        disabled={disabled ?? false}
        aria-describedby={error || hint ? `${id}-hint` : undefined}
        onChange={(event) => onChange(event.currentTarget.value as V)}
      >
        {options.map((option) => (
          <option key={option.value} value={option.value}>
            {option.label}
          </option>
        ))}
      </select>
    </Frame>
  );
}

export interface SwitchProps {
  label: string;
  hint?: string;
  isOn: boolean;
  onChange: (isOn: boolean) => void;
  disabled?: boolean;
}

export function Switch({ label, hint, isOn, onChange, disabled }: SwitchProps) {
  const id = useId();
  return (
    <div class="switch-row">
      <span>
        <label for={id}>{label}</label>
        {hint && (
          <span id={`${id}-hint`} class="field-hint">
            {hint}
          </span>
        )}
      </span>
      <input
        id={id}
        type="checkbox"
        role="switch"
        class="switch"
        checked={isOn}
        aria-checked={isOn}
        disabled={disabled ?? false}
        aria-describedby={hint ? `${id}-hint` : undefined}
        onChange={(event) => onChange(event.currentTarget.checked)}
      />
    </div>
  );
}

export interface CheckboxProps {
  label: string;
  isOn: boolean;
  /** Some of what it stands for are on. */
  isMixed?: boolean;
  isLabelHidden?: boolean;
  onChange: (isOn: boolean) => void;
}

export function Checkbox({ label, isOn, isMixed, isLabelHidden, onChange }: CheckboxProps) {
  return (
    <label class="checkbox">
      <input
        type="checkbox"
        checked={isOn}
        ref={(element) => {
          if (element) element.indeterminate = Boolean(isMixed);
        }}
        onChange={(event) => onChange(event.currentTarget.checked)}
      />
      <span class={isLabelHidden ? "unseen" : undefined}>{label}</span>
    </label>
  );
}
