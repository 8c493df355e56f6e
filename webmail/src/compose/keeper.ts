/**
 * Keeps a draft: at once in the tab (safe_copy.ts), a little later on the server. A save makes a new email in Drafts and
 * destroys the one before in the same call (RFC 8621 §4.6: an email's text never changes), so that at no time there is
 * none. Attachments taken from the email before are looked up in the new one, as the old one's are gone.
 */

import { jmap } from "../jmap/client.ts";
import type { Email, GetAnswer, SetAnswer } from "../jmap/types.ts";
import { mailboxOf } from "./account.ts";
import { CLEAN, noteChange, noteFailure, noteSaved, noteStart, planSave, type SaveState } from "./autosave.ts";
import type { Draft } from "./draft.ts";
import { makeEmail } from "./message.ts";
import { dropCopy, keepCopy, makeCopy } from "./safe_copy.ts";
import { t } from "./texts.ts";

const COPY_MS = 250;

export class SaveFailed extends Error {
  readonly type: string;

  constructor(type: string, text: string) {
    super(text);
    this.type = type;
  }
}

export class Keeper {
  readonly #draft: Draft;
  #state: SaveState = CLEAN;
  #timer = 0;
  #copyTimer = 0;
  #running: Promise<void> = Promise.resolve();
  #isOver = false;

  constructor(draft: Draft) {
    this.#draft = draft;
    draft.onChange = () => this.#noteChange();
    document.addEventListener("visibilitychange", this.#onHidden);
    addEventListener("pagehide", this.#onLeave);
    addEventListener("beforeunload", this.#onUnload);
    if (draft.isKept) this.#noteChange();
  }

  /** Nothing is saved any more; `isDone`: and the copy in the tab goes. */
  stop(isDone: boolean): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#copyTimer);
    document.removeEventListener("visibilitychange", this.#onHidden);
    removeEventListener("pagehide", this.#onLeave);
    removeEventListener("beforeunload", this.#onUnload);
    this.#draft.onChange = () => undefined;
    if (isDone) dropCopy(sessionStorage, this.#draft.key);
  }

  /** Saves what is not saved, and waits for it. Raises what went wrong. */
  async saveNow(): Promise<void> {
    this.#draft.readEditor?.();
    await this.#running.catch(() => undefined);
    if (this.#isOver || this.#state.firstChange === null) return;
    await this.#save();
  }

  /** Waits for a save that is on its way, so that nothing else works on the draft's email. */
  async settle(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#running.catch(() => undefined);
  }

  keepNow(): void {
    clearTimeout(this.#copyTimer);
    this.#copyTimer = 0;
    if (this.#isOver || this.#state.firstChange === null) return;
    this.#draft.readEditor?.();
    keepCopy(sessionStorage, this.#draft.key, makeCopy(this.#draft, jmap.accountId));
  }

  #noteChange(): void {
    if (this.#isOver) return;
    this.#state = noteChange(this.#state, Date.now());
    this.#copyTimer ||= window.setTimeout(() => this.keepNow(), COPY_MS);
    this.#plan();
  }

  #plan(): void {
    clearTimeout(this.#timer);
    const at = planSave(this.#state);
    if (at === null || this.#isOver) return;
    this.#timer = window.setTimeout(() => void this.#saveQuietly(), Math.max(0, at - Date.now()));
  }

  async #saveQuietly(): Promise<void> {
    if (this.#draft.isSending.peek()) return;
    await this.#save().catch(() => undefined);
  }

  #save(): Promise<void> {
    this.#running = this.#saveOnce();
    return this.#running;
  }

  async #saveOnce(): Promise<void> {
    const draft = this.#draft;
    draft.readEditor?.();
    if (!draft.emailId && !draft.isWorthSaving()) {
      this.#state = CLEAN;
      draft.kept.value = "empty";
      return;
    }
    this.#state = noteStart(this.#state);
    draft.kept.value = "saving";
    try {
      await saveDraft(draft);
      this.#state = noteSaved(this.#state);
      if (this.#state.firstChange === null) dropCopy(sessionStorage, draft.key);
      draft.kept.value = this.#state.firstChange === null ? "saved" : "changed";
    } catch (error) {
      this.#state = noteFailure(this.#state, Date.now());
      draft.kept.value = "failed";
      throw error;
    } finally {
      this.#plan();
    }
  }

  readonly #onHidden = (): void => {
    if (document.visibilityState !== "hidden") return;
    this.keepNow();
    if (this.#state.firstChange !== null && !this.#state.isSaving) void this.#saveQuietly();
  };

  readonly #onLeave = (): void => this.keepNow();

  readonly #onUnload = (event: BeforeUnloadEvent): void => {
    this.keepNow();
    // Files on their way are the one thing that a reload loses.
    if (this.#draft.isUploading()) event.preventDefault();
  };
}

export interface Saved {
  id: string;
}

/** Into Drafts, in the place of what was there. */
export async function saveDraft(draft: Draft): Promise<void> {
  const drafts = await mailboxOf("drafts");
  const old = draft.emailId;
  const set = { create: { draft: makeEmail(draft.write(), drafts) }, destroy: old ? [old] : null };
  const answer = await jmap.call<SetAnswer<Email>>("Email/set", set);
  const made = answer.created?.["draft"]?.id;
  if (!made) {
    const error = answer.notCreated?.["draft"];
    throw new SaveFailed(error?.type ?? "serverFail", error?.description ?? t("saveFailed"));
  }
  draft.emailId = made;
  if (draft.attachments.peek().some((one) => one.blobId && !one.blobId.startsWith("U"))) await renewBlobs(draft, made);
}

/** The parts of the email before are those of this one, in the same order. */
async function renewBlobs(draft: Draft, emailId: string): Promise<void> {
  const ask = { ids: [emailId], properties: ["attachments"], bodyProperties: ["blobId", "name", "cid", "type"] };
  const { list } = await jmap.call<GetAnswer<Email>>("Email/get", ask);
  const parts = [...(list[0]?.attachments ?? [])];
  draft.attachments.value = draft.attachments.peek().map((one) => {
    const at = parts.findIndex((part) =>
      one.cid ? part.cid === one.cid : part.name === one.name && part.type === one.type,
    );
    const part = at < 0 ? undefined : parts.splice(at, 1)[0];
    return part?.blobId ? { ...one, blobId: part.blobId } : one;
  });
}

export async function destroyDraft(draft: Draft): Promise<void> {
  if (!draft.emailId) return;
  await jmap.call<SetAnswer>("Email/set", { destroy: [draft.emailId] });
  draft.emailId = null;
}
