/**
 * The editor of messages, for a signature: rich text and the bare text of it. Loaded when it is first shown. What comes
 * in is cleaned as in a message (compose/clean.ts), and once more when it is put into one.
 */

import { useSignal } from "@preact/signals";
import { useEffect, useId, useRef } from "preact/hooks";
import { readContent } from "../compose/clean.ts";
import "../compose/compose.css";
import { Editor } from "../compose/editor.ts";
import { FormatBar } from "../compose/format_bar.tsx";
import { treeToText } from "../compose/quote.ts";
import { t } from "./texts.ts";

export interface SignatureEditorProps {
  /** To begin with. */
  html: string;
  onChange: (html: string, text: string) => void;
}

export default function SignatureEditor({ html, onChange }: SignatureEditorProps) {
  const box = useRef<HTMLDivElement>(null);
  const editor = useSignal<Editor | null>(null);
  const path = useSignal("");
  const id = useId();
  useEffect(() => {
    const root = box.current!;
    const made = new Editor(root);
    made.setHTML(html || "<div><br></div>");
    made.saveUndoState();
    made.addEventListener("input", () => {
      const { html, tree } = readContent(root);
      const text = treeToText(tree).trim();
      onChange(text || tree.querySelector("img") ? html : "", text);
    });
    const readPath = () => {
      path.value = `${made.getPath()} ${Date.now()}`;
    };
    made.addEventListener("pathChange", readPath);
    made.addEventListener("select", readPath);
    editor.value = made;
    return () => made.destroy();
  }, []);
  return (
    <div class="field">
      <span id={id} class="field-label">
        {t("signature")}
      </span>
      <div class="signature-box">
        <div ref={box} class="rich" role="textbox" tabIndex={0} aria-multiline="true" aria-labelledby={id} spellcheck />
        <FormatBar editor={editor.value} path={path.value} />
      </div>
    </div>
  );
}
