/** Rich or plain: what a switch does to the text. */

import { cleanFragment } from "./clean.ts";
import type { Draft } from "./draft.ts";
import { textToHtml, treeToText } from "./quote.ts";

/** Whether a change to plain text loses nothing. */
export function isBare(draft: Draft): boolean {
  draft.readEditor?.();
  const tree = cleanFragment(draft.content.html);
  return (
    tree.querySelector(
      "b, strong, i, em, u, s, a, ul, ol, img, font, table, h1, h2, h3, [style*=color], [style*=font]",
    ) === null
  );
}

export function switchText(draft: Draft): void {
  draft.readEditor?.();
  const { isRich, html, text } = draft.content;
  draft.content = isRich
    ? { isRich: false, html, text: treeToText(cleanFragment(html)) }
    : { isRich: true, html: textToHtml(text), text };
  draft.readEditor = null;
  draft.isRich.value = !isRich;
  draft.touch();
}
