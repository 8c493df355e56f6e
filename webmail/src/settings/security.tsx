/** Password, second factor, passkeys, app passwords. */

import { useSignal } from "@preact/signals";
import { api } from "../api.ts";
import { t as shell } from "../i18n/t.ts";
import { hasPasskeys, registerPasskey } from "../signin/passkeys.ts";
import { Button, IconButton } from "../ui/button.tsx";
import { Confirm, Dialog } from "../ui/dialog.tsx";
import { TextField } from "../ui/field.tsx";
import { toast } from "../ui/toast.tsx";
import { AppPasswords } from "./app_passwords.tsx";
import { Panel } from "./frame.tsx";
import { attempt, Shown, sayError, useLoad } from "./load.tsx";
import { t } from "./texts.ts";
import { TwoFactor } from "./two_factor.tsx";
import { sayWhen } from "./when.ts";

const SHORTEST = 10;

export function SecuritySettings() {
  return (
    <>
      <PasswordPanel />
      <TwoFactor />
      <Passkeys />
      <AppPasswords />
    </>
  );
}

function PasswordPanel() {
  const old = useSignal("");
  const fresh = useSignal("");
  const again = useSignal("");
  const error = useSignal<"" | "short" | "differ">("");
  const refused = useSignal("");
  const isBusy = useSignal(false);
  const change = async (event: Event) => {
    event.preventDefault();
    refused.value = "";
    error.value = fresh.peek().length < SHORTEST ? "short" : fresh.peek() !== again.peek() ? "differ" : "";
    if (error.peek()) return;
    isBusy.value = true;
    try {
      await api("POST", "password", { old: old.peek(), new: fresh.peek() });
      for (const field of [old, fresh, again]) field.value = "";
      toast(t("passwordChanged"));
    } catch (reason) {
      refused.value = sayError(reason);
    } finally {
      isBusy.value = false;
    }
  };
  return (
    <Panel title={t("password")} text={t("passwordText")}>
      <form onSubmit={(event) => void change(event)}>
        <TextField
          label={t("oldPassword")}
          type="password"
          autocomplete="current-password"
          value={old.value}
          error={refused.value}
          onInput={(value) => {
            old.value = value;
          }}
        />
        <TextField
          label={t("newPassword")}
          type="password"
          autocomplete="new-password"
          value={fresh.value}
          hint={t("passwordShort")}
          error={error.value === "short" ? t("passwordShort") : ""}
          onInput={(value) => {
            fresh.value = value;
          }}
        />
        <TextField
          label={t("repeatPassword")}
          type="password"
          autocomplete="new-password"
          value={again.value}
          error={error.value === "differ" ? t("passwordsDiffer") : ""}
          onInput={(value) => {
            again.value = value;
          }}
        />
        <Button type="submit" isBusy={isBusy.value}>
          {t("changePassword")}
        </Button>
      </form>
    </Panel>
  );
}

interface Passkey {
  id: string;
  name: string;
  created: string;
  lastUsed: string | null;
}

function Passkeys() {
  const loaded = useLoad(() => api<Passkey[]>("GET", "passkeys"));
  const isNaming = useSignal(false);
  const removed = useSignal<Passkey | null>(null);
  const gone = removed.value;
  const add = async (name: string) => {
    isNaming.value = false;
    await attempt(async () => {
      if (await registerPasskey(name)) toast(t("passkeyAdded"));
      await loaded.reload();
    });
  };
  const remove = (one: Passkey) =>
    attempt(async () => [await api("DELETE", `passkeys/${one.id}`), await loaded.reload()]);
  return (
    <Panel
      title={t("passkeys")}
      text={hasPasskeys() ? t("passkeysText") : t("passkeysUnsupported")}
      actions={
        hasPasskeys() && (
          <Button size="small" icon="plus" onClick={() => (isNaming.value = true)}>
            {t("newPasskey")}
          </Button>
        )
      }
    >
      <Shown loaded={loaded}>
        {(list) => (
          <ul class="rows">
            {list.map((one) => (
              <li key={one.id}>
                <span class="row-main">
                  <b>{one.name || t("passkeyDefault")}</b>
                  <small>
                    {t("created", { when: sayWhen(one.created) })},{" "}
                    {one.lastUsed ? t("lastUsed", { when: sayWhen(one.lastUsed) }) : t("neverUsed")}
                  </small>
                </span>
                <IconButton
                  icon="trash"
                  size="small"
                  label={t("removeNamed", { name: one.name })}
                  onClick={() => (removed.value = one)}
                />
              </li>
            ))}
          </ul>
        )}
      </Shown>
      {isNaming.value && <NameDialog onName={(name) => void add(name)} onClose={() => (isNaming.value = false)} />}
      {gone && (
        <Confirm
          title={t("removePasskeyTitle")}
          text={t("removePasskeyText", { name: gone.name })}
          action={t("remove")}
          isDangerous
          onConfirm={() => void remove(gone)}
          onClose={() => (removed.value = null)}
        />
      )}
    </Panel>
  );
}

function NameDialog({ onName, onClose }: { onName: (name: string) => void; onClose: () => void }) {
  const name = useSignal(t("passkeyDefault"));
  return (
    <Dialog title={t("newPasskey")} size="small" onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          onName(name.peek().trim() || t("passkeyDefault"));
        }}
      >
        <TextField
          label={t("passkeyName")}
          autofocus
          value={name.value}
          onInput={(value) => {
            name.value = value;
          }}
        />
        <div class="form-actions">
          <Button onClick={onClose}>{shell("common.cancel")}</Button>
          <Button kind="primary" type="submit">
            {t("create")}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
