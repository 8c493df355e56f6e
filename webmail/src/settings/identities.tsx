import { type Signal, useSignal } from "@preact/signals";
import { formatAddresses, isValidAddress, parseAddresses } from "../compose/addresses.ts";
import { textToHtml } from "../compose/quote.ts";
import { t as shell } from "../i18n/t.ts";
import { jmap } from "../jmap/client.ts";
import type { EmailAddress, GetAnswer, Identity } from "../jmap/types.ts";
import { lazy } from "../lazy.tsx";
import { session } from "../state/session.ts";
import { Button, IconButton } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Switch, TextField } from "../ui/field.tsx";
import { toast } from "../ui/toast.tsx";
import { Panel } from "./frame.tsx";
import { attempt, Shown, sayError, useLoad } from "./load.tsx";
import { createOne, destroyOne, updateOne } from "./sets.ts";
import { t } from "./texts.ts";

type Edited = Identity | "new" | null;

const SignatureEditor = lazy(() => import("./signature_editor.tsx"));

export function IdentitySettings() {
  const loaded = useLoad(async () => (await jmap.call<GetAnswer<Identity>>("Identity/get", { ids: null })).list);
  const edited = useSignal<Edited>(null);
  const remove = async (one: Identity) => {
    if (!(await attempt(() => destroyOne("Identity", one.id)))) return;
    await loaded.reload();
    const { id: _id, mayDelete: _may, ...value } = one;
    toast(t("removed"), {
      undo: () => void attempt(async () => [await createOne("Identity", value), await loaded.reload()]),
    });
  };
  const prefer = (one: Identity) =>
    attempt(async () => {
      await updateOne("Identity", one.id, { isDefault: true });
      await loaded.reload();
    });
  return (
    <Panel
      text={t("identitiesText")}
      actions={
        <Button icon="plus" size="small" onClick={() => (edited.value = "new")}>
          {t("newIdentity")}
        </Button>
      }
    >
      <Shown loaded={loaded}>
        {(list) => (
          <ul class="rows">
            {list.map((one) => (
              <li key={one.id}>
                <span class="row-main">
                  <b>{one.name || one.email}</b>
                  <small>{one.name ? one.email : one.textSignature.split("\n")[0]}</small>
                </span>
                {one.isDefault ? (
                  <span class="badge good">{t("default")}</span>
                ) : (
                  <Button kind="plain" size="small" onClick={() => void prefer(one)}>
                    {t("makeDefault")}
                  </Button>
                )}
                <Button
                  size="small"
                  aria-label={t("editNamed", { name: one.email })}
                  onClick={() => (edited.value = one)}
                >
                  {t("edit")}
                </Button>
                {one.mayDelete && (
                  <IconButton
                    icon="trash"
                    size="small"
                    label={t("removeNamed", { name: one.email })}
                    onClick={() => void remove(one)}
                  />
                )}
              </li>
            ))}
          </ul>
        )}
      </Shown>
      {edited.value && (
        <IdentityDialog
          identity={edited.value === "new" ? null : edited.value}
          onClose={() => (edited.value = null)}
          onDone={() => void loaded.reload()}
        />
      )}
    </Panel>
  );
}

interface DialogProps {
  identity: Identity | null;
  onClose: () => void;
  onDone: () => void;
}

function readList(text: string): EmailAddress[] | null {
  const list = parseAddresses(text);
  const wrong = list.find((one) => !isValidAddress(one.email));
  if (wrong) throw new Error(t("badAddress", { email: wrong.email }));
  return list.length ? list : null;
}

function IdentityDialog({ identity, onClose, onDone }: DialogProps) {
  const name = useSignal(identity?.name ?? session.value?.account.displayName ?? "");
  const email = useSignal(identity?.email ?? "");
  const replyTo = useSignal(formatAddresses(identity?.replyTo ?? []));
  const bcc = useSignal(formatAddresses(identity?.bcc ?? []));
  const text = useSignal(identity?.textSignature ?? "");
  const html = useSignal(identity?.htmlSignature ?? "");
  const isRich = useSignal(html.peek() !== "");
  const error = useSignal("");
  const save = async (event: Event) => {
    event.preventDefault();
    if (event.target !== event.currentTarget) return; // the form for a link, within ours
    try {
      const value = {
        name: name.peek().trim(),
        replyTo: readList(replyTo.peek()),
        bcc: readList(bcc.peek()),
        textSignature: text.peek(),
        htmlSignature: isRich.peek() ? html.peek() : "",
      };
      if (identity) await updateOne("Identity", identity.id, value);
      else await createOne("Identity", { ...value, email: email.peek().trim() });
      toast(t("saved"));
      onDone();
      onClose();
    } catch (reason) {
      error.value = sayError(reason);
    }
  };
  const set = (signal: Signal<string>) => (value: string) => {
    signal.value = value;
    error.value = "";
  };
  return (
    <Dialog title={identity ? identity.email : t("newIdentity")} onClose={onClose}>
      <form onSubmit={(event) => void save(event)}>
        {error.value && (
          <p class="notice bad" role="alert">
            {error.value}
          </p>
        )}
        {!identity && (
          <TextField
            label={t("email")}
            type="text"
            inputmode="email"
            autofocus
            value={email.value}
            onInput={set(email)}
          />
        )}
        <TextField label={t("displayName")} autofocus={identity !== null} value={name.value} onInput={set(name)} />
        {isRich.value ? (
          <SignatureEditor
            html={html.peek()}
            onChange={(rich, plain) => {
              html.value = rich;
              text.value = plain;
              error.value = "";
            }}
          />
        ) : (
          <TextField label={t("signature")} rows={4} value={text.value} onInput={set(text)} />
        )}
        <Switch
          label={t("signatureRich")}
          hint={t("signatureRichHint")}
          isOn={isRich.value}
          onChange={(isOn) => {
            if (isOn) html.value = textToHtml(text.peek());
            isRich.value = isOn;
          }}
        />
        <TextField label={t("replyTo")} hint={t("addressList")} value={replyTo.value} onInput={set(replyTo)} />
        <TextField label={t("alwaysBcc")} hint={t("addressList")} value={bcc.value} onInput={set(bcc)} />
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
