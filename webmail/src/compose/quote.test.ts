import assert from "node:assert/strict";
import { test } from "node:test";
import {
  forwardHeadHtml,
  forwardHeadText,
  quoteText,
  type TextNode,
  textToHtml,
  treeToText,
  wrapText,
} from "./quote.ts";

/** A tree out of nested arrays: ["P", "text", ["B", "bold"]]; attributes in an object behind the name. */
type Made = string | [string, ...(Made | Record<string, string>)[]];

function tree(made: Made): TextNode {
  if (typeof made === "string") return { nodeType: 3, nodeName: "#text", nodeValue: made, childNodes: [] };
  const [nodeName, ...rest] = made;
  const attributes = rest.find((one) => typeof one === "object" && !Array.isArray(one)) as
    | Record<string, string>
    | undefined;
  const children = rest.filter((one): one is Made => typeof one === "string" || Array.isArray(one)).map(tree);
  return {
    nodeType: 1,
    nodeName,
    nodeValue: null,
    childNodes: children,
    getAttribute: (name) => attributes?.[name] ?? null,
  };
}

test("quoted text gets marks, deeper ones no blank between them, and no signature", () => {
  assert.equal(quoteText("Hello\r\n\r\n> older\r\n>> oldest\r\n-- \r\nAnna\r\n"), "> Hello\n>\n>> older\n>>> oldest");
});

test("text becomes HTML with every letter escaped and blanks kept", () => {
  assert.equal(textToHtml('<b>&"\n\n  a'), "<div>&lt;b&gt;&amp;&quot;</div><div><br></div><div>\u00a0 a</div>");
});

test("marks with blanks between them are levels as well", () => {
  assert.equal(quoteText("new\n> > oldest\n>older\n>"), "> new\n>>> oldest\n>> older\n>>");
});

test("quotes of a text become nested blocks of HTML", () => {
  const quote = '<blockquote type="cite">';
  assert.equal(
    textToHtml("> older\n> > oldest\n>\nnew\n>  in"),
    `${quote}<div>older</div>${quote}<div>oldest</div></blockquote><div><br></div></blockquote><div>new</div>` +
      `${quote}<div>\u00a0in</div></blockquote>`,
  );
});

test("a tree becomes text: paragraphs, lists, links, quotes", () => {
  const root = tree([
    "DIV",
    ["P", "Dear ", ["B", "Anna"], ","],
    ["UL", ["LI", "one"], ["LI", "two"]],
    ["OL", ["LI", "first"], ["LI", "second"]],
    [
      "DIV",
      "See ",
      ["A", { href: "https://example.org/x" }, "this page"],
      " or ",
      ["A", { href: "https://example.org/" }, "example.org"],
    ],
    ["DIV", ["BR"]],
    ["BLOCKQUOTE", ["DIV", "said"], ["BLOCKQUOTE", ["DIV", "before"]]],
  ]);
  assert.equal(
    treeToText(root),
    "Dear Anna,\n\n * one\n * two\n\n 1. first\n 2. second\n\nSee this page <https://example.org/x> or example.org\n\n> said\n>> before\n",
  );
});

test("white space of the source is not that of the text", () => {
  assert.equal(
    treeToText(tree(["DIV", "\n  one\n  two ", ["B", " three"], ["STYLE", "p{}"], ["IMG", { alt: "Logo" }]])),
    "one two three[Logo]\n",
  );
  assert.equal(treeToText(tree(["DIV", ["DIV", "a", ["BR"], "b"], " ", ["DIV", "c"]])), "a\nb\nc\n");
});

test("nothing written is no text", () => {
  assert.equal(treeToText(tree(["DIV", ["DIV", ["BR"]]])), "");
});

test("long lines of a quote are folded with their marks", () => {
  const folded = wrapText(`> ${"word ".repeat(40).trim()}`, 40).split("\n");
  assert.ok(folded.length > 4 && folded.every((line) => line.startsWith("> word") && line.length <= 40));
  assert.equal(wrapText("x".repeat(100), 40), "x".repeat(100));
});

test("what is forwarded has a head, in HTML escaped", () => {
  const words = { title: "Forwarded message", from: "From", date: "Date", subject: "Subject", to: "To", cc: "Cc" };
  const email = { from: [{ name: "<b>", email: "a@x.example" }], to: null, cc: null, subject: "A & B", date: "today" };
  assert.equal(
    forwardHeadText(email, words),
    '---------- Forwarded message ----------\nFrom: "<b>" <a@x.example>\nDate: today\nSubject: A & B',
  );
  assert.ok(forwardHeadHtml(email, words).includes("&lt;b&gt;"));
  assert.ok(!forwardHeadHtml(email, words).includes("Cc"));
});
