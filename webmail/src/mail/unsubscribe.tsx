// Leaving a mailing list: by one click where the list takes that (RFC 8058), by mail, or on the list's page.

import { useState } from "preact/hooks";
import { api } from "../api.ts";
import { complain } from "../complain.ts";
import { t } from "../i18n/t.ts";
import { compose } from "../state/compose.ts";
import { Confirm } from "../ui/dialog.tsx";
import { Icon } from "../ui/icon.tsx";
import { toast } from "../ui/toast.tsx";
import type { Details } from "./details.ts";
import { fullName } from "./people.ts";

export function Unsubscribe({ details }: { details: Details }) {
  const [isAsking, setAsking] = useState(false);
  const urls = details["header:List-Unsubscribe:asURLs"] ?? [];
  const page = urls.find((url) => url.startsWith("https:")) ?? urls.find((url) => url.startsWith("http:"));
  const mail = urls.find((url) => url.startsWith("mailto:"));
  if (!page && !mail) return null;
  const sender = fullName(details.from?.[0] ?? { name: null, email: "?" });
  return (
    <p class="list-line">
      <Icon name="users" size={16} />
      <button type="button" class="link" onClick={() => setAsking(true)}>
        {t("read.unsubscribe")}
      </button>
      {isAsking && (
        <Confirm
          title={t("read.unsubscribeTitle")}
          text={t("read.unsubscribeText", { sender })}
          action={t("read.unsubscribe")}
          onClose={() => setAsking(false)}
          onConfirm={() => void leave(details.id)}
        />
      )}
    </p>
  );
}

interface Answer {
  isDone: boolean;
  page: string;
  mail: string;
}

/** The server asks the list where one click is enough; else it tells what else to do. */
async function leave(emailId: string): Promise<void> {
  try {
    const answer = await api<Answer>("POST", "unsubscribe", { emailId });
    if (answer.isDone) toast(t("read.unsubscribed"));
    else if (answer.mail) composeLeaving(answer.mail);
    else if (answer.page) open(answer.page, "_blank", "noopener,noreferrer");
  } catch (error) {
    complain(error);
  }
}

/** What is sent is shown before it goes. */
function composeLeaving(mailto: string): void {
  const address = new URL(mailto);
  const fields = address.searchParams;
  const to = decodeURIComponent(address.pathname);
  const [subject, body] = [fields.get("subject") ?? "unsubscribe", fields.get("body") ?? ""];
  compose({ kind: "new", to, subject, body });
}
