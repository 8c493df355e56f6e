/** Times to send or to come back, as people say them: in local time, always in the future. Pure. */

export type PresetName =
  | "laterToday"
  | "thisEvening"
  | "tomorrowMorning"
  | "tomorrowAfternoon"
  | "weekend"
  | "nextWeek";

export interface Preset {
  name: PresetName;
  at: Date;
}

function atHour(day: Date, hour: number, plusDays = 0): Date {
  return new Date(day.getFullYear(), day.getMonth(), day.getDate() + plusDays, hour, 0, 0, 0);
}

/** Days until the next such weekday (0: Sunday), at least one. */
function daysUntil(now: Date, weekday: number): number {
  return (weekday - now.getDay() + 7) % 7 || 7;
}

export function planSendTimes(now: Date): Preset[] {
  return [
    ...planEvening(now),
    { name: "tomorrowMorning", at: atHour(now, 8, 1) },
    { name: "tomorrowAfternoon", at: atHour(now, 13, 1) },
    { name: "nextWeek", at: atHour(now, 8, daysUntil(now, 1)) },
  ];
}

export function planSnoozeTimes(now: Date): Preset[] {
  const later = new Date(now.getTime() + 3 * 3600_000);
  later.setMinutes(0, 0, 0);
  const presets: Preset[] = [];
  if (later.getDate() === now.getDate() && later.getHours() <= 20) presets.push({ name: "laterToday", at: later });
  presets.push(...planEvening(now), { name: "tomorrowMorning", at: atHour(now, 8, 1) });
  if (now.getDay() >= 1 && now.getDay() <= 5) presets.push({ name: "weekend", at: atHour(now, 9, daysUntil(now, 6)) });
  presets.push({ name: "nextWeek", at: atHour(now, 8, daysUntil(now, 1)) });
  presets.sort((one, other) => +one.at - +other.at);
  return presets.filter((one, at) => presets.findIndex((other) => +other.at === +one.at) === at);
}

function planEvening(now: Date): Preset[] {
  return now.getHours() < 17 ? [{ name: "thisEvening", at: atHour(now, 18) }] : [];
}

/** The value of `<input type="datetime-local">`. */
export function toLocalInput(at: Date): string {
  const two = (number: number) => String(number).padStart(2, "0");
  const day = `${String(at.getFullYear()).padStart(4, "0")}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day}T${two(at.getHours())}:${two(at.getMinutes())}`;
}

/** null: no time, or none that is still to come. */
export function fromLocalInput(text: string, now: Date): Date | null {
  const found = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)/.exec(text);
  if (!found) return null;
  const [year, month, day, hour, minute] = found.slice(1).map(Number) as [number, number, number, number, number];
  const at = new Date(year, month - 1, day, hour, minute);
  return Number.isNaN(+at) || at <= now ? null : at;
}

/** RFC 3339 without fractions, as JMAP's UTCDate and HOLDUNTIL have it. */
export function toUtcDate(at: Date): string {
  return at.toISOString().replace(/\.\d+Z$/, "Z");
}
