import { t } from "../i18n/t.ts";
import { preferences } from "../state/preferences.ts";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";

export interface LabelsDialogProps {
  /** How many of the chosen messages have each label (by keyword): none when it is missing. */
  chosen: Record<string, "all" | "some">;
  onApply: (add: string[], remove: string[]) => void;
  onClose: () => void;
}

export default function LabelsDialog({ onApply, onClose }: LabelsDialogProps) {
  return (
    <Dialog title="Labels" onClose={onClose}>
      {preferences.value.labels.map((label) => (
        <Button key={label.keyword} onClick={() => onApply([label.keyword], [])}>
          {label.name}
        </Button>
      ))}
      <Button onClick={onClose}>{t("common.close")}</Button>
    </Dialog>
  );
}
