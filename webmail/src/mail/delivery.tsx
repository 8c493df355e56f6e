// What became of a message that was sent: one line for each recipient.

import { useEffect, useState } from "preact/hooks";
import { locale } from "../i18n/index.ts";
import { t } from "../i18n/t.ts";
import { jmap } from "../jmap/client.ts";
import { onStates } from "../jmap/push.ts";
import type { DeliveryTime, EmailSubmission, Id, SetAnswer } from "../jmap/types.ts";
import { Button } from "../ui/button.tsx";
import { Icon, type IconName } from "../ui/icon.tsx";
import { toast } from "../ui/toast.tsx";
import { loadSubmissions } from "./details.ts";
import { mediumDate } from "./format.ts";

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
      {latest.undoStatus === "pending" && (
        <p>
          <Icon name="clock" size={16} />
          {t("delivery.pending", { when: mediumDate(latest.sendAt, locale(), new Date()) })}
          <Button size="small" onClick={() => void stop(latest.id)}>
            {t("delivery.undo")}
          </Button>
        </p>
      )}
      {recipients.length > 0 && (
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

async function stop(id: Id): Promise<void> {
  const update = { [id]: { undoStatus: "canceled" } };
  const answer = await jmap.call<SetAnswer>("EmailSubmission/set", { update });
  const failure = answer.notUpdated?.[id];
  if (failure) toast(t("action.failed", { reason: failure.description || failure.type }), { isError: true });
  else toast(t("delivery.stopped"));
}
