/**
 * When a draft is saved: a while after the last change, never two at once, at the latest some time after the first
 * change that is not saved, and once more when something changed meanwhile. Time comes in; nothing here waits. Pure.
 */

export const QUIET_MS = 1_500;
export const LATEST_MS = 15_000;

export interface SaveState {
  isSaving: boolean;
  /** Times in ms of the first and the last change that no finished save has. */
  firstChange: number | null;
  lastChange: number | null;
  failures: number;
}

export const CLEAN: SaveState = { isSaving: false, firstChange: null, lastChange: null, failures: 0 };

export function noteChange(state: SaveState, now: number): SaveState {
  return { ...state, firstChange: state.firstChange ?? now, lastChange: now };
}

/** When to save next, in ms; null: nothing to save, or it is being saved. */
export function planSave(state: SaveState): number | null {
  if (state.isSaving || state.firstChange === null || state.lastChange === null) return null;
  const due = Math.min(state.lastChange + QUIET_MS, state.firstChange + LATEST_MS);
  return state.failures ? Math.max(due, state.lastChange + backOff(state.failures)) : due;
}

function backOff(failures: number): number {
  return Math.min(60_000, 2_000 * 2 ** (failures - 1));
}

export function noteStart(state: SaveState): SaveState {
  return { isSaving: true, firstChange: null, lastChange: null, failures: state.failures };
}

export function noteSaved(state: SaveState): SaveState {
  return { ...state, isSaving: false, failures: 0 };
}

export function noteFailure(state: SaveState, now: number): SaveState {
  return { isSaving: false, firstChange: state.firstChange ?? now, lastChange: now, failures: state.failures + 1 };
}

export function isClean(state: SaveState): boolean {
  return !state.isSaving && state.firstChange === null;
}
