import { t } from "../i18n/t.ts";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";

export interface SnoozeDialogProps {
  onPick: (until: Date) => void;
  onClose: () => void;
}

const DAY_MS = 86_400_000;

export default function SnoozeDialog({ onPick, onClose }: SnoozeDialogProps) {
  return (
    <Dialog title="Snooze" onClose={onClose}>
      <Button onClick={() => onPick(new Date(Date.now() + DAY_MS))}>{t("common.ok")}</Button>
    </Dialog>
  );
}
