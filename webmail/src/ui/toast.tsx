// Short notes at the foot of the window, read out by screen readers. One with an undo stays longer.

import { signal } from "@preact/signals";
import { t } from "../i18n/t.ts";
import { Button, IconButton } from "./button.tsx";

export interface Note {
  key: number;
  text: string;
  isError: boolean;
  undo: (() => void) | null;
  /** Another word for the button than "Undo". */
  action: string | null;
  /** An id of what it tells of. */
  about: string | null;
}

export interface NoteOptions {
  undo?: () => void;
  action?: string;
  isError?: boolean;
  about?: string;
  /** Otherwise 4 s, or 8 s with an undo. */
  forMs?: number;
}

const SHORT_MS = 4000;
const LONG_MS = 8000;
const MOST = 3;
export const notes = signal<Note[]>([]);
let next = 1;

/** Shows it; the function that is given back takes it away. */
export function toast(text: string, options: NoteOptions = {}): () => void {
  const { undo = null, isError = false, action = null, about = null } = options;
  const note = { key: next++, text, undo, isError, action, about };
  notes.value = [...notes.value.slice(1 - MOST), note];
  const away = () => take(note);
  setTimeout(away, options.forMs ?? (undo || isError ? LONG_MS : SHORT_MS));
  return away;
}

function take(note: Note): void {
  notes.value = notes.value.filter((one) => one !== note);
}

/** Takes away what tells of it: it is so no more. */
export function takeNotesAbout(id: string): void {
  notes.value = notes.value.filter((note) => note.about !== id);
}

/** What `z` does: undo the newest that can be. */
export function undoLast(): void {
  const note = notes.value.findLast((one) => one.undo);
  if (note) undoNote(note);
}

function undoNote(note: Note): void {
  take(note);
  note.undo?.();
}

export function Toasts() {
  return (
    <section class="toasts" aria-live="polite" aria-label={t("app.notes")}>
      {notes.value.map((note) => (
        <div key={note.key} class={note.isError ? "toast error" : "toast"} role={note.isError ? "alert" : undefined}>
          <span>{note.text}</span>
          {note.undo && (
            <Button kind="plain" onClick={() => undoNote(note)}>
              {note.action ?? t("common.undo")}
            </Button>
          )}
          <IconButton icon="close" size="small" label={t("common.close")} onClick={() => take(note)} />
        </div>
      ))}
    </section>
  );
}
