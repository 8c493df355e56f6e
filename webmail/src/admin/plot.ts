/** Where the lines of a plot go: scales, ticks, paths. Pure. */

export interface Scale {
  max: number;
  ticks: number[];
}

/** From zero to a round number not below the largest value, in a few steps; of counts, whole ones. */
export function planScale(values: readonly (number | null)[], least = 1, isWhole = false): Scale {
  if (!values.some((value) => value !== null)) return { max: least, ticks: [0, least] };
  const largest = Math.max(least, ...values.map((value) => value ?? 0));
  const raw = largest / 4;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size * 4 >= largest * 0.9999) ?? raw;
  const used = isWhole ? Math.max(1, Math.ceil(step)) : step;
  const count = Math.ceil(largest / used - 1e-9);
  const ticks = Array.from({ length: count + 1 }, (_, at) => Number((at * used).toPrecision(6)));
  return { max: ticks.at(-1) ?? largest, ticks };
}

const DASH = 6;

export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

export function placeX(box: Box, index: number, count: number): number {
  return box.left + (count < 2 ? box.width : (index / (count - 1)) * box.width);
}

export function placeY(box: Box, value: number, max: number): number {
  return box.top + box.height * (1 - value / max);
}

/** Room on the left for the widest of these words at 11 px. */
export function planLeft(words: readonly string[]): number {
  return 14 + Math.ceil(6.6 * Math.max(3, ...words.map((word) => word.length)));
}

/** A line with gaps where there is no value; a lone value is a short dash, so that it is seen. */
export function drawLine(values: readonly (number | null)[], box: Box, max: number): string {
  const round = (number: number) => Math.round(number * 10) / 10;
  let path = "";
  let isDrawing = false;
  values.forEach((value, index) => {
    if (value === null) {
      isDrawing = false;
      return;
    }
    const [x, y] = [round(placeX(box, index, values.length)), round(placeY(box, value, max))];
    const isLone = !isDrawing && (values[index + 1] ?? null) === null;
    path += isLone ? `M${round(x - DASH / 2)} ${y}h${DASH}` : `${isDrawing ? "L" : "M"}${x} ${y}`;
    isDrawing = true;
  });
  return path;
}

/** The index whose place is nearest. */
export function findIndex(box: Box, x: number, count: number): number {
  if (count < 2) return 0;
  return Math.min(count - 1, Math.max(0, Math.round(((x - box.left) / box.width) * (count - 1))));
}
