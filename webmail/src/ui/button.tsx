import type { ComponentChildren, JSX, Ref } from "preact";
import { Icon, type IconName } from "./icon.tsx";

export interface ButtonProps extends Omit<JSX.IntrinsicElements["button"], "ref" | "icon" | "type" | "size"> {
  /** "plain" is for toolbars; "danger" for what cannot be undone. */
  kind?: "primary" | "normal" | "plain" | "danger";
  icon?: IconName;
  type?: "button" | "submit";
  isBusy?: boolean;
  size?: "small" | "normal";
  children?: ComponentChildren;
  buttonRef?: Ref<HTMLButtonElement>;
}

export function Button(props: ButtonProps) {
  const { kind = "normal", icon, type = "button", isBusy, size = "normal", children, buttonRef, ...rest } = props;
  const names = ["button", kind, size === "small" ? "small" : "", props.class ?? ""];
  return (
    <button
      {...rest}
      ref={buttonRef ?? null}
      type={type}
      class={names.filter(Boolean).join(" ")}
      disabled={Boolean(props.disabled) || Boolean(isBusy)}
      aria-busy={isBusy ? "true" : undefined}
    >
      {icon && <Icon name={icon} size={18} />}
      {children !== undefined && <span>{children}</span>}
    </button>
  );
}

export interface IconButtonProps extends Omit<ButtonProps, "children" | "label"> {
  icon: IconName;
  /** Its name, shown as a tooltip too. */
  label: string;
  /** The key that does the same, shown in the tooltip. */
  keys?: string;
  isFilled?: boolean;
}

export function IconButton({ icon, label, keys, isFilled, buttonRef, kind = "plain", size, ...rest }: IconButtonProps) {
  const { isBusy, ...native } = rest;
  const names = ["button", "icon-only", kind, size === "small" ? "small" : "", native.class ?? ""];
  return (
    <button
      {...native}
      ref={buttonRef ?? null}
      type="button"
      class={names.filter(Boolean).join(" ")}
      aria-label={label}
      aria-busy={isBusy ? "true" : undefined}
      data-tooltip={keys ? `${label} (${keys})` : label}
    >
      <Icon name={icon} size={size === "small" ? 16 : 20} isFilled={Boolean(isFilled)} />
    </button>
  );
}
