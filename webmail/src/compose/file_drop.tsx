/** Files dropped anywhere on the window are attached; images dropped on rich text are shown in it. */

import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import type { Draft } from "./draft.ts";
import { t } from "./texts.ts";
import { addFiles, isShowable } from "./uploads.ts";

export function FileDrop({ draft, children }: { draft: Draft; children: ComponentChildren }) {
  const isOver = useSignal(false);
  const hasFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
  const drop = (event: DragEvent) => {
    isOver.value = false;
    if (!hasFiles(event)) return;
    event.preventDefault();
    event.stopPropagation();
    takeFiles(
      draft,
      [...(event.dataTransfer?.files ?? [])],
      (event.target as Element).closest(".compose-rich") !== null,
    );
  };
  return (
    <div
      class={isOver.value ? "compose-body over" : "compose-body"}
      onDragOverCapture={(event) => {
        if (!hasFiles(event)) return;
        event.preventDefault();
        isOver.value = true;
      }}
      onDragLeave={(event) => {
        if (!event.currentTarget.contains(event.relatedTarget as Node | null)) isOver.value = false;
      }}
      onDropCapture={drop}
    >
      {children}
      {isOver.value && <div class="compose-drop">{t("dropHere")}</div>}
    </div>
  );
}

export function takeFiles(draft: Draft, files: readonly File[], isOnText: boolean): void {
  const images = isOnText && draft.insertImages ? files.filter(isShowable) : [];
  const others = files.filter((file) => !images.includes(file));
  if (others.length) addFiles(draft, others);
  if (images.length) draft.insertImages?.(addFiles(draft, images, true));
}
