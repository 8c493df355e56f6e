import assert from "node:assert/strict";
import { test } from "node:test";
import { composeFromQuery, composers, splitMailto } from "./compose.ts";

test("a mailto link is taken apart as RFC 6068 has it", () => {
  const found = splitMailto("mailto:a+b@x.example,c@x.example?Subject=Caf%C3%A9+1&body=one%0Atwo&cc=d%40x.example");
  assert.equal(found.get("to"), "a+b@x.example,c@x.example");
  assert.equal(found.get("subject"), "Café+1");
  assert.equal(found.get("body"), "one\ntwo");
  assert.equal(found.get("cc"), "d@x.example");
});

test("the address of the page opens a window to write in", () => {
  composers.value = [];
  composeFromQuery(new URLSearchParams("mailto=mailto:a@x.example?to=b@x.example"));
  composeFromQuery(new URLSearchParams("reply=M1-5"));
  assert.deepEqual(
    composers.value.map((one) => one.request),
    [
      { kind: "new", to: "b@x.example, a@x.example" },
      { kind: "reply", emailId: "M1-5" },
    ],
  );
});
