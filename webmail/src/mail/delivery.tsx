// What became of a message that was sent: one line for each recipient.

import { useEffect, useState } from "preact/hooks";
import { locale } from "../i18n/index.ts";
import { t } from "../i18n/t.ts";
import { onStates } from "../jmap/push.ts";
import type { DeliveryTime, EmailSubmission, Id } from "../jmap/types.ts";
import { compose } from "../state/compose.ts";
import { session } from "../state/session.ts";
import { Button } from "../ui/button.tsx";
import { Icon, type IconName } from "../ui/icon.tsx";
import { loadSubmissions } from "./details.ts";
import { mediumDate } from "./format.ts";
import { openThread, view } from "./view.ts";

interface Fate {
  icon: IconName;
  kind: "good" | "bad" | "waiting";
  text: string;
}

export function tellFate(time: DeliveryTime | undefined, delivered: string | undefined, reply: string): Fate {
  const when = time?.at ? mediumDate(time.at, locale(), new Date()) : "";
  if (delivered === "no")
    return { icon: "warning", kind: "bad", text: t("delivery.failed", { reason: time?.reply || reply }) };
  if (delivered === "yes" || /^(delivered|relayed|sent)/.test(time?.outcome ?? "")) {
    const text = time?.nextHop
      ? t("delivery.delivered", { where: time.nextHop, when })
      : t("delivery.deliveredHere", { when });
    return { icon: "check", kind: "good", text };
  }
  return { icon: "clock", kind: "waiting", text: t(delivered === "unknown" ? "delivery.unknown" : "delivery.queued") };
}

export function Delivery({ emailId }: { emailId: Id }) {
  const [submissions, setSubmissions] = useState<EmailSubmission[]>([]);
  useEffect(() => {
    const load = () => loadSubmissions(emailId).then(setSubmissions, () => undefined);
    void load();
    return onStates((states) => {
      if (states["EmailSubmission"]) void load();
    });
  }, [emailId]);
  const [latest] = submissions;
  if (!latest) return null;
  const recipients = [
    ...new Set([...Object.keys(latest.deliveryStatus ?? {}), ...Object.keys(latest.deliveryTimes ?? {})]),
  ];
  return (
    <section class="delivery" aria-label={t("delivery.title")}>
      {latest.undoStatus === "pending" && <Waiting emailId={emailId} sendAt={latest.sendAt} />}
      {latest.undoStatus !== "pending" && recipients.length > 0 && (
        <ul>
          {recipients.map((recipient) => {
            const status = latest.deliveryStatus?.[recipient];
            const fate = tellFate(latest.deliveryTimes?.[recipient], status?.delivered, status?.smtpReply ?? "");
            return (
              <li key={recipient} class={fate.kind}>
                <Icon name={fate.icon} size={16} />
                <span>{recipient}</span>
                <span class="fate">{fate.text}</span>
              </li>
            );
          })}
        </ul>
      )}
    </section>
  );
}

const SLACK_MS = 5000;

/** What is held for undoing goes in a moment; what has its time says it. Both can be stopped and written on. */
function Waiting({ emailId, sendAt }: { emailId: Id; sendAt: string }) {
  const heldMs = (session.value?.server.undoSeconds ?? 0) * 1000;
  const isLater = Date.parse(sendAt) - Date.now() > heldMs + SLACK_MS;
  const write = () => {
    // As a draft it is another message, in another mailbox.
    if (view.peek().mailbox?.role === "scheduled") openThread(null);
    compose({ kind: "scheduled", emailId });
  };
  return (
    <p class="notice">
      <Icon name={isLater ? "schedule" : "send"} size={16} />
      <span>
        {isLater ? t("delivery.pending", { when: mediumDate(sendAt, locale(), new Date()) }) : t("delivery.sending")}
      </span>
      <Button size="small" onClick={write}>
        {t(isLater ? "do.editScheduled" : "common.undo")}
      </Button>
    </p>
  );
}
