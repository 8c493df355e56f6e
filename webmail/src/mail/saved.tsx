// Searches that are kept on the server (`SavedSearch` of urn:posthouse:web).

import { signal } from "@preact/signals";
import { useState } from "preact/hooks";
import { complain } from "../complain.ts";
import { t } from "../i18n/t.ts";
import { jmap } from "../jmap/client.ts";
import type { GetAnswer, SavedSearch, SetAnswer } from "../jmap/types.ts";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { TextField } from "../ui/field.tsx";
import { toast } from "../ui/toast.tsx";

export const savedSearches = signal<readonly SavedSearch[]>([]);

export async function loadSaved(): Promise<void> {
  try {
    const answer = await jmap.call<GetAnswer<SavedSearch>>("SavedSearch/get", { ids: null });
    savedSearches.value = answer.list.toSorted((one, other) => one.sortOrder - other.sortOrder);
  } catch {
    savedSearches.value = [];
  }
}

async function setSaved(args: Record<string, unknown>): Promise<void> {
  try {
    const answer = await jmap.call<SetAnswer>("SavedSearch/set", args);
    const failure = Object.values({ ...answer.notCreated, ...answer.notDestroyed })[0];
    if (failure) throw new Error(failure.description || failure.type);
  } catch (error) {
    complain(error);
  }
  await loadSaved();
}

export function forgetSearch(saved: SavedSearch): void {
  void setSaved({ destroy: [saved.id] });
  toast(t("saved.deleted"), {
    undo: () => void setSaved({ create: { back: { ...saved, id: undefined } } }),
  });
}

export function SaveSearch({ search }: { search: string }) {
  const [isAsking, setAsking] = useState(false);
  const [name, setName] = useState("");
  const save = () => {
    setAsking(false);
    const made = { name: name.trim() || search, query: search, sortOrder: savedSearches.peek().length };
    void setSaved({ create: { made } });
  };
  return (
    <>
      <Button
        kind="plain"
        size="small"
        onClick={() => {
          setName(search);
          setAsking(true);
        }}
      >
        {t("search.save")}
      </Button>
      {isAsking && (
        <Dialog
          title={t("search.save")}
          size="small"
          onClose={() => setAsking(false)}
          actions={
            <Button kind="primary" onClick={save}>
              {t("common.save")}
            </Button>
          }
        >
          <form
            onSubmit={(event) => {
              event.preventDefault();
              save();
            }}
          >
            <TextField label={t("mailbox.name")} value={name} onInput={setName} autofocus />
          </form>
        </Dialog>
      )}
    </>
  );
}
