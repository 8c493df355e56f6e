import { type Signal, useSignal } from "@preact/signals";
import { api } from "../api.ts";
import { t as shell } from "../i18n/t.ts";
import { Panel } from "../settings/frame.tsx";
import { attempt, Shown, sayError, useLoad } from "../settings/load.tsx";
import { CopyButton } from "../settings/two_factor.tsx";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Switch, TextField } from "../ui/field.tsx";
import { toast } from "../ui/toast.tsx";
import { AccountDialog } from "./account_dialog.tsx";
import { readMegabytes } from "./quota.ts";
import { t } from "./texts.ts";
import type { Account, Page } from "./types.ts";

export interface Told {
  address: string;
  password: string;
}

export function Accounts() {
  const text = useSignal("");
  const edited = useSignal<Account | null>(null);
  const isMaking = useSignal(false);
  const told = useSignal<Told | null>(null);
  const loaded = useLoad(() => api<Page<Account>>("GET", `admin/accounts?q=${encodeURIComponent(text.peek().trim())}`));
  const more = () =>
    attempt(async () => {
      const before = loaded.value.peek()!;
      const after = before.items.at(-1)?.address ?? "";
      const query = new URLSearchParams({ q: text.peek().trim(), after });
      const next = await api<Page<Account>>("GET", `admin/accounts?${query}`);
      loaded.value.value = { items: [...before.items, ...next.items], more: next.more };
    });
  return (
    <Panel
      actions={
        <Button size="small" icon="plus" onClick={() => (isMaking.value = true)}>
          {t("newAccount")}
        </Button>
      }
    >
      <form
        class="filters"
        onSubmit={(event) => {
          event.preventDefault();
          void loaded.reload();
        }}
      >
        <TextField
          label={t("search")}
          type="search"
          value={text.value}
          onInput={(value) => {
            text.value = value;
          }}
        />
        <Button type="submit" icon="search">
          {t("search")}
        </Button>
      </form>
      <Shown loaded={loaded}>
        {(page) => (
          <>
            {page.items.length === 0 && <p class="quiet">{t("none")}</p>}
            <ul class="rows">
              {page.items.map((one) => (
                <li key={one.id}>
                  <span class="row-main">
                    <b>{one.name || one.address}</b>
                    <small>{one.name ? one.addresses.join(", ") : one.addresses.slice(1).join(", ")}</small>
                  </span>
                  {one.admin && <span class="badge good">{t("isAdmin")}</span>}
                  {one.disabled && <span class="badge bad">{t("disabled")}</span>}
                  <Button
                    size="small"
                    aria-label={t("editNamed", { name: one.address })}
                    onClick={() => (edited.value = one)}
                  >
                    {t("edit")}
                  </Button>
                </li>
              ))}
            </ul>
            {page.more && <Button onClick={() => void more()}>{t("more")}</Button>}
          </>
        )}
      </Shown>
      {isMaking.value && (
        <NewAccount
          onDone={(made) => {
            isMaking.value = false;
            told.value = made;
            void loaded.reload();
          }}
          onClose={() => (isMaking.value = false)}
        />
      )}
      {edited.value && (
        <AccountDialog
          address={edited.value.address}
          onTold={(made) => (told.value = made)}
          onChanged={() => void loaded.reload()}
          onClose={() => (edited.value = null)}
        />
      )}
      {told.value && <ToldDialog told={told.value} onClose={() => (told.value = null)} />}
    </Panel>
  );
}

function ToldDialog({ told, onClose }: { told: Told; onClose: () => void }) {
  return (
    <Dialog
      title={t("password")}
      size="small"
      isKept
      onClose={onClose}
      actions={
        <Button kind="primary" onClick={onClose}>
          {shell("common.done")}
        </Button>
      }
    >
      <p>{t("passwordMade", { address: told.address })}</p>
      <code class="secret">
        <span>{told.password}</span>
        <CopyButton text={told.password} />
      </code>
    </Dialog>
  );
}

function NewAccount({ onDone, onClose }: { onDone: (told: Told | null) => void; onClose: () => void }) {
  const address = useSignal("");
  const name = useSignal("");
  const password = useSignal("");
  const quota = useSignal("");
  const isAdmin = useSignal(false);
  const error = useSignal("");
  const wrongQuota = useSignal("");
  const make = async (event: Event) => {
    event.preventDefault();
    const limit = readMegabytes(quota.peek());
    wrongQuota.value = limit === undefined ? t("notNumber", { text: quota.peek() }) : "";
    if (limit === undefined) return;
    try {
      const wanted = {
        address: address.peek().trim(),
        name: name.peek().trim(),
        password: password.peek(),
        quota: limit,
        admin: isAdmin.peek(),
      };
      const made = await api<Account & { password: string | null }>("POST", "admin/accounts", wanted);
      toast(t("added", { name: made.address }));
      onDone(made.password ? { address: made.address, password: made.password } : null);
    } catch (reason) {
      error.value = sayError(reason);
    }
  };
  const set = (signal: Signal<string>) => (value: string) => {
    signal.value = value;
    error.value = "";
  };
  return (
    <Dialog title={t("newAccount")} onClose={onClose}>
      <form onSubmit={(event) => void make(event)}>
        <TextField
          label={t("address")}
          inputmode="email"
          autofocus
          value={address.value}
          error={error.value}
          onInput={set(address)}
        />
        <TextField label={t("name")} value={name.value} onInput={set(name)} />
        <TextField
          label={t("password")}
          hint={t("passwordHint")}
          type="password"
          autocomplete="new-password"
          value={password.value}
          onInput={set(password)}
        />
        <TextField
          label={t("quota")}
          hint={t("quotaHint")}
          inputmode="numeric"
          value={quota.value}
          error={wrongQuota.value}
          onInput={set(quota)}
        />
        <Switch
          label={t("isAdmin")}
          isOn={isAdmin.value}
          onChange={(isOn) => {
            isAdmin.value = isOn;
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
