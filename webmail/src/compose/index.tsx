/** Every open window to write in: docked at the foot on a desk, the whole screen on a phone. */

import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { type ComposeRequest, type Composer, closeComposer, composers } from "../state/compose.ts";
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
        <ComposeWindow key={one.key} open={one} onShow={() => makeRoom(one)} />
      ))}
    </div>
  );
}

async function open(composer: Composer): Promise<void> {
  asked.add(composer.key);
  const { request } = composer;
  const before = findOpen(request);
  if (before) {
    closeComposer(composer.key);
    makeRoom(before);
    return;
  }
  try {
    const draft = await openRequest(request);
    const one = { key: composer.key, draft, keeper: new Keeper(draft) };
    opened.value = new Map([...opened.peek(), [composer.key, one]]);
    makeRoom(one);
    if (request.kind === "new" && request.files?.length) addFiles(draft, request.files);
  } catch (error) {
    closeComposer(composer.key);
    toast(error instanceof Error && error.message ? error.message : t("openFailed"), { isError: true });
  }
}

/** What is open already is not opened twice. */
function findOpen(request: ComposeRequest): Open | undefined {
  // With the last window this component goes, before it could clear away what is closed.
  const keys = composers.peek().map((one) => one.key);
  const open = [...opened.peek().values()].filter((one) => keys.includes(one.key));
  if (request.kind === "kept") return open.find((one) => one.draft.key === request.copy);
  return request.kind === "draft" ? open.find((one) => one.draft.emailId === request.emailId) : undefined;
}

const ROOM = 580;

/** As many are large as there is room for; the others, those opened first, get small. */
function makeRoom(shown: Open): void {
  const most = Math.max(1, Math.floor(innerWidth / ROOM));
  const large = [...opened.peek().values()].filter((one) => one !== shown && one.draft.shape.peek() !== "small");
  for (const one of large.slice(0, Math.max(0, large.length + 1 - most))) one.draft.shape.value = "small";
  if (shown.draft.shape.peek() === "small") shown.draft.shape.value = "open";
}
