import { planSnoozeTimes } from "../compose/presets.ts";
import { TimePicker } from "../compose/time_picker.tsx";
import { t } from "./texts.ts";

export interface SnoozeDialogProps {
  onPick: (until: Date) => void;
  onClose: () => void;
}

export default function SnoozeDialog({ onPick, onClose }: SnoozeDialogProps) {
  return (
    <TimePicker
      title={t("snoozeTitle")}
      text={t("snoozeText")}
      action={t("snooze")}
      presets={planSnoozeTimes(new Date())}
      onPick={onPick}
      onClose={onClose}
    />
  );
}
