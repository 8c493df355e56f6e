// Trusted Types: the only places where the page makes script addresses or HTML out of text.

interface Policy {
  createScriptURL(address: string): string;
}

interface Factory {
  createPolicy(name: string, rules: { createScriptURL: (address: string) => string }): Policy;
}

const rules = {
  createScriptURL(address: string): string {
    if (address !== "/sw.js") throw new TypeError("not one of ours");
    return address;
  },
};
const factory = (globalThis as { trustedTypes?: Factory }).trustedTypes;
const policy: Policy = factory ? factory.createPolicy("posthouse", rules) : rules;

export function trustedWorker(): string {
  return policy.createScriptURL("/sw.js");
}
