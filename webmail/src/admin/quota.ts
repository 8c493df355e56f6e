const MEGABYTE = 1_000_000;

/** null: no limit. Raises for what is no number. */
export function readMegabytes(text: string): number | null {
  const bare = text.trim().replace(",", ".");
  if (!bare) return null;
  const value = Number(bare);
  if (!Number.isFinite(value) || value < 0) throw new Error(`${text}?`);
  return Math.round(value * MEGABYTE);
}

export function writeMegabytes(octets: number | null): string {
  return octets === null ? "" : String(Math.round((octets / MEGABYTE) * 10) / 10);
}
