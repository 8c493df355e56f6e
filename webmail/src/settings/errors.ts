/** What the server says against a wish, in the language of the page: it says it in English. Pure but for the language. */

import { language } from "../i18n/index.ts";

const GERMAN: readonly [RegExp, string][] = [
  [/^(.+) is already here$/i, "$1 gibt es hier schon."],
  [/^(.+) is not hosted here\b.*$/i, "Die Domain $1 ist nicht von hier. Legen Sie sie zuerst unter „Domains“ an."],
  [/^(.+) is itself an alias of (.+)$/i, "$1 ist selbst ein Alias von $2."],
  [/^(.+) has (\d+) accounts and (\d+) aliases: .*$/i, "$1 hat $2 Konten und $3 Aliasse: Entfernen Sie erst diese."],
  [/^(.+) is an alias of (.+): remove it first$/i, "$1 ist ein Alias von $2: Entfernen Sie erst diesen."],
  [/^(.+) belongs to the account (.+)$/i, "$1 gehört dem Konto $2."],
  [/^(.+) belongs to .*$/i, "$1 ist schon vergeben."],
  [/^(.+) is the only address of the account: .*$/i, "$1 ist die einzige Adresse des Kontos: Entfernen Sie das Konto."],
  [/^(.+) would lead to nobody: .*$/i, "$1 führte zu niemandem: Die Ziele gibt es nicht, oder sie gehen im Kreis."],
  [/^(.+) does not exist$/i, "$1 gibt es nicht."],
  [/^(.+) is the account itself$/i, "$1 ist das Konto selbst."],
  [/^(.+) is an address, not a domain$/i, "$1 ist eine Adresse, keine Domain."],
  [/^there is no account (.+)$/i, "Das Konto $1 gibt es nicht."],
  [/^there is no such (?:account|address|alias|domain|session|message).*$/i, "Das gibt es nicht (mehr)."],
  [/^mail is forwarded to at most (\d+) addresses$/i, "Weitergeleitet wird an höchstens $1 Adressen."],
  [/^an account has at most (\d+) app passwords$/i, "Ein Konto hat höchstens $1 App-Passwörter."],
  [/^there is another credential named '(.*)'$/i, "Ein App-Passwort „$1“ gibt es schon."],
  [/^a password has at least (\d+) characters$/i, "Ein Passwort hat mindestens $1 Zeichen."],
  [/^the password of this account is kept elsewhere.*$/i, "Das Passwort dieses Kontos wird anderswo geändert."],
  [/^a name has at most (\d+) characters.*$/i, "Ein Name hat höchstens $1 Zeichen und keine Steuerzeichen."],
  [/^(?:the|user name or) password (?:is|are) wrong$/i, "Das Passwort ist falsch."],
  [/^this is your own account: .*$/i, "Das ist Ihr eigenes Konto: Ein anderer Verwalter kann das."],
  [/^this code is wrong, or was used before$/i, "Dieser Code ist falsch oder wurde schon benutzt."],
  [/^too many (?:wrong codes|failed logins).*$/i, "Zu viele Fehlversuche. Versuchen Sie es später noch einmal."],
  [/^codes are switched on already$/i, "Die Codes sind schon eingeschaltet."],
  [/^passkeys need a host name, not an address$/i, "Passkeys brauchen einen Namen des Servers, keine IP-Adresse."],
  [/^this (?:is no answer to a registration|registration was).*$/i, "Das ging nicht. Versuchen Sie es noch einmal."],
  [/^this is for administrators$/i, "Das ist für Verwalter."],
  [
    /^another import or export of this account .*$/i,
    "Es läuft schon ein Import oder Export. Warten Sie, bis er fertig ist.",
  ],
  [/^this is no zip archive.*$/i, "Das ist keine Zip-Datei, oder sie ist beschädigt."],
  [/^this archive (?:has|holds) .*$/i, "In der Datei ist mehr, als auf einmal importiert werden kann."],
  [/^no mbox: .*$/i, "Das ist keine mbox-Datei."],
  [/^mail comes into (.+) by being sent$/i, "In „$1“ kommt nur, was gesendet wird."],
  [/^(\S*@.*?): (?:domain|address|quoted|local part)\b.*$/i, "„$1“ ist keine Adresse."],
  [/^(.+?): (?:domain|address|quoted|local part)\b.*$/i, "„$1“ ist hier nicht gültig."],
];

const ENGLISH: readonly [RegExp, string][] = [
  [/^this is no zip archive.*$/i, "This is no zip file, or it is damaged."],
  [/^no mbox: .*$/i, "This is no mbox file."],
  [/^there is another credential named '(.*)'$/i, "There is an app password “$1” already."],
  [/^user name or password are wrong$/i, "The password is wrong."],
  [/^(.+) is the only address of the account: .*$/i, "$1 is the only address of the account: remove the account."],
  [/^(.+) would lead to nobody: .*$/i, "$1 would lead to nobody: its targets do not exist, or lead in a circle."],
  [/^(\S*@.*?): (?:domain|address|quoted|local part)\b.*$/i, "“$1” is not an address."],
  [/^(.+?): (?:domain|address|quoted|local part)\b.*$/i, "“$1” is not valid here."],
];

/** Without a hint for the command line; in German where we know the sentence. */
export function translate(sentence: string): string {
  const bare = sentence.replace(/: posthouse [a-z -]+\S*.*$/, "");
  const table = language.value === "de" ? GERMAN : ENGLISH;
  const found = table.find(([pattern]) => pattern.test(bare));
  if (found) return bare.replace(...found);
  return bare.replace(/^[a-z](?=[a-z]* )/, (letter) => letter.toUpperCase());
}
