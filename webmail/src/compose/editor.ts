/** Squire, cleaned by us: nothing reaches the page as a string of HTML, so that Trusted Types have nothing to refuse. */

import Squire from "squire-rte";
import { cleanFragment, cleanOwn } from "./clean.ts";

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
}
