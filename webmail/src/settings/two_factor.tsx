/** Codes of an app (TOTP): the secret as a picture drawn here and as text, a code to prove it arrived, recovery codes. */

import { useSignal } from "@preact/signals";
import { api } from "../api.ts";
import { t as shell } from "../i18n/t.ts";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { TextField } from "../ui/field.tsx";
import { toast } from "../ui/toast.tsx";
import { Panel } from "./frame.tsx";
import { Shown, sayError, useLoad } from "./load.tsx";
import { QrCode } from "./qr.tsx";
import { t } from "./texts.ts";

interface Standing {
  isOn: boolean;
  recoveryCodes: number;
}

interface Proposed {
  secret: string;
  uri: string;
}

export function TwoFactor() {
  const loaded = useLoad(() => api<Standing>("GET", "totp"));
  const open = useSignal<"on" | "off" | null>(null);
  const close = () => {
    open.value = null;
    void loaded.reload();
  };
  return (
    <Panel title={t("twoFactor")} text={t("twoFactorText")}>
      <Shown loaded={loaded}>
        {({ isOn, recoveryCodes }) => (
          <ul class="rows">
            <li>
              <span class="row-main">
                <span class={isOn ? "badge good" : "badge"}>{isOn ? t("isOn") : t("isOff")}</span>
                {isOn && <small>{t("recoveryLeft", { n: recoveryCodes })}</small>}
              </span>
              <Button size="small" onClick={() => (open.value = isOn ? "off" : "on")}>
                {isOn ? t("turnOff") : t("turnOn")}
              </Button>
            </li>
          </ul>
        )}
      </Shown>
      {open.value === "on" && <TurnOn onClose={close} />}
      {open.value === "off" && <TurnOff onClose={close} />}
    </Panel>
  );
}

function TurnOn({ onClose }: { onClose: () => void }) {
  const loaded = useLoad(() => api<Proposed>("POST", "totp", {}));
  const code = useSignal("");
  const error = useSignal("");
  const recovery = useSignal<string[] | null>(null);
  const confirm = async (event: Event) => {
    event.preventDefault();
    try {
      const answer = await api<{ recoveryCodes: string[] }>("POST", "totp", { code: code.peek().replace(/\s/g, "") });
      recovery.value = answer.recoveryCodes;
    } catch (reason) {
      error.value = sayError(reason);
    }
  };
  if (recovery.value) return <Recovery codes={recovery.value} onClose={onClose} />;
  return (
    <Dialog title={t("twoFactor")} size="small" onClose={onClose}>
      <Shown loaded={loaded}>
        {({ secret, uri }) => (
          <form onSubmit={(event) => void confirm(event)}>
            <p class="quiet">{t("scan")}</p>
            <QrCode text={uri} label={t("qrLabel")} />
            <p class="quiet">{t("key")}</p>
            <code class="secret">{secret.replace(/(.{4})(?=.)/g, "$1 ")}</code>
            <TextField
              label={t("enterCode")}
              inputmode="numeric"
              autocomplete="one-time-code"
              value={code.value}
              error={error.value}
              onInput={(value) => {
                code.value = value;
                error.value = "";
              }}
            />
            <div class="form-actions">
              <Button onClick={onClose}>{shell("common.cancel")}</Button>
              <Button kind="primary" type="submit">
                {t("confirm")}
              </Button>
            </div>
          </form>
        )}
      </Shown>
    </Dialog>
  );
}

function Recovery({ codes, onClose }: { codes: string[]; onClose: () => void }) {
  return (
    <Dialog
      title={t("recoveryTitle")}
      size="small"
      isKept
      onClose={onClose}
      actions={
        <>
          <CopyButton text={codes.join("\n")} />
          <Button kind="primary" onClick={onClose}>
            {t("haveSaved")}
          </Button>
        </>
      }
    >
      <p>{t("recoveryText")}</p>
      <ul class="secret-list">
        {codes.map((code) => (
          <li key={code}>{code}</li>
        ))}
      </ul>
    </Dialog>
  );
}

export function CopyButton({ text }: { text: string }) {
  const copy = async () => {
    await navigator.clipboard?.writeText(text).catch(() => undefined);
    toast(t("copied"));
  };
  return (
    <Button size="small" onClick={() => void copy()}>
      {t("copy")}
    </Button>
  );
}

function TurnOff({ onClose }: { onClose: () => void }) {
  const password = useSignal("");
  const error = useSignal("");
  const submit = async (event: Event) => {
    event.preventDefault();
    try {
      await api("DELETE", "totp", { password: password.peek() });
      onClose();
    } catch (reason) {
      error.value = sayError(reason);
    }
  };
  return (
    <Dialog title={t("turnOffTitle")} size="small" onClose={onClose}>
      <form onSubmit={(event) => void submit(event)}>
        <p class="quiet">{t("turnOffText")}</p>
        <TextField
          label={t("password")}
          type="password"
          autocomplete="current-password"
          autofocus
          value={password.value}
          error={error.value}
          onInput={(value) => {
            password.value = value;
            error.value = "";
          }}
        />
        <div class="form-actions">
          <Button onClick={onClose}>{shell("common.cancel")}</Button>
          <Button kind="danger" type="submit">
            {t("turnOff")}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
