// The open conversation: its messages from all mailboxes, oldest first.

import { useEffect, useRef, useState } from "preact/hooks";
import { t } from "../i18n/t.ts";
import { jmap } from "../jmap/client.ts";
import type { EmailSummary, GetAnswer, Id, Thread as ThreadObject } from "../jmap/types.ts";
import { setSeen } from "../state/actions.ts";
import { compose } from "../state/compose.ts";
import { completeThreads, emailsOf, takeThreads } from "../state/emails.ts";
import { list } from "../state/list.ts";
import { mailboxes, nameOf, placesOf } from "../state/mailboxes.ts";
import { Button, IconButton } from "../ui/button.tsx";
import { Icon } from "../ui/icon.tsx";
import { Menu } from "../ui/menu.tsx";
import { Spinner } from "../ui/spinner.tsx";
import * as act from "./act.ts";
import { detailsOf } from "./details.ts";
import { rowMenu } from "./menus.ts";
import { Message } from "./message.tsx";
import { focusedMessage, printMessages, unfolded } from "./reading.ts";
import { RowLabels } from "./row.tsx";
import { MoveMenu } from "./toolbar.tsx";
import { openThread, view } from "./view.ts";

const READ_AFTER_MS = 300;

export function Reading() {
  const { threadId } = view.value;
  if (!threadId) return <Nothing />;
  return <Conversation key={threadId} threadId={threadId} />;
}

function Nothing() {
  return (
    <div class="centre nothing">
      <span class="faint">
        <Icon name="mail" size={56} />
      </span>
      <p>{t("read.none")}</p>
      <p class="hint">{t("read.noneHint")}</p>
    </div>
  );
}

type Found = "asking" | "there" | "gone" | "failed";

function useThread(threadId: Id): Found {
  const [found, setFound] = useState<Found>(emailsOf(threadId).length ? "there" : "asking");
  useEffect(() => {
    let isOver = false;
    const load = async () => {
      const answer = await jmap.call<GetAnswer<ThreadObject>>("Thread/get", { ids: [threadId] });
      takeThreads(answer.list);
      await completeThreads([threadId]);
      if (!isOver) setFound(answer.list.length ? "there" : "gone");
    };
    load().catch(() => !isOver && setFound((before) => (before === "there" ? before : "failed")));
    return () => {
      isOver = true;
    };
  }, [threadId]);
  return found;
}

/** Messages of the trash are shown there; elsewhere they are only counted. */
function splitTrash(emails: readonly EmailSummary[]): { shown: EmailSummary[]; hidden: EmailSummary[] } {
  const role = view.value.mailbox?.role;
  if (role === "trash" || role === "junk") return { shown: [...emails], hidden: [] };
  const isAway = (email: EmailSummary) =>
    Object.keys(email.mailboxIds).every((id) => mailboxes.value.get(id)?.role === "trash");
  const shown = emails.filter((email) => !isAway(email));
  return shown.length ? { shown, hidden: emails.filter(isAway) } : { shown: [...emails], hidden: [] };
}

function Conversation({ threadId }: { threadId: Id }) {
  const found = useThread(threadId);
  const [showsTrash, setShowsTrash] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const emails = emailsOf(threadId);
  const { shown, hidden } = splitTrash(emails);
  useUnfolded(threadId, shown, found);
  useEffect(() => {
    box.current?.querySelector(".message.unfolded")?.scrollIntoView({ block: "nearest" });
  }, [found === "there"]);
  if (emails.length === 0) {
    if (found === "asking") return <Spinner isCentred />;
    return <p class="centre">{t(found === "failed" ? "read.failed" : "read.gone")}</p>;
  }
  const all = showsTrash ? emails : shown;
  const subject = all[0]?.subject || t("list.noSubject");
  return (
    <article class="reading" aria-label={t("read.label")}>
      <ReadingBar threadId={threadId} emails={all} />
      <div class="reading-scroll" ref={box}>
        <header class="reading-head">
          <h1>{subject}</h1>
          <Places emails={all} />
        </header>
        {hidden.length > 0 && !showsTrash && (
          <p class="notice">
            {t("read.trashHidden", { n: hidden.length })}
            <Button kind="plain" size="small" onClick={() => setShowsTrash(true)}>
              {t("read.show")}
            </Button>
          </p>
        )}
        {all.map((email, index) => (
          <Message key={email.id} email={email} isLast={index === all.length - 1} />
        ))}
        <Answers emails={all} />
      </div>
    </article>
  );
}

/** What is new and what came last is unfolded; reading marks it as read. */
function useUnfolded(threadId: Id, emails: readonly EmailSummary[], found: Found): void {
  const opened = useRef<Id | null>(null);
  const count = emails.length;
  useEffect(() => {
    if (count === 0 || (found === "asking" && count < 1)) return;
    const unread = emails.filter((email) => !("$seen" in email.keywords));
    const open = new Set(opened.current === threadId ? unfolded.peek() : []);
    for (const email of [...unread, emails.at(-1)!]) open.add(email.id);
    opened.current = threadId;
    unfolded.value = open;
    focusedMessage.value = null;
    if (unread.length === 0) return;
    const timer = setTimeout(() => {
      const rows = unread.map((email) => email.id);
      void setSeen({ rows, mailbox: null, isSingle: true }, true, true);
    }, READ_AFTER_MS);
    return () => clearTimeout(timer);
  }, [threadId, count, found]);
}

/** In a search, where the conversation lies; in a mailbox each message says it that lies elsewhere. */
function Places({ emails }: { emails: readonly EmailSummary[] }) {
  const places = view.value.mailbox ? [] : placesOf(emails);
  const keywords = Object.assign({}, ...emails.map((email) => email.keywords)) as Record<string, true>;
  return (
    <span class="places">
      {places.map((mailbox) => (
        <span key={mailbox.id} class="place">
          {nameOf(mailbox)}
        </span>
      ))}
      <RowLabels email={{ ...emails[0]!, keywords }} />
    </span>
  );
}

function ReadingBar({ threadId, emails }: { threadId: Id; emails: readonly EmailSummary[] }) {
  const row = act.rowOfThread(threadId) ?? emails.at(-1)!.id;
  const rows = [row];
  const role = view.value.mailbox?.role;
  const isLast = role === "trash" || role === "junk";
  const isStarred = emails.some((email) => "$flagged" in email.keywords);
  return (
    <div class="reading-bar" role="toolbar" aria-label={t("read.actions")}>
      <IconButton class="back" icon="arrowLeft" label={t("common.back")} keys="u" onClick={() => openThread(null)} />
      <IconButton icon="archive" label={t("do.archive")} keys="e" onClick={() => void act.archive(rows)} />
      {role === "junk" ? (
        <IconButton icon="inbox" label={t("do.notJunk")} onClick={() => void act.markNotJunk(rows)} />
      ) : (
        <IconButton icon="junk" label={t("do.junk")} keys="!" onClick={() => void act.markJunk(rows)} />
      )}
      <IconButton
        icon="trash"
        label={t(isLast ? "do.deleteForever" : "do.delete")}
        keys="#"
        onClick={() => void act.remove(rows)}
      />
      <span class="bar-line" />
      <IconButton
        class="desk-only"
        icon="unread"
        label={t("do.unread")}
        keys="Shift+U"
        onClick={() => void markUnread(rows)}
      />
      <IconButton icon="clock" label={t("do.snooze")} keys="b" onClick={() => void act.ask("snooze", rows)} />
      <MoveMenu rows={rows} />
      <IconButton
        class="wide-only"
        icon="tag"
        label={t("do.label")}
        keys="l"
        onClick={() => void act.ask("labels", rows)}
      />
      <IconButton
        icon="star"
        class={isStarred ? "star on" : "star"}
        isFilled={isStarred}
        aria-pressed={isStarred}
        label={t(isStarred ? "do.unstar" : "do.star")}
        keys="s"
        onClick={() => void act.toggleStar(rows)}
      />
      <span class="bar-room" />
      <span class="desk-only">
        <Neighbours threadId={threadId} />
      </span>
      <IconButton
        icon="print"
        class="wide-only"
        label={t("do.print")}
        onClick={() => void printMessages(emails.map((email) => email.id))}
      />
      <Menu label={t("read.actions")} items={rowMenu(rows)} />
    </div>
  );
}

/** Back to the list: staying would mark it as read again. */
async function markUnread(rows: readonly Id[]): Promise<void> {
  openThread(null);
  await act.setSeen(false, rows);
}

function Neighbours({ threadId }: { threadId: Id }) {
  const row = act.rowOfThread(threadId);
  const index = row ? list.value.ids.indexOf(row) : -1;
  const step = (by: number) => {
    const id = list.peek().ids[index + by];
    if (id) act.openRowAt(index + by);
  };
  if (index < 0) return null;
  return (
    <>
      <IconButton icon="chevronUp" label={t("read.prev")} keys="k" disabled={index === 0} onClick={() => step(-1)} />
      <IconButton
        icon="chevronDown"
        label={t("read.next")}
        keys="j"
        disabled={index >= list.value.ids.length - 1}
        onClick={() => step(1)}
      />
    </>
  );
}

function Answers({ emails }: { emails: readonly EmailSummary[] }) {
  const last = emails.findLast((email) => !("$draft" in email.keywords));
  if (!last) return null;
  const copies = detailsOf(last.id).value.email?.cc ?? [];
  const isToMany = (last.to?.length ?? 0) + copies.length > 1;
  return (
    <div class="answers">
      <Button icon="reply" onClick={() => compose({ kind: "reply", emailId: last.id })}>
        {t("do.reply")}
      </Button>
      {isToMany && (
        <Button icon="replyAll" onClick={() => compose({ kind: "replyAll", emailId: last.id })}>
          {t("do.replyAll")}
        </Button>
      )}
      <Button icon="forward" onClick={() => compose({ kind: "forward", emailId: last.id })}>
        {t("do.forward")}
      </Button>
    </div>
  );
}
