/** Lines over time, drawn as svg; the same numbers as a table for who cannot see them. */

import { useSignal } from "@preact/signals";
import { useEffect, useId, useRef } from "preact/hooks";
import { locale } from "../i18n/index.ts";
import { drawLine, findIndex, placeX, placeY, planLeft, planScale } from "./plot.ts";
import { t } from "./texts.ts";

export interface Line {
  name: string;
  /** 1 to 4: a colour of the theme. */
  colour: 1 | 2 | 3 | 4;
  values: (number | null)[];
}

export interface PlotProps {
  title: string;
  /** RFC 3339, one for each value. */
  times: string[];
  lines: Line[];
  unit?: string;
  least?: number;
}

const HEIGHT = 190;
const PLACE = { right: 10, top: 10, bottom: 24 };

export function Plot({ title, times, lines, unit, least }: PlotProps) {
  const id = useId();
  const width = useSignal(520);
  const pointed = useSignal<number | null>(null);
  const frame = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const watch = new ResizeObserver(([entry]) => {
      if (entry) width.value = Math.max(260, Math.round(entry.contentRect.width));
    });
    watch.observe(frame.current!);
    return () => watch.disconnect();
  }, []);
  const { max, ticks } = planScale(
    lines.flatMap((line) => line.values),
    least,
    !unit,
  );
  const left = planLeft(ticks.map(sayTick));
  const box = {
    left,
    top: PLACE.top,
    width: width.value - left - PLACE.right,
    height: HEIGHT - PLACE.top - PLACE.bottom,
  };
  const at = pointed.value;
  const marks = [0, 0.25, 0.5, 0.75, 1].map((part) => Math.round(part * (times.length - 1)));
  return (
    <figure class="plot panel" aria-labelledby={id}>
      <figcaption>
        <h2 id={id}>{title}</h2>
        <ul class="plot-legend">
          {lines.map((line) => (
            <li key={line.name}>
              <span class={`plot-key line-${line.colour}`} />
              {line.name}
              {at !== null && <b>{sayValue(line.values[at] ?? null, unit)}</b>}
            </li>
          ))}
        </ul>
      </figcaption>
      <div ref={frame}>
        {times.length === 0 ? (
          <p class="quiet">{t("noFigures")}</p>
        ) : (
          <svg
            class="plot-area"
            width={width.value}
            height={HEIGHT}
            viewBox={`0 0 ${width.value} ${HEIGHT}`}
            aria-hidden="true"
            onPointerMove={(event) => {
              const left = event.currentTarget.getBoundingClientRect().left;
              pointed.value = findIndex(box, event.clientX - left, times.length);
            }}
            onPointerLeave={() => {
              pointed.value = null;
            }}
          >
            {ticks.map((tick) => (
              <g key={tick} class="plot-tick">
                <line x1={box.left} x2={box.left + box.width} y1={placeY(box, tick, max)} y2={placeY(box, tick, max)} />
                <text x={box.left - 8} y={placeY(box, tick, max) + 4} text-anchor="end">
                  {sayTick(tick)}
                </text>
              </g>
            ))}
            {[...new Set(at === null ? marks : [])].map((index) => (
              <text
                key={index}
                class="plot-time"
                x={placeX(box, index, times.length)}
                y={HEIGHT - 6}
                text-anchor={anchorOf(index, times.length)}
              >
                {sayTime(times[index])}
              </text>
            ))}
            {lines.map((line) => (
              <path key={line.name} class={`plot-line line-${line.colour}`} d={drawLine(line.values, box, max)} />
            ))}
            {at !== null && (
              <g class="plot-pointer">
                <line
                  x1={placeX(box, at, times.length)}
                  x2={placeX(box, at, times.length)}
                  y1={box.top}
                  y2={box.top + box.height}
                />
                {lines.map((line) => {
                  const value = line.values[at] ?? null;
                  if (value === null) return null;
                  return (
                    <circle
                      key={line.name}
                      class={`line-${line.colour}`}
                      cx={placeX(box, at, times.length)}
                      cy={placeY(box, value, max)}
                      r={3.5}
                    />
                  );
                })}
                <text
                  class="plot-time strong"
                  x={placeX(box, at, times.length)}
                  y={HEIGHT - 6}
                  text-anchor={anchorOf(at, times.length)}
                >
                  {sayTime(times[at])}
                </text>
              </g>
            )}
          </svg>
        )}
      </div>
      {times.length > 0 && <AsTable title={title} times={times} lines={lines} {...(unit ? { unit } : {})} />}
    </figure>
  );
}

function anchorOf(index: number, count: number): "start" | "middle" | "end" {
  if (index === count - 1) return "end";
  return index === 0 ? "start" : "middle";
}

function sayTick(tick: number): string {
  const notation = tick >= 10_000 ? "compact" : "standard";
  return tick.toLocaleString(locale(), { maximumFractionDigits: 4, notation });
}

function sayTime(time: string | undefined): string {
  return time ? new Date(time).toLocaleTimeString(locale(), { hour: "2-digit", minute: "2-digit" }) : "";
}

function sayValue(value: number | null, unit?: string): string {
  if (value === null) return "–";
  return `${value.toLocaleString(locale(), { maximumFractionDigits: value < 10 ? 2 : 0 })}${unit ? ` ${unit}` : ""}`;
}

function AsTable({ title, times, lines, unit }: PlotProps) {
  return (
    <details class="plot-table">
      <summary>{t("asTable")}</summary>
      <div tabIndex={0} role="group" aria-label={title}>
        <table>
          <caption class="unseen">{title}</caption>
          <thead>
            <tr>
              <th scope="col">{t("time")}</th>
              {lines.map((line) => (
                <th key={line.name} scope="col">
                  {line.name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {times
              .map((time, at) => (
                <tr key={time}>
                  <th scope="row">{sayTime(time)}</th>
                  {lines.map((line) => (
                    <td key={line.name}>{sayValue(line.values[at] ?? null, unit)}</td>
                  ))}
                </tr>
              ))
              .toReversed()}
          </tbody>
        </table>
      </div>
    </details>
  );
}
