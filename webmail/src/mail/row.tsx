// A conversation in the list.

import { computed, signal, useComputed } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { locale } from "../i18n/index.ts";
import { t } from "../i18n/t.ts";
import type { EmailSummary, Id } from "../jmap/types.ts";
import { timesIn } from "../state/due.ts";
import { emailSignal, emailsOf } from "../state/emails.ts";
import { preferences } from "../state/preferences.ts";
import { chosen, cursor } from "../state/selection.ts";
import { session } from "../state/session.ts";
import { Avatar } from "../ui/avatar.tsx";
import { IconButton } from "../ui/button.tsx";
import { Icon } from "../ui/icon.tsx";
import { archive, remove, setSeen, toggleStar } from "./act.ts";
import { mediumDate, type SnippetPiece, shortDate } from "./format.ts";
import { memo } from "./memo.ts";
import { participantsOf, recipientsOf } from "./people.ts";
import { snippets } from "./snippets.ts";
import { view } from "./view.ts";

export interface RowProps {
  index: number;
  id: Id | undefined;
}

const own = computed(() => new Set((session.value?.account.addresses ?? []).map((address) => address.toLowerCase())));

export function ownAddresses(): ReadonlySet<string> {
  return own.value;
}

/** The row the mouse is over: only it has buttons of its own, which keeps the others light. */
export const hovered = signal(-1);

export const rowId = (index: number): string => `row-${index}`;

export const Row = memo(function Row({ index, id }: RowProps) {
  const email = id ? emailSignal(id).value : undefined;
  if (!id || !email) return <EmptyRow index={index} />;
  return <FullRow index={index} id={id} email={email} />;
});

function EmptyRow({ index }: { index: number }) {
  return (
    <div class="row waiting" role="row" aria-rowindex={index + 1} id={rowId(index)}>
      <span class="bone round" role="gridcell" aria-label={t("list.loading")} />
      <span class="row-text" role="presentation">
        <span class="bone" />
        <span class="bone wide" />
      </span>
    </div>
  );
}

function FullRow({ index, id, email }: { index: number; id: Id; email: EmailSummary }) {
  const mailbox = useComputed(() => view.value.mailbox?.id).value;
  const emails = conversationOf(email);
  const isUnread = emails.some((one) => !("$seen" in one.keywords) && isHere(one, mailbox));
  const isStarred = emails.some((one) => "$flagged" in one.keywords);
  const { threadId } = email;
  const isChosen = useComputed(() => chosen.value.has(id)).value;
  const isOpen = useComputed(() => view.value.threadId === threadId).value;
  const isAt = useComputed(() => cursor.value === index).value;
  const names = ["row", isUnread && "unread", isChosen && "chosen", isOpen && "open", isAt && "at"];
  const subject = email.subject || t("list.noSubject");
  const from = email.from?.[0];
  return (
    <div
      class={names.filter(Boolean).join(" ")}
      role="row"
      aria-rowindex={index + 1}
      aria-selected={isChosen}
      id={rowId(index)}
      data-index={index}
      draggable
    >
      <span class="row-mark" role="gridcell">
        <Avatar name={from?.name ?? null} email={from?.email ?? ""} />
        <label class="row-check">
          <input type="checkbox" checked={isChosen} tabIndex={-1} data-check={index} />
          <span class="unseen">
            {t("do.select")}: {subject}
          </span>
        </label>
      </span>
      <span class="row-text" role="gridcell">
        <span class="row-line">
          {isUnread && <span class="row-dot" role="img" aria-label={t("list.unread")} />}
          <span class="row-names">
            <Names email={email} emails={emails} />
          </span>
          {emails.length > 1 && (
            <span class="row-count" role="img" aria-label={t("list.messages", { n: emails.length })}>
              {emails.length}
            </span>
          )}
          <span class="row-facts">
            {email.hasAttachment && (
              <span role="img" aria-label={t("list.attachment")}>
                <Icon name="attach" size={14} />
              </span>
            )}
            <RowTime id={id} receivedAt={email.receivedAt} />
          </span>
        </span>
        <RowWords id={id} email={email} subject={subject} />
      </span>
      <span class="row-end" role="gridcell">
        <RowActions index={index} id={id} isUnread={isUnread} isStarred={isStarred} />
      </span>
    </div>
  );
}

/** When it came; of what waits, when it goes or comes back. */
function RowTime({ id, receivedAt }: { id: Id; receivedAt: string }) {
  const due = useComputed(() => timesIn(view.value.mailbox?.role).get(id)).value;
  const now = new Date();
  return (
    <time dateTime={due ?? receivedAt}>
      {due ? mediumDate(due, locale(), now) : shortDate(receivedAt, locale(), now)}
    </time>
  );
}

/** Those of the thread that are not in the trash, unless that is what is shown. */
function conversationOf(email: EmailSummary): EmailSummary[] {
  const all = emailsOf(email.threadId);
  return all.some((one) => one.id === email.id) ? all : [email];
}

function isHere(email: EmailSummary, mailboxId: Id | undefined): boolean {
  return !mailboxId || mailboxId in email.mailboxIds;
}

function Names({ email, emails }: { email: EmailSummary; emails: EmailSummary[] }) {
  const role = view.value.mailbox?.role;
  if (role === "sent" || role === "drafts" || role === "scheduled") {
    return <>{t("list.to", { names: recipientsOf(email) || "…" })}</>;
  }
  const people = participantsOf(emails, ownAddresses(), t("list.me"));
  if (people.length === 0) return <>{t("list.noSender")}</>;
  return (
    <>
      {people.map((one, at) => (
        <span key={one.name}>
          {at > 0 && ", "}
          {one.isDraft && one.name === t("list.me") ? (
            <span class="row-draft">{t("list.draft")}</span>
          ) : (
            <span class={one.isUnread && people.length > 1 ? "strong" : undefined}>{one.name}</span>
          )}
        </span>
      ))}
    </>
  );
}

function RowWords({ id, email, subject }: { id: Id; email: EmailSummary; subject: string }) {
  const snippet = view.value.search ? snippets.value.get(id) : undefined;
  return (
    <>
      <span class="row-line">
        <span class="row-subject">{snippet?.subject ? <Marked pieces={snippet.subject} /> : subject}</span>
        <RowLabels email={email} />
      </span>
      <span class="row-preview">{snippet?.preview ? <Marked pieces={snippet.preview} /> : email.preview}</span>
    </>
  );
}

function Marked({ pieces }: { pieces: readonly SnippetPiece[] }): ComponentChildren {
  return pieces.map((one, at) => (one.isMarked ? <mark key={at}>{one.text}</mark> : one.text));
}

export function RowLabels({ email }: { email: EmailSummary }) {
  const labels = preferences.value.labels.filter((label) => label.keyword in email.keywords);
  if (labels.length === 0) return null;
  return (
    <span class="row-labels">
      {labels.map((label) => (
        <span key={label.keyword} class="label-chip" style={{ "--label": label.colour }}>
          {label.name}
        </span>
      ))}
    </span>
  );
}

interface ActionsProps {
  index: number;
  id: Id;
  isUnread: boolean;
  isStarred: boolean;
}

function RowActions({ index, id, isUnread, isStarred }: ActionsProps) {
  const seen = isUnread ? "do.read" : "do.unread";
  const isHovered = useComputed(() => hovered.value === index).value;
  return (
    <>
      {isHovered && (
        <span class="row-hover">
          <IconButton size="small" icon="archive" label={t("do.archive")} tabIndex={-1} onClick={() => archive([id])} />
          <IconButton size="small" icon="trash" label={t("do.delete")} tabIndex={-1} onClick={() => remove([id])} />
          <IconButton
            size="small"
            icon={isUnread ? "read" : "unread"}
            label={t(seen)}
            tabIndex={-1}
            onClick={() => setSeen(isUnread, [id])}
          />
        </span>
      )}
      <IconButton
        size="small"
        class={isStarred ? "star on" : "star"}
        icon="star"
        isFilled={isStarred}
        label={t(isStarred ? "do.unstar" : "do.star")}
        aria-pressed={isStarred}
        tabIndex={-1}
        onClick={() => toggleStar([id])}
      />
    </>
  );
}
