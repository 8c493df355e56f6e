/** Live figures of the whole server. */

import { api } from "../api.ts";
import { locale } from "../i18n/index.ts";
import { Shown, useLoad, useReload } from "../settings/load.tsx";
import { Plot } from "./plot.tsx";
import { type AdminText, t } from "./texts.ts";
import type { Counter, Figures, Minute, Percentiles } from "./types.ts";

const LEAST_MINUTES = 15;
const TILES: readonly Counter[] = ["received", "submitted", "delivered", "relayed", "rejected", "failed"];
const STATES: readonly [string, AdminText, 1 | 2 | 3 | 4][] = [
  ["ready", "stateReady", 1],
  ["active", "stateActive", 2],
  ["deferred", "stateDeferred", 3],
  ["held", "stateHeld", 4],
];

export function Overview() {
  const loaded = useLoad(() => api<Figures>("GET", "admin/figures"));
  useReload(loaded);
  return (
    <Shown loaded={loaded}>
      {(figures) => (
        <>
          <Tiles now={figures.now} />
          <Plots figures={figures} />
        </>
      )}
    </Shown>
  );
}

function sum(queue: Record<string, number>): number {
  return STATES.reduce((total, [name]) => total + (queue[name] ?? 0), 0);
}

function Tiles({ now }: { now: Figures["now"] }) {
  const say = (value: number) => value.toLocaleString(locale(), { maximumFractionDigits: 1 });
  const median = now.deliveryTimes.p50;
  return (
    <dl class="tiles">
      {TILES.map((name) => (
        <div key={name}>
          <dt>{t(name)}</dt>
          <dd>
            {say(now[name] ?? 0)}
            <small>{t("perMinute", { n: say((now.perSecond[name] ?? 0) * 60) })}</small>
          </dd>
        </div>
      ))}
      <div>
        <dt>{t("inQueue")}</dt>
        <dd>
          {say(now.messages ?? sum(now.queue))}
          {now.oldestSeconds ? <small>{t("oldest", { time: saySeconds(now.oldestSeconds) })}</small> : null}
        </dd>
      </div>
      <div>
        <dt>{t("deliveryTime")}</dt>
        <dd>{median === null || median === undefined ? "–" : saySeconds(median)}</dd>
      </div>
    </dl>
  );
}

const MINUTES = { style: "unit", unit: "minute", unitDisplay: "short" } as const;

function saySeconds(seconds: number): string {
  if (seconds >= 120) return new Intl.NumberFormat(locale(), MINUTES).format(Math.round(seconds / 60));
  const isShort = seconds < 1;
  const value = isShort
    ? Math.round(seconds * 1000)
    : seconds < 10
      ? Math.round(seconds * 10) / 10
      : Math.round(seconds);
  const unit = isShort ? "millisecond" : "second";
  return new Intl.NumberFormat(locale(), { style: "unit", unit, unitDisplay: "short" }).format(value);
}

/** A server that has just begun has few minutes: those before it stand empty, so that a plot is not one dot. */
function fillMinutes(minutes: Minute[]): (Partial<Minute> & { at: string })[] {
  const first = minutes[0];
  if (!first) return [];
  const missing = Math.max(0, LEAST_MINUTES - minutes.length);
  const empty = Array.from({ length: missing }, (_, index) => ({
    at: new Date(Date.parse(first.at) - (missing - index) * 60_000).toISOString(),
  }));
  return [...empty, ...minutes];
}

function Plots({ figures }: { figures: Figures }) {
  const minutes = fillMinutes(figures.minutes);
  const times = minutes.map((one) => one.at);
  const of = (name: Counter) => minutes.map((one) => one[name] ?? null);
  const delays = (name: keyof Percentiles) => minutes.map((one) => one.deliveryTimes?.[name] ?? null);
  const isQuick = delays("p99").every((value) => value === null || value < 1);
  const isMeasured = delays("p99").some((value) => value !== null);
  const [factor, unit] = isMeasured && isQuick ? [1000, "ms"] : [1, "s"];
  const scaled = (name: keyof Percentiles) => delays(name).map((value) => value && value * factor);
  return (
    <div class="plots">
      <Plot
        title={t("throughput")}
        times={times}
        lines={[
          { name: t("received"), colour: 1, values: of("received") },
          { name: t("delivered"), colour: 2, values: of("delivered") },
          { name: t("relayed"), colour: 3, values: of("relayed") },
        ]}
      />
      <Plot
        title={t("queueChart")}
        times={times}
        lines={STATES.map(([name, text, colour]) => ({
          name: t(text),
          colour,
          values: minutes.map((one) => (one.queue ? (one.queue[name] ?? 0) : null)),
        }))}
      />
      <Plot
        title={t("rejections")}
        times={times}
        lines={[
          { name: t("rejected"), colour: 4, values: of("rejected") },
          { name: t("failed"), colour: 3, values: of("failed") },
          { name: t("deferred"), colour: 1, values: of("deferred") },
        ]}
      />
      <Plot
        title={`${t("times")} (${t(unit === "ms" ? "milliseconds" : "seconds")})`}
        times={times}
        unit={unit}
        lines={[
          { name: t("p50"), colour: 1, values: scaled("p50") },
          { name: t("p90"), colour: 2, values: scaled("p90") },
          { name: t("p99"), colour: 3, values: scaled("p99") },
        ]}
      />
    </div>
  );
}
