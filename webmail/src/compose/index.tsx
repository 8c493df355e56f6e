/** Every open window to write in: docked at the foot on a desk, the whole screen on a phone. */

import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { type Composer, closeComposer, composers } from "../state/compose.ts";
import { toast } from "../ui/toast.tsx";
import "./compose.css";
import type { Draft } from "./draft.ts";
import { Keeper } from "./keeper.ts";
import { openRequest } from "./open.ts";
import { t } from "./texts.ts";
import { addFiles } from "./uploads.ts";
import { ComposeWindow } from "./window.tsx";

export interface Open {
  key: number;
  draft: Draft;
  keeper: Keeper;
}

const opened = signal<ReadonlyMap<number, Open>>(new Map());
const asked = new Set<number>();

export default function Composers() {
  const list = composers.value;
  useEffect(() => {
    for (const composer of list) if (!asked.has(composer.key)) void open(composer);
    const gone = [...opened.peek().keys()].filter((key) => !list.some((one) => one.key === key));
    if (gone.length) opened.value = new Map([...opened.peek()].filter(([key]) => !gone.includes(key)));
  }, [list]);
  const windows = list.flatMap(({ key }) => opened.value.get(key) ?? []);
  return (
    <div class="compose-dock">
      {windows.map((one) => (
        <ComposeWindow key={one.key} open={one} onShow={() => showAlone(one)} />
      ))}
    </div>
  );
}

async function open(composer: Composer): Promise<void> {
  asked.add(composer.key);
  const { request } = composer;
  const before = "emailId" in request && request.kind === "draft" ? findOpen(request.emailId) : undefined;
  if (before) {
    closeComposer(composer.key);
    showAlone(before);
    return;
  }
  try {
    const draft = await openRequest(request);
    const one = { key: composer.key, draft, keeper: new Keeper(draft) };
    opened.value = new Map([...opened.peek(), [composer.key, one]]);
    showAlone(one);
    if (request.kind === "new" && request.files?.length) addFiles(draft, request.files);
  } catch (error) {
    closeComposer(composer.key);
    toast(error instanceof Error && error.message ? error.message : t("openFailed"), { isError: true });
  }
}

function findOpen(emailId: string): Open | undefined {
  // With the last window this component goes, before it could clear away what is closed.
  const keys = composers.peek().map((one) => one.key);
  return [...opened.peek().values()].find((one) => keys.includes(one.key) && one.draft.emailId === emailId);
}

/** One is large at a time; as many small ones stand beside it as there is room for. */
function showAlone(shown: Open): void {
  for (const one of opened.peek().values()) {
    if (one !== shown && one.draft.shape.peek() !== "small") one.draft.shape.value = "small";
  }
  if (shown.draft.shape.peek() === "small") shown.draft.shape.value = "open";
}
