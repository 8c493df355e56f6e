import { useSignal } from "@preact/signals";
import { api } from "../api.ts";
import { t as shell } from "../i18n/t.ts";
import { Button, IconButton } from "../ui/button.tsx";
import { Confirm, Dialog } from "../ui/dialog.tsx";
import { Checkbox, TextField } from "../ui/field.tsx";
import { Panel } from "./frame.tsx";
import { attempt, Shown, sayError, useLoad } from "./load.tsx";
import { type SettingsText, t } from "./texts.ts";
import { CopyButton } from "./two_factor.tsx";
import { sayWhen } from "./when.ts";

type Scope = "read" | "send" | "manage";
const SCOPES: readonly [Scope, SettingsText][] = [
  ["read", "scopeRead"],
  ["send", "scopeSend"],
  ["manage", "scopeManage"],
];

const SHORT: Record<string, SettingsText> = { read: "readShort", send: "sendShort", manage: "manageShort" };

interface AppPassword {
  id: string;
  name: string;
  scopes: string[];
  created: string;
  lastUsed: string | null;
}

export function AppPasswords() {
  const loaded = useLoad(() => api<AppPassword[]>("GET", "app-passwords"));
  const isMaking = useSignal(false);
  const removed = useSignal<AppPassword | null>(null);
  const gone = removed.value;
  const remove = (one: AppPassword) =>
    attempt(async () => [await api("DELETE", `app-passwords/${one.id}`), await loaded.reload()]);
  return (
    <Panel
      title={t("appPasswords")}
      text={t("appPasswordsText")}
      actions={
        <Button size="small" icon="plus" onClick={() => (isMaking.value = true)}>
          {t("newAppPassword")}
        </Button>
      }
    >
      <Shown loaded={loaded}>
        {(list) => (
          <ul class="rows">
            {list.map((one) => (
              <li key={one.id}>
                <span class="row-main">
                  <b>{one.name}</b>
                  <small>
                    {t("created", { when: sayWhen(one.created) })},{" "}
                    {one.lastUsed ? t("lastUsed", { when: sayWhen(one.lastUsed) }) : t("neverUsed")}
                  </small>
                </span>
                {one.scopes.map((scope) => (
                  <span key={scope} class="badge">
                    {SHORT[scope] ? t(SHORT[scope]) : scope}
                  </span>
                ))}
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
      {isMaking.value && <MakeDialog onDone={() => void loaded.reload()} onClose={() => (isMaking.value = false)} />}
      {gone && (
        <Confirm
          title={t("removeAppTitle")}
          text={t("removeAppText", { name: gone.name })}
          action={t("remove")}
          isDangerous
          onConfirm={() => void remove(gone)}
          onClose={() => (removed.value = null)}
        />
      )}
    </Panel>
  );
}

interface Made {
  name: string;
  password: string;
}

function MakeDialog({ onDone, onClose }: { onDone: () => void; onClose: () => void }) {
  const name = useSignal("");
  const scopes = useSignal<ReadonlySet<Scope>>(new Set(["read", "send"]));
  const error = useSignal("");
  const isScopeless = useSignal(false);
  const made = useSignal<Made | null>(null);
  const make = async (event: Event) => {
    event.preventDefault();
    error.value = name.peek().trim() ? "" : t("appNameNeeded");
    isScopeless.value = scopes.peek().size === 0;
    if (error.peek() || isScopeless.peek()) return;
    try {
      const wanted = { name: name.peek().trim(), scopes: [...scopes.peek()] };
      made.value = await api<Made>("POST", "app-passwords", wanted);
      onDone();
    } catch (reason) {
      error.value = sayError(reason);
    }
  };
  const toggle = (scope: Scope, isOn: boolean) => {
    const next = new Set(scopes.peek());
    if (isOn) next.add(scope);
    else next.delete(scope);
    scopes.value = next;
    isScopeless.value = false;
  };
  if (made.value) return <Once made={made.value} onClose={onClose} />;
  return (
    <Dialog title={t("newAppPassword")} size="small" onClose={onClose}>
      <form onSubmit={(event) => void make(event)}>
        <TextField
          label={t("appName")}
          hint={t("appNameHint")}
          autofocus
          value={name.value}
          error={error.value}
          onInput={(value) => {
            name.value = value;
            error.value = "";
          }}
        />
        <fieldset class="choices">
          <legend>{t("scopes")}</legend>
          {SCOPES.map(([scope, label]) => (
            <Checkbox
              key={scope}
              label={t(label)}
              isOn={scopes.value.has(scope)}
              onChange={(isOn) => toggle(scope, isOn)}
            />
          ))}
          {isScopeless.value && (
            <p class="field-error" role="alert">
              {t("scopesNeeded")}
            </p>
          )}
        </fieldset>
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

function Once({ made, onClose }: { made: Made; onClose: () => void }) {
  return (
    <Dialog
      title={t("newAppPassword")}
      size="small"
      isKept
      onClose={onClose}
      actions={
        <Button kind="primary" onClick={onClose}>
          {shell("common.done")}
        </Button>
      }
    >
      <p>{t("shownOnce", { name: made.name })}</p>
      <code class="secret">
        <span>{made.password}</span>
        <CopyButton text={made.password} />
      </code>
    </Dialog>
  );
}
