import type { en } from "./en.ts";
import type { Text } from "./index.ts";

export const de: Record<keyof typeof en, Text> = {
  "app.loading": "Wird geladen",
  "app.failed": "Etwas ist schiefgegangen.",
  "app.retry": "Noch einmal versuchen",
  "app.notes": "Hinweise",
  "app.offline": "Keine Verbindung. Was hier steht, kann veraltet sein.",
  "app.skip": "Zum Inhalt",
  "common.cancel": "Abbrechen",
  "common.close": "Schließen",
  "common.delete": "Löschen",
  "common.done": "Fertig",
  "common.ok": "OK",
  "common.save": "Speichern",
  "common.undo": "Rückgängig",
  "common.more": "Mehr",
  "common.back": "Zurück",
  "nav.mail": "E-Mail",
  "nav.settings": "Einstellungen",
  "nav.admin": "Verwaltung",
  "nav.signOut": "Abmelden",
  "nav.account": "Konto",
  "keys.title": "Tastenkürzel",
};
