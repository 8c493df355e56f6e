import { section, type Text, type Texts } from "../i18n/index.ts";

const en = {
  snoozeTitle: "Snooze until …",
  snoozeText: "The message leaves the list and comes back unread at that time.",
  snooze: "Snooze",
  labels: "Labels",
  labelsEmpty: "There are no labels yet.",
  filter: "Find or create a label",
  create: "Create “{name}”",
  apply: "Apply",
  edit: "Change {name}",
  name: "Name",
  colour: "Colour",
  remove: "Delete this label",
  removeText: "Messages keep the keyword, but no label is shown for it.",
  blue: "Blue",
  teal: "Teal",
  green: "Green",
  yellow: "Yellow",
  orange: "Orange",
  red: "Red",
  pink: "Pink",
  violet: "Violet",
  grey: "Grey",
} satisfies Texts;

const de: Record<keyof typeof en, Text> = {
  snoozeTitle: "Zurückstellen bis …",
  snoozeText: "Die Nachricht verschwindet aus der Liste und kommt zu dieser Zeit ungelesen zurück.",
  snooze: "Zurückstellen",
  labels: "Labels",
  labelsEmpty: "Es gibt noch keine Labels.",
  filter: "Label suchen oder anlegen",
  create: "„{name}“ anlegen",
  apply: "Anwenden",
  edit: "{name} ändern",
  name: "Name",
  colour: "Farbe",
  remove: "Dieses Label löschen",
  removeText: "Nachrichten behalten das Schlüsselwort, aber es wird kein Label mehr gezeigt.",
  blue: "Blau",
  teal: "Petrol",
  green: "Grün",
  yellow: "Gelb",
  orange: "Orange",
  red: "Rot",
  pink: "Rosa",
  violet: "Violett",
  grey: "Grau",
};

export const t = section(en, de);
export type DialogText = Parameters<typeof t>[0];
