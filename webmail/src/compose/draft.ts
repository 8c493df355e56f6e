/**
 * One message that is being written: its fields as signals, its attachments, what it answers, and where it is kept.
 * Until the server has it, it is also in the tab's session storage: a reload or a crash of the tab loses nothing.
 */

import { batch, type Signal, signal } from "@preact/signals";
import type { Identity } from "../jmap/types.ts";
import type { Address } from "./addresses.ts";
import { type Attachment, isWorthSaving, type Written } from "./message.ts";

export type WindowShape = "open" | "small" | "full";
export type Kept = "empty" | "changed" | "saving" | "saved" | "failed";
export type Field = "to" | "cc" | "bcc";

export interface Upload extends Attachment {
  /** Octets on their way up; null: done or failed. */
  sent: number | null;
  error: string | null;
  /** Of an image that is shown in the text. */
  url: string | null;
}

/** The email this is an answer to, and what it is marked with when this is sent. */
export interface Source {
  emailId: string;
  keyword: "$answered" | "$forwarded";
}

export interface Content {
  isRich: boolean;
  /** Cleaned; images of the message by `cid:`. Kept when plain text is chosen, so that nothing is lost by a look. */
  html: string;
  text: string;
}

export interface Start {
  identity: Identity;
  to?: Address[];
  cc?: Address[];
  bcc?: Address[];
  subject?: string;
  content: Content;
  attachments?: Attachment[];
  inReplyTo?: string[] | null;
  references?: string[] | null;
  source?: Source | null;
  emailId?: string | null;
  /** What was there before anything was written; without it: what is given here. */
  isChanged?: boolean;
}

export class Draft {
  readonly key: string;
  readonly identity: Signal<Identity>;
  readonly to: Signal<Address[]>;
  readonly cc: Signal<Address[]>;
  readonly bcc: Signal<Address[]>;
  /** What stands in an address field and is no chip yet. */
  readonly typed: Record<Field, Signal<string>> = { to: signal(""), cc: signal(""), bcc: signal("") };
  readonly subject: Signal<string>;
  readonly isRich: Signal<boolean>;
  readonly attachments: Signal<Upload[]>;
  readonly shape: Signal<WindowShape> = signal("open");
  readonly kept: Signal<Kept> = signal("empty");
  readonly problem: Signal<string | null> = signal(null);
  /** Addresses the server would not take. */
  readonly refused: Signal<string[]> = signal([]);
  readonly isSending: Signal<boolean> = signal(false);
  emailId: string | null;
  source: Source | null;
  inReplyTo: string[] | null;
  references: string[] | null;
  content: Content;
  /** It comes from the tab, not from the server. */
  isKept = false;
  /** Counts changes, so that a save knows whether it has all. */
  version = 0;
  initial: Written;
  onChange: () => void = () => undefined;
  /** Brings what is in the editor into `content`; and these of the editor that is shown, if one is. */
  readEditor: (() => void) | null = null;
  editorRoot: HTMLElement | null = null;
  /** The editor is there. */
  ready: Promise<void> = Promise.resolve();
  insertImages: ((images: readonly Upload[]) => void) | null = null;
  showText: (() => void) | null = null;

  constructor(start: Start, key: string) {
    this.key = key;
    this.identity = signal(start.identity);
    this.to = signal(start.to ?? []);
    this.cc = signal(start.cc ?? []);
    this.bcc = signal(start.bcc ?? []);
    this.subject = signal(start.subject ?? "");
    this.isRich = signal(start.content.isRich);
    this.content = start.content;
    this.attachments = signal((start.attachments ?? []).map((one) => ({ ...one, sent: null, error: null, url: null })));
    this.inReplyTo = start.inReplyTo ?? null;
    this.references = start.references ?? null;
    this.source = start.source ?? null;
    this.emailId = start.emailId ?? null;
    if (this.emailId) this.kept.value = "saved";
    this.initial = this.write();
  }

  /** A field, the text or an attachment is not what it was. */
  touch(): void {
    this.version++;
    if (this.kept.value !== "saving") this.kept.value = "changed";
    this.onChange();
  }

  change<T>(field: Signal<T>, value: T): void {
    if (Object.is(field.peek(), value)) return;
    batch(() => {
      field.value = value;
      this.problem.value = null;
      this.touch();
    });
  }

  /** What is there now is what it began with. */
  markPristine(): void {
    if (this.version === 0 && !this.isKept) this.initial = this.write();
  }

  write(): Written {
    const identity = this.identity.peek();
    return {
      identityId: identity.id,
      from: { name: identity.name || null, email: identity.email },
      replyTo: identity.replyTo,
      to: this.to.peek(),
      cc: this.cc.peek(),
      bcc: this.bcc.peek(),
      subject: this.subject.peek(),
      html: this.content.isRich ? this.content.html : null,
      text: this.content.text,
      attachments: this.attachments.peek(),
      inReplyTo: this.inReplyTo,
      references: this.references,
    };
  }

  isWorthSaving(): boolean {
    return isWorthSaving(this.write(), this.initial);
  }

  recipients(): Address[] {
    return [...this.to.peek(), ...this.cc.peek(), ...this.bcc.peek()];
  }

  isUploading(): boolean {
    return this.attachments.peek().some((one) => one.sent !== null);
  }

  updateAttachment(key: string, change: Partial<Upload>): void {
    this.attachments.value = this.attachments.peek().map((one) => (one.key === key ? { ...one, ...change } : one));
  }
}

let counter = 0;

export function makeKey(): string {
  return `${Date.now().toString(36)}${(counter++).toString(36)}${Math.random().toString(36).slice(2, 8)}`;
}
