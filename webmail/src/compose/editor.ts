/** Squire, cleaned by us: nothing reaches the page as a string of HTML, so that Trusted Types have nothing to refuse. */

import Squire from "squire-rte";
import { cleanFragment, cleanOwn, dress } from "./clean.ts";

export class Editor extends Squire {
  constructor(root: HTMLElement) {
    super(root, {
      blockTag: "DIV",
      sanitizeToDOMFragment: cleanFragment,
      tagAttributes: { blockquote: { type: "cite" }, a: { rel: "noopener noreferrer" } },
      undo: { documentSizeThreshold: 200_000, undoLimit: 50 },
      didError: () => undefined,
    });
  }

  /** Undo and redo: Squire would set innerHTML. */
  override _setRawHTML(html: string): this {
    const root = this.getRoot();
    root.replaceChildren(cleanOwn(html));
    if (!root.firstElementChild) root.append(this.createDefaultBlock());
    this._ignoreChange = true;
    return this;
  }

  override setFontSize(size: string | null): this {
    return this.#style("size", size && `font-size:${size}`);
  }

  override setTextColor(colour: string | null): this {
    return this.#style("color", colour && `color:${colour}`);
  }

  /** Squire would write a style attribute, which the page's policy refuses. */
  #style(name: string, style: string | null): this {
    const attributes = { class: name };
    const add = style ? { tag: "SPAN", attributes: { ...attributes, "data-style": style } } : null;
    this.changeFormat(add, { tag: "SPAN", attributes });
    dress(this.getRoot());
    return this;
  }
}
