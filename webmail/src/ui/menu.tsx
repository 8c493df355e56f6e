// A button that opens a list of commands; arrows, Home, End, first letters and Escape work as in a menu.

import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { Icon, type IconName } from "./icon.tsx";

export interface MenuItem {
  label: string;
  icon?: IconName;
  keys?: string;
  /** A dot in this colour instead of an icon. */
  colour?: string;
  isChecked?: boolean;
  isDangerous?: boolean;
  isDisabled?: boolean;
  run: () => void;
}

export type MenuEntry = MenuItem | "line";

export interface MenuProps {
  label: string;
  icon?: IconName;
  items: readonly MenuEntry[];
  /** What the button shows instead of an icon. */
  children?: ComponentChildren;
  class?: string;
  disabled?: boolean;
}

export function Menu({ label, icon = "more", items, children, class: className, disabled }: MenuProps) {
  const [isOpen, setOpen] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  return (
    <>
      <button
        type="button"
        ref={button}
        class={className ?? (children ? "button plain" : "button plain icon-only")}
        aria-haspopup="menu"
        aria-expanded={isOpen}
        aria-label={label}
        data-tooltip={isOpen ? undefined : label}
        disabled={disabled ?? false}
        onClick={() => setOpen(!isOpen)}
        onKeyDown={(event) => {
          if (event.key === "ArrowDown" && !isOpen) {
            event.preventDefault();
            setOpen(true);
          }
        }}
      >
        {children ?? <Icon name={icon} />}
      </button>
      {isOpen && (
        <MenuList
          label={label}
          items={items}
          near={button.current!.getBoundingClientRect()}
          owner={button.current!}
          onClose={(takesFocus) => {
            setOpen(false);
            if (takesFocus) button.current?.focus();
          }}
        />
      )}
    </>
  );
}

export interface MenuListProps {
  label: string;
  items: readonly MenuEntry[];
  near: DOMRect | { left: number; top: number; bottom: number; right: number };
  owner?: HTMLElement;
  onClose: (takesFocus: boolean) => void;
}

const GAP = 4;

/** The list alone, for menus of the right mouse button. */
export function MenuList({ label, items, near, owner, onClose }: MenuListProps) {
  const list = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const element = list.current!;
    element.showPopover?.();
    const { offsetWidth: width, offsetHeight: height } = element;
    const left = near.left + width > innerWidth - GAP ? Math.max(GAP, near.right - width) : near.left;
    const below = near.bottom + GAP;
    const top = below + height > innerHeight ? Math.max(GAP, near.top - GAP - height) : below;
    element.style.left = `${left}px`;
    element.style.top = `${top}px`;
    (element.querySelector("button:not(:disabled)") as HTMLElement | null)?.focus();
  }, []);
  useEffect(() => {
    const outside = (event: Event) => {
      const target = event.target as Node;
      if (!list.current?.contains(target) && !owner?.contains(target)) onClose(false);
    };
    addEventListener("pointerdown", outside, true);
    addEventListener("blur", outside);
    return () => {
      removeEventListener("pointerdown", outside, true);
      removeEventListener("blur", outside);
    };
  }, []);
  return (
    <div
      ref={list}
      popover="manual"
      class="menu"
      role="menu"
      tabIndex={-1}
      aria-label={label}
      onKeyDown={(event) => moveInMenu(event, list.current!, onClose)}
    >
      {items.map((item, index) =>
        item === "line" ? <hr key={`line${index}`} /> : <MenuButton key={item.label} item={item} onClose={onClose} />,
      )}
    </div>
  );
}

function MenuButton({ item, onClose }: { item: MenuItem; onClose: (takesFocus: boolean) => void }) {
  const isChoice = item.isChecked !== undefined;
  return (
    <button
      type="button"
      role={isChoice ? "menuitemcheckbox" : "menuitem"}
      aria-checked={isChoice ? item.isChecked : undefined}
      tabIndex={-1}
      disabled={item.isDisabled ?? false}
      class={item.isDangerous ? "dangerous" : undefined}
      onClick={() => {
        onClose(true);
        item.run();
      }}
    >
      {item.colour ? (
        <span class="dot" style={{ background: item.colour }} />
      ) : (
        <span class="menu-icon">{item.icon && <Icon name={item.icon} size={18} />}</span>
      )}
      <span class="menu-label">{item.label}</span>
      {isChoice && item.isChecked && <Icon name="check" size={16} />}
      {item.keys && <kbd>{item.keys}</kbd>}
    </button>
  );
}

function moveInMenu(event: KeyboardEvent, list: HTMLElement, onClose: (takesFocus: boolean) => void): void {
  const buttons = [...list.querySelectorAll<HTMLButtonElement>("button:not(:disabled)")];
  const at = buttons.indexOf(document.activeElement as HTMLButtonElement);
  const moves: Record<string, number> = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 };
  const to = moves[event.key];
  event.stopPropagation();
  if (event.key === "Escape" || event.key === "Tab") {
    event.preventDefault();
    onClose(true);
  } else if (to !== undefined) {
    event.preventDefault();
    buttons.at(to % buttons.length)?.focus();
  } else if (event.key.length === 1 && event.key !== " ") {
    const wanted = event.key.toLowerCase();
    buttons.find((button) => button.textContent?.trim().toLowerCase().startsWith(wanted))?.focus();
  }
}
