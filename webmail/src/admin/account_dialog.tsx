/** One account: name, quota, rights, more addresses, password, second factors, removal. */

import { useSignal } from "@preact/signals";
import { api } from "../api.ts";
import { locale } from "../i18n/index.ts";
import { t as shell } from "../i18n/t.ts";
import { formatSize } from "../mail/format.ts";
import { attempt, Shown, sayError, useLoad } from "../settings/load.tsx";
import { session } from "../state/session.ts";
import { Button, IconButton } from "../ui/button.tsx";
import { Confirm, Dialog } from "../ui/dialog.tsx";
import { Switch, TextField } from "../ui/field.tsx";
import { toast } from "../ui/toast.tsx";
import type { Told } from "./accounts.tsx";
import { readMegabytes, writeMegabytes } from "./quota.ts";
import { type AdminText, t } from "./texts.ts";
import type { AccountDetails } from "./types.ts";

export interface AccountDialogProps {
  address: string;
  onTold: (told: Told) => void;
  onChanged: () => void;
  onClose: () => void;
}

export function AccountDialog({ address, onTold, onChanged, onClose }: AccountDialogProps) {
  const path = `admin/accounts/${encodeURIComponent(address)}`;
  const loaded = useLoad(() => api<AccountDetails>("GET", path));
  return (
    <Dialog title={address} onClose={onClose}>
      <Shown loaded={loaded}>
        {(account) => (
          <>
            <EditForm account={account} path={path} onChanged={onChanged} onClose={onClose} />
            <hr />
            <Addresses account={account} path={path} onChanged={() => void loaded.reload().then(onChanged)} />
            <hr />
            <Dangerous account={account} path={path} onTold={onTold} onChanged={onChanged} onClose={onClose} />
          </>
        )}
      </Shown>
    </Dialog>
  );
}

interface PartProps {
  account: AccountDetails;
  path: string;
  onChanged: () => void;
}

function EditForm({ account, path, onChanged, onClose }: PartProps & { onClose: () => void }) {
  const name = useSignal(account.name);
  const quota = useSignal(writeMegabytes(account.quota));
  const isAdmin = useSignal(account.admin);
  const isDisabled = useSignal(account.disabled);
  const error = useSignal("");
  const wrongQuota = useSignal("");
  const isOwn = session.value?.account.name === account.address;
  const used = formatSize(account.used, locale());
  const save = async (event: Event) => {
    event.preventDefault();
    const limit = readMegabytes(quota.peek());
    wrongQuota.value = limit === undefined ? t("notNumber", { text: quota.peek() }) : "";
    if (limit === undefined) return;
    try {
      const rights = isOwn ? {} : { admin: isAdmin.peek(), disabled: isDisabled.peek() };
      await api("PATCH", path, { name: name.peek().trim(), quota: limit, ...rights });
      toast(t("saved"));
      onChanged();
      onClose();
    } catch (reason) {
      error.value = sayError(reason);
    }
  };
  return (
    <form onSubmit={(event) => void save(event)}>
      <p class="quiet">
        {account.quota === null
          ? t("quotaNone", { used })
          : t("quotaUsed", { used, limit: formatSize(account.quota, locale()) })}
        {`; ${t("appCount", { n: account.app_passwords })}, ${t("sessionCount", { n: account.web_sessions })}`}
      </p>
      <TextField
        label={t("name")}
        value={name.value}
        error={error.value}
        onInput={(value) => {
          name.value = value;
        }}
      />
      <TextField
        label={t("quota")}
        hint={t("quotaHint")}
        inputmode="numeric"
        value={quota.value}
        error={wrongQuota.value}
        onInput={(value) => {
          quota.value = value;
          wrongQuota.value = "";
        }}
      />
      <Switch
        label={t("isAdmin")}
        isOn={isAdmin.value}
        disabled={isOwn}
        onChange={(isOn) => {
          isAdmin.value = isOn;
        }}
      />
      <Switch
        label={t("disabled")}
        isOn={isDisabled.value}
        disabled={isOwn}
        onChange={(isOn) => {
          isDisabled.value = isOn;
        }}
      />
      <div class="form-actions">
        <Button kind="primary" type="submit">
          {shell("common.save")}
        </Button>
      </div>
    </form>
  );
}

function Addresses({ account, path, onChanged }: PartProps) {
  const typed = useSignal("");
  const error = useSignal("");
  const add = async (event: Event) => {
    event.preventDefault();
    try {
      await api("POST", `${path}/addresses`, { address: typed.peek().trim() });
      typed.value = "";
      onChanged();
    } catch (reason) {
      error.value = sayError(reason);
    }
  };
  const remove = (other: string) =>
    attempt(async () => {
      await api("DELETE", `${path}/addresses/${encodeURIComponent(other)}`);
      onChanged();
      const back = () => attempt(async () => [await api("POST", `${path}/addresses`, { address: other }), onChanged()]);
      toast(t("removed", { name: other }), { undo: () => void back() });
    });
  const others = account.addresses.filter((one) => one !== account.address);
  return (
    <>
      <h3>{t("otherAddresses")}</h3>
      <ul class="rows">
        {others.map((one) => (
          <li key={one}>
            <span class="row-main">{one}</span>
            <IconButton
              icon="trash"
              size="small"
              label={t("removeNamed", { name: one })}
              onClick={() => void remove(one)}
            />
          </li>
        ))}
      </ul>
      <form class="filters" onSubmit={(event) => void add(event)}>
        <TextField
          label={t("addAddress")}
          inputmode="email"
          value={typed.value}
          error={error.value}
          onInput={(value) => {
            typed.value = value;
            error.value = "";
          }}
        />
        <Button type="submit">{t("add")}</Button>
      </form>
    </>
  );
}

type Deed = "makePassword" | "dropFactors" | "removeAccount";
const WORDS: Record<Deed, [AdminText, AdminText, AdminText]> = {
  makePassword: ["makePasswordTitle", "makePasswordText", "makePassword"],
  dropFactors: ["dropFactorsTitle", "dropFactorsText", "dropFactors"],
  removeAccount: ["removeAccountTitle", "removeAccountText", "remove"],
};

interface DangerousProps extends PartProps {
  onTold: (told: Told) => void;
  onClose: () => void;
}

function Dangerous({ account, path, onTold, onChanged, onClose }: DangerousProps) {
  const asked = useSignal<Deed | null>(null);
  const { address } = account;
  const isOwn = session.value?.account.name === address;
  const deeds: Record<Deed, () => Promise<void>> = {
    makePassword: async () => {
      const { password } = await api<{ password: string | null }>("POST", `${path}/password`, {});
      onClose();
      if (password) onTold({ address, password });
    },
    dropFactors: async () => {
      await api("DELETE", `${path}/second-factor`);
      toast(t("saved"));
      onClose();
    },
    removeAccount: async () => {
      await api("DELETE", path);
      onClose();
      const back = () => attempt(async () => [await api("POST", `${path}/undelete`), onChanged()]);
      toast(t("removed", { name: address }), { undo: () => void back() });
      onChanged();
    },
  };
  const deed = asked.value;
  const words = deed && WORDS[deed];
  const ask = (deed: Deed) => () => {
    asked.value = deed;
  };
  return (
    <div class="panel-actions">
      <Button size="small" icon="key" onClick={ask("makePassword")}>
        {t("makePassword")}
      </Button>
      {account.second_factors.length > 0 && (
        <Button size="small" onClick={ask("dropFactors")}>
          {t("dropFactors")}
        </Button>
      )}
      {!isOwn && (
        <Button size="small" kind="danger" icon="trash" onClick={ask("removeAccount")}>
          {t("remove")}
        </Button>
      )}
      {deed && words && (
        <Confirm
          title={t(words[0])}
          text={t(words[1], { address })}
          action={t(words[2])}
          isDangerous
          onConfirm={() => void attempt(deeds[deed])}
          onClose={() => {
            asked.value = null;
          }}
        />
      )}
    </div>
  );
}
