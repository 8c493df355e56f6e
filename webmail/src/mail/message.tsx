// One message: a line when folded; head, body and attachments when not. The body is a page of its own in a frame
// without scripts and without our origin (/view); nothing of it gets into this page.

import { useEffect, useState } from "preact/hooks";
import { locale } from "../i18n/index.ts";
import { t } from "../i18n/t.ts";
import { jmap } from "../jmap/client.ts";
import type { EmailAddress, EmailSummary, Id } from "../jmap/types.ts";
import { writeValue } from "../search/parse.ts";
import { setStar } from "../state/actions.ts";
import { compose } from "../state/compose.ts";
import { returnTimes } from "../state/due.ts";
import { byRole, nameOf, placesOf } from "../state/mailboxes.ts";
import { isDark, preferences, setPreferences } from "../state/preferences.ts";
import { Avatar } from "../ui/avatar.tsx";
import { Button, IconButton } from "../ui/button.tsx";
import { Icon } from "../ui/icon.tsx";
import { Menu, type MenuEntry } from "../ui/menu.tsx";
import { unsnooze } from "./act.ts";
import { Attachments } from "./attachments.tsx";
import { CalendarCard } from "./calendar_card.tsx";
import { Delivery } from "./delivery.tsx";
import { type Details, detailsOf, retryFailed } from "./details.ts";
import { longDate, mediumDate } from "./format.ts";
import { fullName, listNames } from "./people.ts";
import { printMessages, toggleFold, unfolded } from "./reading.ts";
import { ownAddresses } from "./row.tsx";
import { SourceDialog } from "./source.tsx";
import { Unsubscribe } from "./unsubscribe.tsx";
import { openSearch, view } from "./view.ts";

export function Message({ email, isLast }: { email: EmailSummary; isLast: boolean }) {
  const isOpen = unfolded.value.has(email.id);
  const names = ["message", isOpen ? "unfolded" : "folded", isLast && "last"];
  return (
    <article
      id={`message-${email.id}`}
      class={names.filter(Boolean).join(" ")}
      tabIndex={-1}
      aria-label={`${fullName(email.from?.[0] ?? { name: "", email: "?" })}, ${mediumDate(email.receivedAt, locale(), new Date())}`}
    >
      {isOpen ? <OpenMessage email={email} /> : <FoldedMessage email={email} />}
    </article>
  );
}

function FoldedMessage({ email }: { email: EmailSummary }) {
  const from = email.from?.[0] ?? { name: null, email: "?" };
  return (
    <button type="button" class="message-line" aria-expanded="false" onClick={() => toggleFold(email.id)}>
      <Avatar name={from.name} email={from.email} size={32} />
      <span class="message-who">{ownAddresses().has(from.email.toLowerCase()) ? t("list.me") : fullName(from)}</span>
      {"$draft" in email.keywords && <span class="row-draft">{t("list.draft")}</span>}
      <span class="message-preview">{email.preview}</span>
      <Elsewhere email={email} />
      {email.hasAttachment && <Icon name="attach" size={14} />}
      <time dateTime={email.receivedAt}>{mediumDate(email.receivedAt, locale(), new Date())}</time>
    </button>
  );
}

function OpenMessage({ email }: { email: EmailSummary }) {
  const { email: details, error } = detailsOf(email.id).value;
  const isDraft = "$draft" in email.keywords;
  return (
    <>
      <MessageHead email={email} details={details} />
      {isDraft && <DraftNotice emailId={email.id} />}
      <SnoozeNotice emailId={email.id} />
      {isSent(email) && !isDraft && <Delivery emailId={email.id} />}
      {error && (
        <p class="notice" role="alert">
          {t(error === "gone" ? "read.gone" : "read.failed")}
          {error === "failed" && (
            <Button size="small" onClick={retryFailed}>
              {t("app.retry")}
            </Button>
          )}
        </p>
      )}
      {details && <Unsubscribe details={details} />}
      {details && <CalendarCard details={details} />}
      {!error && <Body email={email} details={details} />}
      {details && <Attachments details={details} />}
    </>
  );
}

function isSent(email: EmailSummary): boolean {
  const roles = ["sent", "scheduled"].map((role) => byRole(role)?.id);
  return roles.some((id) => id !== undefined && id in email.mailboxIds);
}

function DraftNotice({ emailId }: { emailId: Id }) {
  return (
    <p class="notice">
      {t("list.draft")}
      <Button size="small" icon="compose" onClick={() => compose({ kind: "draft", emailId })}>
        {t("do.editDraft")}
      </Button>
    </p>
  );
}

function SnoozeNotice({ emailId }: { emailId: Id }) {
  const until = returnTimes.value.get(emailId);
  if (!until) return null;
  return (
    <p class="notice">
      <Icon name="clock" size={16} />
      {t("read.snoozed", { when: mediumDate(until, locale(), new Date()) })}
      <Button size="small" onClick={() => void unsnooze([emailId])}>
        {t("do.unsnooze")}
      </Button>
    </p>
  );
}

/** Mailboxes it lies in besides the one that is shown. That what I wrote lies in Sent, or waits, is no news. */
function Elsewhere({ email }: { email: EmailSummary }) {
  const here = view.value.mailbox?.id;
  if (!here || here in email.mailboxIds) return null;
  return placesOf([email]).map((mailbox) => (
    <span key={mailbox.id} class="place">
      {nameOf(mailbox)}
    </span>
  ));
}

function MessageHead({ email, details }: { email: EmailSummary; details: Details | null }) {
  const [isFull, setFull] = useState(false);
  const from = email.from?.[0] ?? { name: null, email: "?" };
  const own = ownAddresses();
  const to = listNames([...(email.to ?? []), ...(details?.cc ?? [])], own, t("read.me"));
  return (
    <header class="message-head">
      <button
        type="button"
        class="message-fold"
        aria-expanded="true"
        aria-label={t("read.hideDetails")}
        onClick={() => toggleFold(email.id)}
      >
        <Avatar name={from.name} email={from.email} size={40} />
      </button>
      <div class="message-names">
        <span class="message-from">
          <strong>{fullName(from)}</strong> {from.name && <span class="hint">{from.email}</span>}
        </span>
        <button type="button" class="message-to" aria-expanded={isFull} onClick={() => setFull(!isFull)}>
          {t("read.toOthers", { names: to || "…" })}
          <Icon name={isFull ? "chevronUp" : "chevronDown"} size={14} />
          <span class="unseen">{t(isFull ? "read.hideDetails" : "read.details")}</span>
        </button>
      </div>
      <div class="message-when">
        <Elsewhere email={email} />
        <time dateTime={email.receivedAt} data-tooltip={longDate(email.receivedAt, locale())}>
          {mediumDate(email.receivedAt, locale(), new Date())}
        </time>
      </div>
      <div class="message-tools">
        <MessageTools email={email} details={details} />
      </div>
      {isFull && <HeadFields email={email} details={details} />}
    </header>
  );
}

function MessageTools({ email, details }: { email: EmailSummary; details: Details | null }) {
  const [shows, setShows] = useState<"" | "headers" | "source">("");
  const isStarred = "$flagged" in email.keywords;
  return (
    <>
      <IconButton
        icon="star"
        class={isStarred ? "star on" : "star"}
        isFilled={isStarred}
        aria-pressed={isStarred}
        label={t(isStarred ? "do.unstar" : "do.star")}
        onClick={() => void setStar({ rows: [email.id], mailbox: null, isSingle: true }, !isStarred)}
      />
      <IconButton icon="reply" label={t("do.reply")} onClick={() => compose({ kind: "reply", emailId: email.id })} />
      <Menu label={t("read.actions")} items={messageMenu(email, details, setShows)} />
      {shows && details && <SourceDialog details={details} kind={shows} onClose={() => setShows("")} />}
    </>
  );
}

function messageMenu(
  email: EmailSummary,
  details: Details | null,
  show: (what: "headers" | "source") => void,
): MenuEntry[] {
  const emailId = email.id;
  const sender = email.from?.[0]?.email;
  const isList = (details?.["header:List-Post:asURLs"]?.length ?? 0) > 0;
  const save = () => {
    if (!details) return;
    const link = document.createElement("a");
    link.href = jmap.downloadUrl(details.blobId, `${email.subject || "message"}.eml`, "message/rfc822");
    link.download = "";
    link.click();
  };
  const list: MenuEntry[] = isList
    ? [{ label: t("do.replyList"), icon: "users", run: () => compose({ kind: "replyList", emailId }) }]
    : [];
  const like: MenuEntry[] = sender
    ? [{ label: t("do.filterLike"), icon: "search", run: () => openSearch(`from:${writeValue(sender)}`) }]
    : [];
  return [
    { label: t("do.replyAll"), icon: "replyAll", run: () => compose({ kind: "replyAll", emailId }) },
    ...list,
    { label: t("do.forward"), icon: "forward", run: () => compose({ kind: "forward", emailId }) },
    { label: t("do.forwardAttached"), icon: "attach", run: () => compose({ kind: "forwardAttached", emailId }) },
    "line",
    ...like,
    { label: t("do.print"), icon: "print", run: () => void printMessages([emailId]) },
    { label: t("do.headers"), icon: "info", run: () => show("headers") },
    { label: t("do.source"), icon: "file", run: () => show("source") },
    { label: t("do.saveMessage"), icon: "download", run: save },
  ];
}

function HeadFields({ email, details }: { email: EmailSummary; details: Details | null }) {
  const fields: [string, EmailAddress[] | null | undefined][] = [
    [t("read.from"), email.from],
    [t("read.replyTo"), details?.replyTo],
    [t("read.to"), email.to],
    [t("read.cc"), details?.cc],
    [t("read.bcc"), details?.bcc],
  ];
  return (
    <dl class="head-fields">
      {fields.map(([name, addresses]) =>
        addresses?.length ? (
          <div key={name}>
            <dt>{name}</dt>
            <dd>
              {addresses.map((one) => (
                <button
                  key={one.email}
                  type="button"
                  class="address"
                  data-tooltip={t("read.addContact", { name: one.email })}
                  onClick={() => compose({ kind: "new", to: one.name ? `${one.name} <${one.email}>` : one.email })}
                >
                  {one.name ? `${one.name} <${one.email}>` : one.email}
                </button>
              ))}
            </dd>
          </div>
        ) : null,
      )}
      <div>
        <dt>{t("read.date")}</dt>
        <dd>{longDate(details?.sentAt ?? email.receivedAt, locale())}</dd>
      </div>
    </dl>
  );
}

const SANDBOX = "allow-popups allow-popups-to-escape-sandbox";

/** Pictures from elsewhere are asked for by the server's proxy, and only when the reader wants them. */
function Body({ email, details }: { email: EmailSummary; details: Details | null }) {
  const sender = email.from?.[0]?.email.toLowerCase() ?? "";
  const isAllowed = preferences.value.imageSenders.includes(sender);
  const [showsOnce, setShowsOnce] = useState(false);
  const [loaded, setLoaded] = useState("");
  const images = isAllowed || showsOnce;
  const isHtml = details?.htmlBody.some((part) => part.type === "text/html") ?? false;
  const path = `/view/${encodeURIComponent(jmap.accountId)}/${encodeURIComponent(email.id)}`;
  const address = `${path}?images=${images ? 1 : 0}&dark=${isDark.value ? 1 : 0}`;
  const blocked = useBlocked(isHtml && !images ? address : "");
  return (
    <div class="message-body">
      {blocked > 0 && !images && (
        <div class="notice" role="status">
          <Icon name="image" size={18} />
          <span>{t("read.images")}</span>
          <Button size="small" onClick={() => setShowsOnce(true)}>
            {t("read.imagesOnce")}
          </Button>
          {sender && (
            <Button
              size="small"
              kind="plain"
              onClick={() => setPreferences({ imageSenders: [...preferences.peek().imageSenders, sender] })}
            >
              {t("read.imagesAlways")}
            </Button>
          )}
        </div>
      )}
      <iframe
        class={loaded === address ? "frame" : "frame waiting"}
        sandbox={SANDBOX}
        src={address}
        title={t("read.body")}
        onLoad={() => setLoaded(address)}
      />
    </div>
  );
}

/** How many pictures were left out: the answer's head tells, the frame cannot. */
function useBlocked(address: string): number {
  const [blocked, setBlocked] = useState(0);
  useEffect(() => {
    if (!address) return;
    const stop = new AbortController();
    fetch(address, { method: "HEAD", signal: stop.signal, headers: { "X-Posthouse": "1" } }).then(
      (answer) => setBlocked(Number(answer.headers.get("X-Blocked-Images") ?? 0)),
      () => undefined,
    );
    return () => stop.abort();
  }, [address]);
  return blocked;
}
