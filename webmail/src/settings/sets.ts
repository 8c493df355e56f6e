/** One change of one JMAP object; what the server refuses is raised in its words. */

import { jmap } from "../jmap/client.ts";
import type { SetAnswer, SetError } from "../jmap/types.ts";

export class SetRefused extends Error {
  readonly type: string;
  readonly properties: string[];

  constructor(error: SetError) {
    super(error.description || error.type);
    this.type = error.type;
    this.properties = error.properties ?? [];
  }
}

export async function createOne(type: string, value: Record<string, unknown>): Promise<string> {
  const answer = await jmap.call<SetAnswer<{ id: string }>>(`${type}/set`, { create: { new: value } });
  const id = answer.created?.["new"]?.id;
  if (!id) throw new SetRefused(answer.notCreated?.["new"] ?? { type: "serverFail" });
  return id;
}

export async function updateOne(type: string, id: string, patch: Record<string, unknown>): Promise<void> {
  const answer = await jmap.call<SetAnswer>(`${type}/set`, { update: { [id]: patch } });
  const error = answer.notUpdated?.[id];
  if (error) throw new SetRefused(error);
}

export async function destroyOne(type: string, id: string): Promise<void> {
  const answer = await jmap.call<SetAnswer>(`${type}/set`, { destroy: [id] });
  const error = answer.notDestroyed?.[id];
  if (error) throw new SetRefused(error);
}
