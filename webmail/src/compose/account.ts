/** What writing needs to know of the account: who one may be, and where drafts and sent mail lie. Asked once, then kept. */

import { jmap } from "../jmap/client.ts";
import { onStates } from "../jmap/push.ts";
import type { GetAnswer, Identity, Mailbox } from "../jmap/types.ts";
import { t } from "./texts.ts";

let identities: Promise<Identity[]> | null = null;
let roles: Promise<Map<string, string>> | null = null;
let owner = "";

onStates((states) => {
  if (states["Identity"]) identities = null;
  if (states["Mailbox"]) roles = null;
});

function checkOwner(): void {
  if (owner === jmap.accountId) return;
  owner = jmap.accountId;
  identities = null;
  roles = null;
}

/** The default first. */
export function loadIdentities(): Promise<Identity[]> {
  checkOwner();
  identities ??= jmap
    .call<GetAnswer<Identity>>("Identity/get", { ids: null })
    .promise.then(({ list }) =>
      list.toSorted((one, other) => Number(other.isDefault ?? false) - Number(one.isDefault ?? false)),
    );
  identities.catch(() => {
    identities = null;
  });
  return identities;
}

export async function needIdentities(): Promise<Identity[]> {
  const list = await loadIdentities();
  if (list.length === 0) throw new Error(t("noIdentity"));
  return list;
}

export type Role = "drafts" | "sent" | "trash";
const NAMES: Record<Role, string> = { drafts: "Drafts", sent: "Sent", trash: "Trash" };

/** The id of the mailbox with that use; it is made when there is none. */
export async function mailboxOf(role: Role): Promise<string> {
  checkOwner();
  roles ??= jmap
    .call<GetAnswer<Mailbox>>("Mailbox/get", { ids: null, properties: ["role"] })
    .promise.then(({ list }) => new Map(list.flatMap((one) => (one.role ? [[one.role, one.id] as const] : []))));
  roles.catch(() => {
    roles = null;
  });
  return (await roles).get(role) ?? (await makeMailbox(role));
}

async function makeMailbox(role: Role): Promise<string> {
  const name = NAMES[role];
  const create = { new: { name, role, parentId: null, isSubscribed: true } };
  const answer = await jmap.call<{ created: Record<string, { id: string }> | null }>("Mailbox/set", { create });
  const id = answer.created?.["new"]?.id;
  if (!id) throw new Error(name);
  roles = null;
  return id;
}
