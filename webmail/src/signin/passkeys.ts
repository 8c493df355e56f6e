/** Passkeys as browsers have them now: options and answers as JSON (WebAuthn level 3). */

import { api } from "../api.ts";

interface Options {
  publicKey: Record<string, unknown>;
}

/** What is new in browsers is not in the library of types. */
interface WithJson {
  parseRequestOptionsFromJSON?: (options: unknown) => PublicKeyCredentialRequestOptions;
  parseCreationOptionsFromJSON?: (options: unknown) => PublicKeyCredentialCreationOptions;
}

const browser = (globalThis as { PublicKeyCredential?: WithJson }).PublicKeyCredential;

export function hasPasskeys(): boolean {
  return Boolean(browser?.parseRequestOptionsFromJSON && browser.parseCreationOptionsFromJSON && navigator.credentials);
}

function toJson(credential: Credential | null): unknown {
  return (credential as (Credential & { toJSON?: () => unknown }) | null)?.toJSON?.();
}

/** True: signed in. False: the user thought better of it. */
export async function signInByPasskey(): Promise<boolean> {
  const options = await api<Options>("POST", "passkey/options");
  const publicKey = browser!.parseRequestOptionsFromJSON!(options.publicKey);
  const credential = toJson(await ask(() => navigator.credentials.get({ publicKey })));
  if (!credential) return false;
  await api("POST", "passkey/verify", { credential });
  return true;
}

export async function registerPasskey(name: string): Promise<boolean> {
  const options = await api<Options>("POST", "passkeys/options");
  const publicKey = browser!.parseCreationOptionsFromJSON!(options.publicKey);
  const credential = toJson(await ask(() => navigator.credentials.create({ publicKey })));
  if (!credential) return false;
  await api("POST", "passkeys", { credential, name });
  return true;
}

async function ask(question: () => Promise<Credential | null>): Promise<Credential | null> {
  try {
    return await question();
  } catch (error) {
    // Closed by the user, or nothing chosen in time: nothing went wrong.
    if (error instanceof DOMException && (error.name === "NotAllowedError" || error.name === "AbortError")) return null;
    throw error;
  }
}
