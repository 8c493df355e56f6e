/** The Outbox, senders whose images are loaded, labels, saved searches. */

import { useSignal } from "@preact/signals";
import { api } from "../api.ts";
import { LabelEditor } from "../dialogs/labels.tsx";
import { t as shell } from "../i18n/t.ts";
import { jmap } from "../jmap/client.ts";
import type { GetAnswer, SavedSearch } from "../jmap/types.ts";
import { preferences, setPreferences } from "../state/preferences.ts";
import { Button, IconButton } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Switch, TextField } from "../ui/field.tsx";
import { toast } from "../ui/toast.tsx";
import { Panel } from "./frame.tsx";
import { attempt, Shown, sayError, useLoad } from "./load.tsx";
import { createOne, destroyOne, updateOne } from "./sets.ts";
import { t } from "./texts.ts";

export function ReadingSettings() {
  return (
    <>
      <SavedSearches />
      <Labels />
      <ImageSenders />
      <Outbox />
    </>
  );
}

function Outbox() {
  const loaded = useLoad(() => api<{ isOn: boolean }>("GET", "outbox"));
  const turn = (isOn: boolean) =>
    attempt(async () => {
      loaded.value.value = await api<{ isOn: boolean }>("PUT", "outbox", { isOn });
    });
  return (
    <Panel title={t("outbox")} text={t("outboxText")}>
      <Shown loaded={loaded}>
        {({ isOn }) => <Switch label={t("outboxOn")} isOn={isOn} onChange={(value) => void turn(value)} />}
      </Shown>
    </Panel>
  );
}

function ImageSenders() {
  const { imageSenders } = preferences.value;
  const remove = (email: string) => {
    setPreferences({ imageSenders: imageSenders.filter((one) => one !== email) });
    toast(t("removed"), { undo: () => setPreferences({ imageSenders }) });
  };
  return (
    <Panel title={t("imageSenders")} text={t("imageSendersText")}>
      {imageSenders.length === 0 && <p class="quiet">{t("none")}</p>}
      <ul class="rows">
        {imageSenders.map((email) => (
          <li key={email}>
            <span class="row-main">{email}</span>
            <IconButton
              icon="trash"
              size="small"
              label={t("removeNamed", { name: email })}
              onClick={() => remove(email)}
            />
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function Labels() {
  const edited = useSignal<string | null>(null);
  const { labels } = preferences.value;
  return (
    <Panel title={t("labels")} text={t("labelsText")}>
      {labels.length === 0 && <p class="quiet">{t("none")}</p>}
      <ul class="rows">
        {labels.map((label) => (
          <li key={label.keyword}>
            {edited.value === label.keyword ? (
              <LabelEditor label={label} onDone={() => (edited.value = null)} />
            ) : (
              <>
                <span class="dot" style={{ background: label.colour }} />
                <span class="row-main">{label.name}</span>
                <Button
                  size="small"
                  aria-label={t("editNamed", { name: label.name })}
                  onClick={() => (edited.value = label.keyword)}
                >
                  {t("edit")}
                </Button>
              </>
            )}
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function SavedSearches() {
  const loaded = useLoad(async () => {
    const { list } = await jmap.call<GetAnswer<SavedSearch>>("SavedSearch/get", { ids: null });
    return list.toSorted((one, other) => one.sortOrder - other.sortOrder);
  });
  const edited = useSignal<SavedSearch | null>(null);
  const remove = async (one: SavedSearch) => {
    if (!(await attempt(() => destroyOne("SavedSearch", one.id)))) return;
    await loaded.reload();
    const { name, query, sortOrder } = one;
    const undo = () =>
      attempt(async () => [await createOne("SavedSearch", { name, query, sortOrder }), await loaded.reload()]);
    toast(t("removed"), { undo: () => void undo() });
  };
  return (
    <Panel title={t("savedSearches")} text={t("savedSearchesText")}>
      <Shown loaded={loaded}>
        {(list) => (
          <>
            {list.length === 0 && <p class="quiet">{t("none")}</p>}
            <ul class="rows">
              {list.map((one) => (
                <li key={one.id}>
                  <span class="row-main">
                    <b>{one.name}</b>
                    <small>{one.query}</small>
                  </span>
                  <Button
                    size="small"
                    aria-label={t("editNamed", { name: one.name })}
                    onClick={() => (edited.value = one)}
                  >
                    {t("edit")}
                  </Button>
                  <IconButton
                    icon="trash"
                    size="small"
                    label={t("removeNamed", { name: one.name })}
                    onClick={() => void remove(one)}
                  />
                </li>
              ))}
            </ul>
          </>
        )}
      </Shown>
      {edited.value && (
        <SearchDialog search={edited.value} onDone={() => void loaded.reload()} onClose={() => (edited.value = null)} />
      )}
    </Panel>
  );
}

function SearchDialog({ search, onDone, onClose }: { search: SavedSearch; onDone: () => void; onClose: () => void }) {
  const name = useSignal(search.name);
  const query = useSignal(search.query);
  const error = useSignal("");
  const save = async (event: Event) => {
    event.preventDefault();
    try {
      await updateOne("SavedSearch", search.id, { name: name.peek().trim(), query: query.peek().trim() });
      onDone();
      onClose();
    } catch (reason) {
      error.value = sayError(reason);
    }
  };
  return (
    <Dialog title={t("savedSearches")} size="small" onClose={onClose}>
      <form onSubmit={(event) => void save(event)}>
        <TextField
          label={t("name")}
          autofocus
          value={name.value}
          error={error.value}
          onInput={(value) => {
            name.value = value;
          }}
        />
        <TextField
          label={t("query")}
          value={query.value}
          onInput={(value) => {
            query.value = value;
          }}
        />
        <div class="form-actions">
          <Button onClick={onClose}>{shell("common.cancel")}</Button>
          <Button kind="primary" type="submit">
            {shell("common.save")}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
