import assert from "node:assert/strict";
import { test } from "node:test";
import { nameAgent } from "./agents.ts";

test("a browser and its system are told from its User-Agent", () => {
  const agents: [string, string][] = [
    [
      "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36",
      "Chrome, Linux",
    ],
    [
      "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605 Version/17.0 Mobile Safari/604.1",
      "Safari, iPhone",
    ],
    ["Mozilla/5.0 (Windows NT 10.0; Win64) AppleWebKit/537.36 Chrome/120.0 Safari/537.36 Edg/120.0", "Edge, Windows"],
    ["Mozilla/5.0 (Android 14; Mobile; rv:120.0) Gecko/120.0 Firefox/120.0", "Firefox, Android"],
    ["something else", "something else"],
    ["", "?"],
  ];
  for (const [text, name] of agents) assert.equal(nameAgent(text), name);
});
