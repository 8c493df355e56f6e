/** Rich text: Squire in a box of ours, with a toolbar. The editor is loaded when the first one is shown. */

import { type Signal, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { Spinner } from "../ui/spinner.tsx";
import { readContent } from "./clean.ts";
import type { Draft, Upload } from "./draft.ts";
import type { Editor } from "./editor.ts";
import { FormatBar } from "./format_bar.tsx";
import { treeToText } from "./quote.ts";
import { t } from "./texts.ts";
import { addFiles, fileOfDataUrl, imageUrl, isShowable } from "./uploads.ts";

export function RichText({ draft }: { draft: Draft }) {
  const box = useRef<HTMLDivElement>(null);
  const editor = useSignal<Editor | null>(null);
  const path = useSignal("");
  useEffect(() => {
    const root = box.current!;
    let isGone = false;
    draft.ready = import("./editor.ts").then(({ Editor: Made }) => {
      if (isGone) return;
      const made = new Made(root);
      editor.value = made;
      attach(made, draft, path);
    });
    return () => {
      isGone = true;
      draft.readEditor?.();
      draft.readEditor = null;
      draft.editorRoot = null;
      draft.insertImages = null;
      editor.peek()?.destroy();
    };
  }, []);
  return (
    <div class="compose-text">
      <div class="compose-rich">
        {!editor.value && <Spinner isCentred />}
        <div
          ref={box}
          class="rich"
          role="textbox"
          tabIndex={0}
          aria-multiline="true"
          aria-label={t("message")}
          spellcheck
        />
      </div>
      <FormatBar editor={editor.value} path={path.value} />
    </div>
  );
}

function attach(editor: Editor, draft: Draft, path: Signal<string>): void {
  const root = editor.getRoot();
  editor.setHTML(draft.content.html || "<div><br></div>");
  showImages(root, draft.attachments.peek());
  editor.saveUndoState();
  draft.editorRoot = root;
  draft.readEditor = () => {
    const { html, tree } = readContent(root);
    draft.content = { isRich: true, html, text: treeToText(tree) };
  };
  draft.insertImages = (images) => {
    for (const image of images) editor.insertImage(imageUrl(image), { "data-cid": image.cid ?? "", alt: image.name });
  };
  draft.readEditor();
  draft.markPristine();
  editor.addEventListener("input", () => {
    takeDataImages(root, draft);
    draft.touch();
  });
  editor.addEventListener("pasteImage", (event) => pasteImages(event, draft));
  const readPath = () => {
    path.value = `${editor.getPath()} ${Date.now()}`;
  };
  editor.addEventListener("pathChange", readPath);
  editor.addEventListener("select", readPath);
  editor.moveCursorToStart();
  if (draft.to.peek().length) editor.focus();
  root.scrollTop = 0;
}

/** Images by Content-ID get an address from which the page may show them. */
function showImages(root: HTMLElement, attachments: readonly Upload[]): void {
  for (const image of root.querySelectorAll<HTMLImageElement>("img[data-cid]")) {
    const one = attachments.find((other) => other.cid === image.dataset["cid"]);
    if (one) image.src = imageUrl(one);
  }
}

function pasteImages(event: Event, draft: Draft): void {
  const data = (event as CustomEvent<{ clipboardData: DataTransfer }>).detail.clipboardData;
  const images = [...data.items].flatMap((item) => (item.kind === "file" ? (item.getAsFile() ?? []) : []));
  const shown = images.filter(isShowable);
  if (shown.length) draft.insertImages?.(addFiles(draft, shown, true));
}

/** What was pasted with its octets in the address becomes a part of the message. */
function takeDataImages(root: HTMLElement, draft: Draft): void {
  for (const image of root.querySelectorAll<HTMLImageElement>('img[src^="data:"]:not([data-remote])')) {
    const file = fileOfDataUrl(image.src);
    const [made] = file ? addFiles(draft, [file], true) : [];
    if (!made) image.remove();
    else {
      image.src = imageUrl(made);
      image.dataset["cid"] = made.cid ?? "";
    }
  }
}
