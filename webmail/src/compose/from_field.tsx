/** Who one writes as; with one identity there is nothing to choose and nothing to see. */

import { useSignal } from "@preact/signals";
import { useEffect, useId } from "preact/hooks";
import type { Identity } from "../jmap/types.ts";
import { loadIdentities } from "./account.ts";
import { dropRepeats, formatAddress, sameAddress } from "./addresses.ts";
import { cleanFragment } from "./clean.ts";
import type { Draft } from "./draft.ts";
import { swapHtml, swapText } from "./signature.ts";
import { t } from "./texts.ts";

export function FromField({ draft }: { draft: Draft }) {
  const id = useId();
  const identities = useSignal<Identity[]>([]);
  useEffect(() => {
    loadIdentities().then(
      (list) => {
        identities.value = list;
      },
      () => undefined,
    );
  }, []);
  if (identities.value.length < 2) return null;
  return (
    <div class="compose-row">
      <label for={id}>{t("from")}</label>
      <select
        id={id}
        class="compose-input"
        value={draft.identity.value.id}
        onChange={(event) => {
          const chosen = identities.peek().find((one) => one.id === event.currentTarget.value);
          if (chosen) takeIdentity(draft, chosen);
        }}
      >
        {identities.value.map((one) => (
          <option key={one.id} value={one.id}>
            {formatAddress({ name: one.name || null, email: one.email })}
          </option>
        ))}
      </select>
    </div>
  );
}

/** Its signature in the place of the other's, its Bcc too. */
export function takeIdentity(draft: Draft, chosen: Identity): void {
  const before = draft.identity.peek();
  draft.readEditor?.();
  if (draft.editorRoot) swapHtml(draft.editorRoot, chosen, cleanFragment);
  else draft.content = { ...draft.content, text: swapText(draft.content.text, before, chosen) };
  draft.showText?.();
  const old = before.bcc ?? [];
  const kept = draft.bcc.peek().filter((one) => !old.some((other) => sameAddress(other.email, one.email)));
  draft.bcc.value = dropRepeats([...kept, ...(chosen.bcc ?? [])]);
  draft.change(draft.identity, chosen);
}
