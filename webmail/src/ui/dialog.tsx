// A native <dialog>: it keeps the focus inside and gives it back to where it was.

import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { t } from "../i18n/t.ts";
import { Button, IconButton } from "./button.tsx";

export interface DialogProps {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
  /** Buttons at the foot. */
  actions?: ComponentChildren;
  size?: "small" | "normal" | "large";
  /** A press beside it does not close it: for what is shown only once. */
  isKept?: boolean;
}

export function Dialog({ title, onClose, children, actions, size = "normal", isKept }: DialogProps) {
  const element = useRef<HTMLDialogElement>(null);
  const titleId = useId();
  // Where the press began: who marks text and lets go outside does not want to leave.
  const pressed = useRef<EventTarget | null>(null);
  useEffect(() => {
    const dialog = element.current;
    const before = document.activeElement as HTMLElement | null;
    dialog?.showModal();
    return () => {
      dialog?.close();
      before?.focus?.();
    };
  }, []);
  return (
    <dialog
      ref={element}
      class={`dialog ${size}`}
      aria-labelledby={titleId}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onPointerDown={(event) => {
        pressed.current = event.target;
      }}
      onClick={(event) => {
        const isOutside = event.target === element.current && pressed.current === element.current;
        if (isOutside && !isKept) onClose();
      }}
    >
      <div class="dialog-box">
        <header class="dialog-head">
          <h2 id={titleId}>{title}</h2>
          <IconButton icon="close" label={t("common.close")} onClick={onClose} />
        </header>
        <div class="dialog-body">{children}</div>
        {actions && <footer class="dialog-foot">{actions}</footer>}
      </div>
    </dialog>
  );
}

export interface ConfirmProps {
  title: string;
  text: string;
  action: string;
  isDangerous?: boolean;
  onConfirm: () => void;
  onClose: () => void;
}

export function Confirm({ title, text, action, isDangerous, onConfirm, onClose }: ConfirmProps) {
  const confirm = () => {
    onConfirm();
    onClose();
  };
  return (
    <Dialog
      title={title}
      onClose={onClose}
      size="small"
      actions={
        <>
          <Button onClick={onClose}>{t("common.cancel")}</Button>
          <Button kind={isDangerous ? "danger" : "primary"} onClick={confirm}>
            {action}
          </Button>
        </>
      }
    >
      <p>{text}</p>
    </Dialog>
  );
}
