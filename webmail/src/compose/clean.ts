/**
 * HTML from elsewhere, made fit for the editor: pasted, quoted, or of a draft that another program wrote. DOMPurify
 * with a list of what mail needs; of styles only harmless properties; remote images keep their address aside and are
 * not fetched while one writes. The page's own policy (no inline style, no outside request) stands behind it.
 */

import DOMPurify from "dompurify";

const TAGS =
  "a abbr b big blockquote br caption center cite code col colgroup dd del dfn div dl dt em figcaption figure font h1 h2 h3 h4 h5 h6 hr i img ins kbd li mark ol p pre q s samp small span strike strong sub sup table tbody td tfoot th thead tr tt u ul var";
const ATTRIBUTES =
  "abbr align alt bgcolor border cellpadding cellspacing color colspan dir face height href lang rowspan size src start title type valign width class data-cid data-remote data-style";
const STYLES = new Set(
  "background-color border border-bottom border-collapse border-color border-left border-radius border-right border-spacing border-style border-top border-width color direction font-family font-size font-style font-variant font-weight height letter-spacing line-height list-style-type margin margin-bottom margin-left margin-right margin-top max-width min-width padding padding-bottom padding-left padding-right padding-top text-align text-decoration text-decoration-line text-indent text-transform vertical-align white-space width word-spacing".split(
    " ",
  ),
);
/** Classes that mean something to us. */
const CLASSES = new Set(["signature", "color", "size"]);
const ADDRESS = /^(?:https?:|mailto:|tel:|cid:|blob:|data:image\/(?:png|jpe?g|gif|webp);)/i;
/** DOMPurify asks this of the values of all attributes; addresses are looked at again below. */
const VALUE = /^(?:(?:https?|mailto|tel|cid|blob|data):|[^a-z]|[a-z+.-]+(?:[^a-z+.\-:]|$))/i;
/** A style attribute as text: by another name until it can be set in the way the page's policy allows. */
const STYLED = /(<[a-z][^<>]*?\s)style(\s*=)/gi;
const PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=";
const OWN_CONFIG = {
  ALLOWED_TAGS: TAGS.split(" "),
  ALLOWED_ATTR: ATTRIBUTES.split(" "),
  ALLOWED_URI_REGEXP: VALUE,
  ADD_URI_SAFE_ATTR: ["data-style", "data-remote", "data-cid"],
  ALLOW_DATA_ATTR: false,
  RETURN_DOM_FRAGMENT: true as const,
};

const inert = document.implementation.createHTMLDocument("");

/** The harmless declarations of a style attribute. */
export function filterStyle(text: string): string {
  const probe = inert.createElement("span");
  probe.style.cssText = text;
  const kept: string[] = [];
  for (const name of Array.from(probe.style)) {
    const value = probe.style.getPropertyValue(name);
    const isSafe =
      isAllowed(name) && !/url\(|expression|image\(|@|\\/i.test(value) && !/^-|\s-/.test(marginOf(name, value));
    if (isSafe) kept.push(`${name}:${value}`);
  }
  return kept.join(";");
}

function isAllowed(name: string): boolean {
  // Shorthands come apart: border-top-color and the like.
  return STYLES.has(name) || /^(?:border|text-decoration|list-style)-[a-z-]+$/.test(name);
}

/** Negative margins pull things over others. */
function marginOf(name: string, value: string): string {
  return name.startsWith("margin") || name === "text-indent" ? value : "";
}

DOMPurify.addHook("uponSanitizeAttribute", (node, data) => {
  const { attrName, attrValue } = data;
  if (attrName === "style") {
    const kept = filterStyle(attrValue);
    if (kept) node.setAttribute("data-style", kept);
    data.keepAttr = false;
  } else if (attrName === "data-style") data.attrValue = filterStyle(attrValue);
  else if (attrName === "class") data.attrValue = keepClasses(attrValue);
  else if (attrName === "href" || attrName === "src") data.keepAttr = ADDRESS.test(attrValue);
});

function keepClasses(names: string): string {
  return names
    .split(/\s+/)
    .filter((name) => CLASSES.has(name))
    .join(" ");
}

DOMPurify.addHook("afterSanitizeAttributes", (node) => {
  if (node.nodeName === "IMG") setImageAside(node as HTMLImageElement);
  for (const name of ["class", "data-style"]) if (node.getAttribute(name) === "") node.removeAttribute(name);
});

function setImageAside(image: HTMLImageElement): void {
  const source = image.getAttribute("src") ?? "";
  if (/^https?:/i.test(source)) {
    image.setAttribute("data-remote", source);
    image.removeAttribute("src");
  } else if (/^cid:/i.test(source)) {
    image.setAttribute("data-cid", decodeCid(source.slice(4)));
    image.removeAttribute("src");
  } else if (!source && !image.hasAttribute("data-remote") && !image.hasAttribute("data-cid")) image.remove();
}

function decodeCid(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function sanitise(html: string, config: typeof OWN_CONFIG): DocumentFragment {
  return DOMPurify.sanitize(html.replace(STYLED, "$1data-style$2"), config);
}

/** For the page: cleaned, and its styles set. */
export function cleanFragment(html: string): DocumentFragment {
  return dress(document.importNode(sanitise(html, OWN_CONFIG), true));
}

/** Styles by their other name are set; remote images get something to show. */
export function dress<T extends ParentNode>(fragment: T): T {
  for (const element of fragment.querySelectorAll<HTMLElement>("[data-style]")) {
    element.style.cssText = element.getAttribute("data-style") ?? "";
    element.removeAttribute("data-style");
  }
  for (const image of fragment.querySelectorAll<HTMLImageElement>("img[data-remote]")) {
    image.src = PIXEL;
    image.title ||= image.alt;
  }
  return fragment;
}

/** What the editor's own undo list has, with its marks of the selection. */
export function cleanOwn(html: string): DocumentFragment {
  const { ALLOWED_TAGS, ALLOWED_ATTR } = OWN_CONFIG;
  const config = { ...OWN_CONFIG, ALLOWED_TAGS: [...ALLOWED_TAGS, "input"], ALLOWED_ATTR: [...ALLOWED_ATTR, "id"] };
  const fragment = document.importNode(sanitise(html, config), true);
  for (const mark of fragment.querySelectorAll("input")) mark.type = "hidden";
  return dress(fragment);
}

/** Cleaned, as text of HTML, for a quote: styles still by their other name. */
export function cleanHtml(html: string): string {
  const box = inert.createElement("div");
  box.append(sanitise(html, OWN_CONFIG));
  return box.innerHTML;
}

export interface Read {
  html: string;
  tree: HTMLElement;
}

const QUOTE_STYLE = "margin:0 0 0 0.8ex;border-left:2px solid #b8c0cc;padding-left:1ex";

/** What goes into the message: images by `cid:` or their own address, quotes with a line. Nothing is fetched. */
export function readContent(root: HTMLElement): Read {
  const tree = inert.importNode(root, true);
  for (const image of tree.querySelectorAll("img")) {
    const cid = image.getAttribute("data-cid");
    const remote = image.getAttribute("data-remote");
    if (cid) image.setAttribute("src", `cid:${cid}`);
    else if (remote) image.setAttribute("src", remote);
    image.removeAttribute("data-cid");
    image.removeAttribute("data-remote");
  }
  for (const extra of tree.querySelectorAll("input, .squire-image-resize-container")) extra.remove();
  for (const quote of tree.querySelectorAll<HTMLElement>("blockquote[type=cite]:not([style])")) {
    quote.style.cssText = QUOTE_STYLE;
  }
  return { html: tree.innerHTML.replace(/\u200b/g, ""), tree };
}
