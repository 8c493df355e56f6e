/** The page in front of all others: a password and perhaps a code, or a passkey. */

import { type Signal, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { ApiError, api } from "../api.ts";
import { loadSession } from "../state/session.ts";
import { Button, IconButton } from "../ui/button.tsx";
import { TextField } from "../ui/field.tsx";
import { hasPasskeys, signInByPasskey } from "./passkeys.ts";
import "./signin.css";
import { t } from "./texts.ts";

const LAST = "posthouse.lastAddress";

export default function SignIn() {
  const username = useSignal(localStorage.getItem(LAST) ?? "");
  const password = useSignal("");
  const code = useSignal("");
  const needsCode = useSignal(false);
  const error = useSignal("");
  const isBusy = useSignal(false);
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => {
    const field = needsCode.value ? "code" : username.peek() ? "password" : "username";
    form.current?.querySelector<HTMLInputElement>(`[name=${field}]`)?.focus();
  }, [needsCode.value]);

  const run = async (work: () => Promise<boolean>) => {
    if (isBusy.peek()) return;
    isBusy.value = true;
    error.value = "";
    try {
      if (await work()) {
        if (username.peek()) localStorage.setItem(LAST, username.peek());
        await loadSession();
      }
    } catch (reason) {
      if (wantsCode(reason) && !needsCode.peek()) needsCode.value = true;
      else error.value = explain(reason, needsCode.peek());
      code.value = "";
    } finally {
      isBusy.value = false;
    }
  };
  const signIn = async () => {
    if (!username.peek().trim() || !password.peek()) {
      error.value = t("missing");
      return false;
    }
    const given = { username: username.peek().trim(), password: password.peek() };
    await api("POST", "session", needsCode.peek() ? { ...given, code: code.peek().replace(/\s/g, "") } : given);
    return true;
  };
  const passkey = () =>
    run(() =>
      signInByPasskey().catch((reason: unknown) => {
        throw reason instanceof ApiError ? reason : new Error(t("passkeyFailed"));
      }),
    );
  return (
    <main id="content" class="signin">
      <form
        ref={form}
        class="signin-box"
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          void run(signIn);
        }}
      >
        <Mark />
        <h1>{needsCode.value ? t("codeTitle") : t("welcome")}</h1>
        {error.value && (
          <p class="signin-error" role="alert">
            {error.value}
          </p>
        )}
        {needsCode.value ? <CodeStep code={code} /> : <PasswordStep username={username} password={password} />}
        <Button kind="primary" type="submit" class="signin-go" isBusy={isBusy.value}>
          {t("signIn")}
        </Button>
        {needsCode.value && (
          <Button
            kind="plain"
            onClick={() => {
              needsCode.value = false;
              password.value = "";
              error.value = "";
            }}
          >
            {t("back")}
          </Button>
        )}
        {hasPasskeys() && (
          <>
            <p class="signin-or">
              <span>{t("or")}</span>
            </p>
            <Button icon="key" class="signin-go" disabled={isBusy.value} onClick={() => void passkey()}>
              {t("passkey")}
            </Button>
          </>
        )}
      </form>
    </main>
  );
}

function PasswordStep({ username, password }: { username: Signal<string>; password: Signal<string> }) {
  const isShown = useSignal(false);
  return (
    <>
      <TextField
        label={t("address")}
        name="username"
        autocomplete="username webauthn"
        inputmode="email"
        value={username.value}
        onInput={(value) => {
          username.value = value;
        }}
      />
      <div class="signin-password">
        <TextField
          label={t("password")}
          name="password"
          type={isShown.value ? "text" : "password"}
          autocomplete="current-password"
          value={password.value}
          onInput={(value) => {
            password.value = value;
          }}
        />
        <IconButton
          icon="eye"
          size="small"
          label={isShown.value ? t("hidePassword") : t("showPassword")}
          aria-pressed={isShown.value}
          onClick={() => {
            isShown.value = !isShown.peek();
          }}
        />
      </div>
    </>
  );
}

function CodeStep({ code }: { code: Signal<string> }) {
  return (
    <>
      <p class="quiet">{t("codeText")}</p>
      <TextField
        label={t("code")}
        name="code"
        autocomplete="one-time-code"
        value={code.value}
        onInput={(value) => {
          code.value = value;
        }}
      />
    </>
  );
}

function wantsCode(reason: unknown): boolean {
  if (!(reason instanceof ApiError)) return false;
  const needs = reason.problem["needs"];
  return Array.isArray(needs) && needs.includes("totp");
}

function explain(reason: unknown, isCode: boolean): string {
  if (!(reason instanceof ApiError))
    return reason instanceof Error && reason.name === "Error" ? reason.message : t("offline");
  if (reason.status === 401) return isCode ? t("wrongCode") : t("wrong");
  if (reason.status === 429) return t("tooFast");
  if (reason.status === 403 && location.protocol === "http:" && /https/.test(reason.message)) return t("needsTls");
  return reason.message;
}

function Mark() {
  return (
    <svg class="signin-mark" viewBox="0 0 48 48" width="48" height="48" aria-hidden="true">
      <rect width="48" height="48" rx="12" fill="var(--accent)" />
      <path
        d="M11 17h26v17H11zM11 18l13 10 13-10"
        fill="none"
        stroke="var(--accent-ink)"
        stroke-width="2.6"
        stroke-linejoin="round"
      />
    </svg>
  );
}
