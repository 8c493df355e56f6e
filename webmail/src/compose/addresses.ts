/**
 * Addresses as people type and paste them: split, checked, compared, written. Pure.
 *
 * The server judges by the grammar of RFC 5321; this only catches what is surely wrong before a message is sent.
 */

export interface Address {
  name: string | null;
  email: string;
}

const SEPARATORS = new Set([",", ";", "\n", "\r"]);
const DOMAIN =
  /^(?:\[[0-9a-fA-F:.a-z]+\]|[\p{L}\p{N}](?:[\p{L}\p{N}\p{M}-]*[\p{L}\p{N}\p{M}])?(?:\.[\p{L}\p{N}](?:[\p{L}\p{N}\p{M}-]*[\p{L}\p{N}\p{M}])?)*)$/u;
const DOT_ATOM = /^[^\s"(),:;<>@[\\\].\p{Cc}]+(?:\.[^\s"(),:;<>@[\\\].\p{Cc}]+)*$/u;
const QUOTED = /^"(?:[^"\\\r\n]|\\[ -~])*"$/;
const encoder = new TextEncoder();

/** Pieces between commas, semicolons and line ends that stand outside of quotes, comments and angle brackets. */
export function splitAddresses(text: string): string[] {
  const pieces: string[] = [];
  let piece = "";
  let isQuoted = false;
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const letter = text.charAt(at);
    if (isQuoted && letter === "\\") {
      piece += letter + text.charAt(++at);
      continue;
    }
    if (letter === '"') isQuoted = !isQuoted;
    else if (!isQuoted && (letter === "<" || letter === "(")) depth++;
    else if (!isQuoted && (letter === ">" || letter === ")")) depth = Math.max(0, depth - 1);
    const ends = SEPARATORS.has(letter) && (letter === "\n" || letter === "\r" || (!isQuoted && depth === 0));
    if (ends) {
      pieces.push(piece);
      piece = "";
      isQuoted = false;
      depth = 0;
    } else piece += letter;
  }
  pieces.push(piece);
  return pieces.map((one) => one.trim()).filter((one) => one !== "");
}

/** `Name <a@b>`, `<a@b>`, `a@b (Name)` or `a@b`; what is none of these is kept whole as the address. */
export function parseAddress(text: string): Address {
  const trimmed = text.trim().replace(/^mailto:/i, "");
  const open = trimmed.lastIndexOf("<");
  if (open >= 0 && trimmed.endsWith(">")) {
    const email = trimmed.slice(open + 1, -1).trim();
    return { name: unquote(trimmed.slice(0, open).trim()) || null, email };
  }
  const comment = /^(\S+@\S+)\s+\((.*)\)$/.exec(trimmed);
  if (comment) return { name: comment[2]?.trim() || null, email: comment[1] ?? "" };
  return { name: null, email: trimmed };
}

export function parseAddresses(text: string): Address[] {
  return splitAddresses(text).map(parseAddress);
}

function unquote(text: string): string {
  if (text.length > 1 && text.startsWith('"') && text.endsWith('"')) return text.slice(1, -1).replace(/\\(.)/g, "$1");
  return text;
}

/** As RFC 5321 §4.1.2 has it, with the limits of §4.5.3.1 in octets, and letters of any script (RFC 6531). */
export function isValidAddress(email: string): boolean {
  const at = email.lastIndexOf("@");
  if (at < 1) return false;
  const local = email.slice(0, at);
  const domain = email.slice(at + 1);
  if (encoder.encode(local).length > 64 || encoder.encode(domain).length > 255) return false;
  return (DOT_ATOM.test(local) || QUOTED.test(local)) && DOMAIN.test(domain);
}

/** For comparing only: the domain has no case, and nobody tells two people apart by case before the @ either. */
export function addressKey(email: string): string {
  return email.trim().toLowerCase();
}

export function sameAddress(one: string, other: string): boolean {
  return addressKey(one) === addressKey(other);
}

/** One's own, also with a subaddress behind it: anna+shop@example.org is anna@example.org. */
export function isOwnAddress(email: string, own: readonly string[]): boolean {
  const key = addressKey(email);
  const plain = key.replace(/\+[^@]*@/, "@");
  return own.some((one) => {
    const mine = addressKey(one);
    if (mine.startsWith("*@")) return key.endsWith(mine.slice(1));
    return mine === key || mine === plain;
  });
}

/** Each address once, the first of it, but taking a later name when the first has none. */
export function dropRepeats(addresses: readonly Address[], besides: readonly Address[] = []): Address[] {
  const seen = new Map<string, Address>();
  const taken = new Set(besides.map((one) => addressKey(one.email)));
  for (const address of addresses) {
    const key = addressKey(address.email);
    const before = seen.get(key);
    if (taken.has(key)) continue;
    if (!before) seen.set(key, { ...address });
    else if (!before.name && address.name) before.name = address.name;
  }
  return [...seen.values()];
}

const SPECIAL = /[^\p{L}\p{N}\p{M} !#$%&'*+/=?^_`{|}~-]/u;

/** As it is typed: a name with letters that mean something is put in quotes. */
export function formatAddress(address: Address): string {
  if (!address.name) return address.email;
  const name = SPECIAL.test(address.name) ? `"${address.name.replace(/["\\]/g, "\\$&")}"` : address.name;
  return `${name} <${address.email}>`;
}

export function formatAddresses(addresses: readonly Address[]): string {
  return addresses.map(formatAddress).join(", ");
}

/** What a chip shows. */
export function labelAddress(address: Address): string {
  return address.name || address.email;
}
