import { type Signal, useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
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
import { createOne, destroyOne, SetRefused, updateOne } from "./sets.ts";
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

type Field = "email" | "replyTo" | "bcc" | "";
interface Wrong {
  field: Field;
  text: string;
}
const RIGHT: Wrong = { field: "", text: "" };

function findWrong(field: Field, list: EmailAddress[]): Wrong | null {
  const wrong = list.find((one) => !isValidAddress(one.email));
  return wrong ? { field, text: t("badAddress", { email: wrong.email }) } : null;
}

/** At the field that the server names. */
function explain(reason: unknown): Wrong {
  const named = reason instanceof SetRefused ? reason.properties[0] : "";
  const isMine = reason instanceof SetRefused && (reason.type === "forbiddenFrom" || named === "email");
  if (isMine) return { field: "email", text: t("notYours") };
  return { field: named === "replyTo" || named === "bcc" ? named : "", text: sayError(reason) };
}

function IdentityDialog({ identity, onClose, onDone }: DialogProps) {
  const name = useSignal(identity?.name ?? session.value?.account.displayName ?? "");
  const email = useSignal(identity?.email ?? "");
  const replyTo = useSignal(formatAddresses(identity?.replyTo ?? []));
  const bcc = useSignal(formatAddresses(identity?.bcc ?? []));
  const text = useSignal(identity?.textSignature ?? "");
  const html = useSignal(identity?.htmlSignature ?? "");
  const isRich = useSignal(html.peek() !== "");
  const richText = useRef(text.peek()); // what `html` says
  const wrong = useSignal(RIGHT);
  const wrongAt = (field: Field) => (wrong.value.field === field ? wrong.value.text : "");
  const save = async (event: Event) => {
    event.preventDefault();
    if (event.target !== event.currentTarget) return; // the form for a link, within ours
    const answers = parseAddresses(replyTo.peek());
    const copies = parseAddresses(bcc.peek());
    wrong.value =
      (identity ? null : findWrong("email", [{ name: null, email: email.peek().trim() }])) ??
      findWrong("replyTo", answers) ??
      findWrong("bcc", copies) ??
      RIGHT;
    if (wrong.peek().text) return;
    try {
      const value = {
        name: name.peek().trim(),
        replyTo: answers.length ? answers : null,
        bcc: copies.length ? copies : null,
        textSignature: text.peek(),
        htmlSignature: isRich.peek() ? html.peek() : "",
      };
      if (identity) await updateOne("Identity", identity.id, value);
      else await createOne("Identity", { ...value, email: email.peek().trim() });
      toast(t("saved"));
      onDone();
      onClose();
    } catch (reason) {
      wrong.value = explain(reason);
    }
  };
  /** Back and forth keeps the formatting, unless the bare text was changed. */
  const switchRich = (isOn: boolean) => {
    if (isOn && (!html.peek() || text.peek() !== richText.current)) {
      html.value = textToHtml(text.peek());
      richText.current = text.peek();
    }
    isRich.value = isOn;
  };
  const set = (signal: Signal<string>) => (value: string) => {
    signal.value = value;
    wrong.value = RIGHT;
  };
  return (
    <Dialog title={identity ? identity.email : t("newIdentity")} onClose={onClose}>
      <form onSubmit={(event) => void save(event)}>
        {wrongAt("") && (
          <p class="notice bad" role="alert">
            {wrongAt("")}
          </p>
        )}
        {!identity && (
          <TextField
            label={t("email")}
            type="text"
            inputmode="email"
            autofocus
            value={email.value}
            error={wrongAt("email")}
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
              richText.current = plain;
              wrong.value = RIGHT;
            }}
          />
        ) : (
          <TextField label={t("signature")} rows={4} value={text.value} onInput={set(text)} />
        )}
        <Switch label={t("signatureRich")} hint={t("signatureRichHint")} isOn={isRich.value} onChange={switchRich} />
        <TextField
          label={t("replyTo")}
          hint={t("addressList")}
          value={replyTo.value}
          error={wrongAt("replyTo")}
          onInput={set(replyTo)}
        />
        <TextField
          label={t("alwaysBcc")}
          hint={t("addressList")}
          value={bcc.value}
          error={wrongAt("bcc")}
          onInput={set(bcc)}
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
