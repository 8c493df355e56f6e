/** Asks before something is done that one may not have meant. */

import { Confirm } from "../ui/dialog.tsx";
import type { Doubt } from "./send.ts";
import { type ComposeText, t } from "./texts.ts";

const WORDS: Record<Doubt | "plain", [title: ComposeText, text: ComposeText, action: ComposeText]> = {
  forgotten: ["forgottenTitle", "forgottenText", "sendAnyway"],
  subject: ["emptySubjectTitle", "emptySubjectText", "sendAnyway"],
  plain: ["toPlainTitle", "toPlainText", "toPlain"],
};

export interface DoubtsProps {
  doubts: readonly (Doubt | "plain")[];
  onSure: () => void;
  onClose: () => void;
}

/** All in one dialog: who has read them once is not asked again. */
export function Doubts({ doubts, onSure, onClose }: DoubtsProps) {
  const first = WORDS[doubts[0] ?? "subject"];
  return (
    <Confirm
      title={t(first[0])}
      text={doubts.map((one) => t(WORDS[one][1])).join(" ")}
      action={t(first[2])}
      onConfirm={onSure}
      onClose={onClose}
    />
  );
}
