/** The signature of an identity: in a box of its own, so that it can be changed for another's. Pure but for `swapHtml`. */

import type { Identity } from "../jmap/types.ts";
import { cleanHtml } from "./clean.ts";
import { textToHtml } from "./quote.ts";

type Signed = Pick<Identity, "textSignature" | "htmlSignature">;

export function signatureHtml(identity: Signed): string {
  const inside = insideHtml(identity);
  return inside && `<div><br></div><div class="signature">${inside}</div>`;
}

function insideHtml(identity: Signed): string {
  if (identity.htmlSignature.trim()) return cleanHtml(identity.htmlSignature);
  return identity.textSignature.trim() ? textToHtml(identity.textSignature) : "";
}

/** With the line that sets it off (RFC 3676 §4.3). */
export function signatureText(identity: Signed): string {
  const text = identity.textSignature.trim();
  return text ? `\n-- \n${text}\n` : "";
}

export function swapText(text: string, before: Signed, after: Signed): string {
  const old = signatureText(before);
  const fresh = signatureText(after);
  if (!old) return fresh && !text.includes("\n> ") ? `${text.replace(/\s+$/, "\n")}${fresh}` : text;
  const at = text.indexOf(old);
  return at < 0 ? text : text.slice(0, at) + fresh + text.slice(at + old.length);
}

/** In the editor's tree or a copy of it; one that was written over stays. */
export function swapHtml(root: ParentNode, after: Signed, make: (html: string) => DocumentFragment): void {
  const box = [...root.querySelectorAll(".signature")].find((one) => !one.closest("blockquote"));
  if (box) box.replaceChildren(make(insideHtml(after) || "<br>"));
  else if (insideHtml(after)) placeHtml(root, make(signatureHtml(after)));
}

function placeHtml(root: ParentNode, signature: DocumentFragment): void {
  const quote = root.querySelector("blockquote");
  const line = quote?.previousElementSibling ?? quote;
  if (line) line.before(signature);
  else root.append(signature);
}
