import { locale } from "../i18n/index.ts";

const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
  ["second", 1],
];

/** "3 hours ago" within a month, else the date. */
export function sayWhen(time: string, now = Date.now()): string {
  const at = new Date(time);
  const seconds = (+at - now) / 1000;
  if (Math.abs(seconds) > 30 * 86_400) return at.toLocaleDateString(locale(), { dateStyle: "medium" });
  const [unit, size] = STEPS.find(([, length]) => Math.abs(seconds) >= length) ?? ["second", 1];
  return new Intl.RelativeTimeFormat(locale(), { numeric: "auto" }).format(Math.round(seconds / size), unit);
}

export function sayMoment(time: string): string {
  return new Date(time).toLocaleString(locale(), { dateStyle: "medium", timeStyle: "medium" });
}
