// The HTTP API beside JMAP: sign-in, settings, administration. Mistakes come as problem details (RFC 9457).

import { OfflineError } from "./jmap/client.ts";

export interface Problem {
  type?: string;
  title?: string;
  status?: number;
  detail?: string;
  [more: string]: unknown;
}

export class ApiError extends Error {
  readonly status: number;
  readonly problem: Problem;

  constructor(status: number, problem: Problem) {
    super(problem.detail ?? problem.title ?? `HTTP ${status}`);
    this.name = "ApiError";
    this.status = status;
    this.problem = problem;
  }
}

type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

/**
 * `path` begins behind /api: `api("GET", "session")`. An answer without a body is `undefined`. Raises ApiError, and
 * OfflineError when nobody answers.
 */
export async function api<T = undefined>(method: Method, path: string, body?: unknown): Promise<T> {
  const isRaw = body instanceof Blob;
  const headers: Record<string, string> = { Accept: "application/json", "X-Posthouse": "1" };
  if (body !== undefined)
    headers["Content-Type"] = isRaw ? body.type || "application/octet-stream" : "application/json";
  const answer = await fetch(`/api/${path}`, {
    method,
    headers,
    credentials: "same-origin",
    body: body === undefined ? null : isRaw ? body : JSON.stringify(body),
  }).catch(() => {
    throw new OfflineError(path);
  });
  const text = await answer.text();
  const isJson = (answer.headers.get("Content-Type") ?? "").includes("json");
  const value: unknown = text && isJson ? JSON.parse(text) : undefined;
  if (!answer.ok) throw new ApiError(answer.status, (value as Problem | undefined) ?? { status: answer.status });
  return value as T;
}
