/** Why a message waits, in German: the server says it in English, with a word for each reason (manage/web_queue.py). */

import { language } from "../i18n/index.ts";

const GERMAN: Record<string, string> = {
  "no-such-mailbox": "Das Postfach gibt es nicht",
  "no-such-domain": "Die Domain gibt es nicht",
  "sender-refused": "Die Adresse des Absenders wird dort nicht angenommen",
  "no-mail": "Diese Domain nimmt keine E-Mail an",
  "mailbox-disabled": "Das Postfach nimmt zurzeit nichts an",
  "mailbox-full": "Das Postfach ist voll",
  "too-large": "Die Nachricht ist größer, als man dort annimmt",
  full: "Der andere Server hat zurzeit keinen Platz",
  "not-accepting": "Der andere Server nimmt zurzeit nichts an",
  unreachable: "Der andere Server antwortet nicht",
  "broken-connection": "Die Verbindung zum anderen Server riss ab",
  dns: "Wohin die Nachricht soll, lässt sich nicht herausfinden",
  loop: "Die Nachricht geht im Kreis",
  expired: "Sie ließ sich nicht rechtzeitig zustellen",
  "too-many": "Es sind mehr Empfänger, als der andere Server auf einmal nimmt",
  content: "Der andere Server kommt mit dem Inhalt nicht zurecht",
  "refused-by-policy": "Der andere Server will diese Nachricht nicht",
  tls: "Keine sichere Verbindung zum anderen Server",
  authentication: "Der andere Server konnte die Herkunft nicht prüfen",
  "reverse-name": "Der andere Server will, dass unsere Adresse einen Namen hat",
  rate: "Der andere Server will weniger auf einmal",
  address: "Mit der Adresse stimmt etwas nicht",
  mailbox: "Mit dem Postfach stimmt etwas nicht",
  "other-server": "Beim anderen Server stimmt etwas nicht",
  network: "Auf dem Weg zum anderen Server stimmt etwas nicht",
  protocol: "Der andere Server hat uns nicht verstanden",
  "try-later": "Der andere Server bittet um einen späteren Versuch",
  refused: "Der andere Server lehnt ab",
  greylisted: "Der andere Server lässt neue Absender warten; er nimmt es später",
  held: "Von einem Verwalter angehalten",
  active: "Wird gerade zugestellt",
  waiting: "Wartet, bis sie an der Reihe ist",
  delivered: "Zugestellt",
  relayed: "An den nächsten Server weitergegeben",
  other: "Der andere Server hat abgelehnt",
};

const STEPS: Record<string, string> = {
  submitted: "von einem Benutzer eingeliefert",
  repeated: "noch einmal eingeliefert, nicht noch einmal gesendet",
  canceled: "vom Benutzer zurückgenommen",
  received: "angenommen",
  refused: "abgelehnt",
  queued: "eingereiht",
  tried: "versucht",
  delivered: "ins Postfach zugestellt",
  relayed: "weitergegeben",
  deferred: "aufgeschoben",
  failed: "endgültig gescheitert",
  expired: "aufgegeben: zu alt",
  warned: "Absender erfuhr von der Verzögerung",
  bounced: "dem Absender zurückgegeben",
  reported: "Bericht erstellt",
  discarded: "verworfen, wie eingestellt",
  held: "angehalten",
  released: "freigegeben",
  retried: "neuer Versuch verlangt",
  deleted: "gelöscht",
  removed: "hat die Warteschlange verlassen",
};

export function sayReason(code: string, sentence: string): string {
  return language.value === "de" ? (GERMAN[code] ?? sentence) : sentence;
}

export function sayStep(step: string, words: string): string {
  return language.value === "de" ? (STEPS[step] ?? words) : words;
}
