import { useSignal } from "@preact/signals";
import { api } from "../api.ts";
import { parseAddresses } from "../compose/addresses.ts";
import { t as shell } from "../i18n/t.ts";
import { Panel } from "../settings/frame.tsx";
import { attempt, Shown, sayError, useLoad } from "../settings/load.tsx";
import { Button, IconButton } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { TextField } from "../ui/field.tsx";
import { toast } from "../ui/toast.tsx";
import { t } from "./texts.ts";
import type { Alias, Domain, Page } from "./types.ts";

export function Domains() {
  const loaded = useLoad(() => api<Domain[]>("GET", "admin/domains"));
  const isMaking = useSignal(false);
  const add = async (domain: string, aliasOf: string) => {
    await api("POST", "admin/domains", { domain, alias_of: aliasOf || null });
    await loaded.reload();
  };
  const remove = (one: Domain) =>
    attempt(async () => {
      await api("DELETE", `admin/domains/${encodeURIComponent(one.domain)}`);
      toast(t("removed", { name: one.domain }), {
        undo: () => void attempt(() => add(one.domain, one.alias_of ?? "")),
      });
      await loaded.reload();
    });
  return (
    <Panel
      actions={
        <Button size="small" icon="plus" onClick={() => (isMaking.value = true)}>
          {t("newDomain")}
        </Button>
      }
    >
      <Shown loaded={loaded}>
        {(list) => (
          <ul class="rows">
            {list.map((one) => (
              <li key={one.domain}>
                <span class="row-main">
                  <b>{one.domain}</b>
                  <small>
                    {one.alias_of
                      ? `= ${one.alias_of}`
                      : `${t("accountCount", { n: one.accounts })}, ${t("aliasCount", { n: one.aliases })}`}
                  </small>
                </span>
                <IconButton
                  icon="trash"
                  size="small"
                  label={t("removeNamed", { name: one.domain })}
                  onClick={() => void remove(one)}
                />
              </li>
            ))}
          </ul>
        )}
      </Shown>
      {isMaking.value && (
        <TwoFields
          title={t("newDomain")}
          labels={[t("domain"), t("aliasOf")]}
          hint={t("aliasOfHint")}
          onSave={add}
          onClose={() => (isMaking.value = false)}
        />
      )}
    </Panel>
  );
}

export function Aliases() {
  const loaded = useLoad(() => api<Page<Alias>>("GET", "admin/aliases?limit=1000"));
  const isMaking = useSignal(false);
  const add = async (address: string, targets: string) => {
    const list = parseAddresses(targets).map((one) => one.email);
    if (list.length === 0) throw new SecondWrong(t("targetsNeeded"));
    await api("POST", "admin/aliases", { address, targets: list });
    await loaded.reload();
  };
  const remove = (one: Alias) =>
    attempt(async () => {
      await api("DELETE", `admin/aliases/${encodeURIComponent(one.address)}`);
      toast(t("removed", { name: one.address }), {
        undo: () => void attempt(() => add(one.address, one.targets.join(","))),
      });
      await loaded.reload();
    });
  return (
    <Panel
      actions={
        <Button size="small" icon="plus" onClick={() => (isMaking.value = true)}>
          {t("newAlias")}
        </Button>
      }
    >
      <Shown loaded={loaded}>
        {(page) => (
          <>
            {page.items.length === 0 && <p class="quiet">{t("none")}</p>}
            <ul class="rows">
              {page.items.map((one) => (
                <li key={one.address}>
                  <span class="row-main">
                    <b>{one.address}</b>
                    <small>→ {one.targets.join(", ")}</small>
                  </span>
                  <IconButton
                    icon="trash"
                    size="small"
                    label={t("removeNamed", { name: one.address })}
                    onClick={() => void remove(one)}
                  />
                </li>
              ))}
            </ul>
          </>
        )}
      </Shown>
      {isMaking.value && (
        <TwoFields
          title={t("newAlias")}
          labels={[t("address"), t("targets")]}
          hint={t("targetsHint")}
          onSave={add}
          onClose={() => (isMaking.value = false)}
        />
      )}
    </Panel>
  );
}

/** Of what is typed into the second field. */
class SecondWrong extends Error {}

interface TwoFieldsProps {
  title: string;
  labels: [string, string];
  /** Of the second. */
  hint: string;
  onSave: (first: string, second: string) => Promise<void>;
  onClose: () => void;
}

function TwoFields({ title, labels, hint, onSave, onClose }: TwoFieldsProps) {
  const first = useSignal("");
  const second = useSignal("");
  const error = useSignal("");
  const secondError = useSignal("");
  const save = async (event: Event) => {
    event.preventDefault();
    try {
      await onSave(first.peek().trim(), second.peek().trim());
      toast(t("added", { name: first.peek().trim() }));
      onClose();
    } catch (reason) {
      (reason instanceof SecondWrong ? secondError : error).value = sayError(reason);
    }
  };
  return (
    <Dialog title={title} size="small" onClose={onClose}>
      <form onSubmit={(event) => void save(event)}>
        <TextField
          label={labels[0]}
          autofocus
          value={first.value}
          error={error.value}
          onInput={(value) => {
            first.value = value;
            error.value = "";
          }}
        />
        <TextField
          label={labels[1]}
          hint={hint}
          value={second.value}
          error={secondError.value}
          onInput={(value) => {
            second.value = value;
            secondError.value = "";
          }}
        />
        <div class="form-actions">
          <Button onClick={onClose}>{shell("common.cancel")}</Button>
          <Button kind="primary" type="submit">
            {t("add")}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
