const MEGABYTE = 1_000_000;

/** null: no limit; undefined: not a number. */
export function readMegabytes(text: string): number | null | undefined {
  const bare = text.trim().replace(",", ".");
  if (!bare) return null;
  const value = Number(bare);
  if (!Number.isFinite(value) || value < 0) return undefined;
  return Math.round(value * MEGABYTE);
}

export function writeMegabytes(octets: number | null): string {
  return octets === null ? "" : String(Math.round((octets / MEGABYTE) * 10) / 10);
}
