import { jmap } from "../jmap/client.ts";
import { planSendTimes } from "./presets.ts";
import { t } from "./texts.ts";
import { TimePicker } from "./time_picker.tsx";

const SUBMISSION = "urn:ietf:params:jmap:submission";

export function SendLater({ onPick, onClose }: { onPick: (at: Date) => void; onClose: () => void }) {
  const now = new Date();
  const most = maxDelay();
  return (
    <TimePicker
      title={t("laterTitle")}
      text={t("laterText")}
      action={t("schedule")}
      presets={planSendTimes(now)}
      latest={most ? new Date(+now + most * 1000) : null}
      onPick={onPick}
      onClose={onClose}
    />
  );
}

/** Seconds; 0: not said. */
function maxDelay(): number {
  const account = jmap.session?.accounts[jmap.accountId] as {
    accountCapabilities?: Record<string, { maxDelayedSend?: number }>;
  };
  return account?.accountCapabilities?.[SUBMISSION]?.maxDelayedSend ?? 0;
}
