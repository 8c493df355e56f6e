import { section, type Text, type Texts } from "../i18n/index.ts";

const en = {
  title: "Sign in",
  welcome: "Sign in to your mail",
  address: "Email address",
  password: "Password",
  showPassword: "Show the password",
  hidePassword: "Hide the password",
  signIn: "Sign in",
  passkey: "Sign in with a passkey",
  or: "or",
  codeTitle: "Second factor",
  codeText: "Enter the six digits that your app shows, or a recovery code.",
  code: "Code",
  back: "Use another account",
  wrong: "The address or the password is wrong.",
  wrongCode: "This code is wrong, or was used before.",
  tooFast: "Too many attempts. Wait a while, then try again.",
  needsTls: "Signing in needs an encrypted connection (https).",
  offline: "The server cannot be reached.",
  passkeyFailed: "This passkey could not be used.",
  missing: "Enter your address and your password.",
} satisfies Texts;

const de: Record<keyof typeof en, Text> = {
  title: "Anmelden",
  welcome: "Melden Sie sich an",
  address: "E-Mail-Adresse",
  password: "Passwort",
  showPassword: "Passwort anzeigen",
  hidePassword: "Passwort verbergen",
  signIn: "Anmelden",
  passkey: "Mit einem Passkey anmelden",
  or: "oder",
  codeTitle: "Zweiter Faktor",
  codeText: "Geben Sie die sechs Ziffern ein, die Ihre App zeigt, oder einen Wiederherstellungscode.",
  code: "Code",
  back: "Anderes Konto verwenden",
  wrong: "Adresse oder Passwort sind falsch.",
  wrongCode: "Dieser Code ist falsch oder wurde schon benutzt.",
  tooFast: "Zu viele Versuche. Warten Sie etwas, dann versuchen Sie es erneut.",
  needsTls: "Zum Anmelden braucht es eine verschlüsselte Verbindung (https).",
  offline: "Der Server ist nicht zu erreichen.",
  passkeyFailed: "Dieser Passkey ließ sich nicht verwenden.",
  missing: "Geben Sie Adresse und Passwort ein.",
};

export const t = section(en, de);
