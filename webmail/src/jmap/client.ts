// Requests of RFC 8620. Calls made in one turn of the event loop go out as one request, in their order, so that one
// may refer to another's answer: `jmap.call("Email/get", { "#ids": query.ref("/ids") })`.

import type { Arguments, Id, Invocation, ResultReference, Session } from "./types.ts";

const USING = [
  "urn:ietf:params:jmap:core",
  "urn:ietf:params:jmap:mail",
  "urn:ietf:params:jmap:submission",
  "urn:ietf:params:jmap:vacationresponse",
  "urn:ietf:params:jmap:blob",
  "urn:ietf:params:jmap:quota",
  "urn:ietf:params:jmap:mdn",
  "urn:posthouse:web",
];
export const MAIL = "urn:ietf:params:jmap:mail";
const CALLS_AT_ONCE = 16;

/** A method's error, or that of a whole request: `type` is RFC 8620's word for it. */
export class JmapError extends Error {
  readonly type: string;
  readonly status: number;
  readonly method: string;

  constructor(type: string, detail: string, status = 200, method = "") {
    super(detail || type);
    this.name = "JmapError";
    this.type = type;
    this.status = status;
    this.method = method;
  }
}

/** No answer came: the network or the server is away. */
export class OfflineError extends Error {
  override name = "OfflineError";
}

/** A call on its way. Awaiting it gives the method's answer. */
export class PendingCall<T> implements PromiseLike<T> {
  readonly name: string;
  readonly args: Arguments;
  readonly id: string;
  readonly promise: Promise<T>;
  resolve!: (value: T) => void;
  reject!: (error: unknown) => void;

  constructor(name: string, args: Arguments, id: string) {
    this.name = name;
    this.args = args;
    this.id = id;
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    // Who asks for several answers and fails at the first never looks at the others.
    this.promise.catch(() => undefined);
  }

  /** A back reference to a part of the answer (RFC 8620 §3.7). */
  ref(path: string): ResultReference {
    return { resultOf: this.id, name: this.name, path };
  }

  // biome-ignore lint/suspicious/noThenProperty: a call is awaited like a promise, and referred to like a call
  then<A = T, B = never>(
    done?: ((value: T) => A | PromiseLike<A>) | null,
    failed?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.promise.then(done, failed);
  }
}

export interface Upload {
  blobId: Id;
  type: string;
  size: number;
}

export class JmapClient {
  session: Session | null = null;
  accountId: Id = "";
  /** Called when the server no longer knows who we are. */
  onSignedOut: () => void = () => undefined;
  onOnline: (isOnline: boolean) => void = () => undefined;
  #waiting: PendingCall<unknown>[] = [];
  #next = 0;
  #using = USING;

  async load(): Promise<Session> {
    const answer = await this.#fetch("/jmap/session", { headers: { Accept: "application/json" } });
    const session = (await answer.json()) as Session;
    this.session = session;
    this.accountId = session.primaryAccounts[MAIL] ?? Object.keys(session.accounts)[0] ?? "";
    this.#using = USING.filter((name) => name in session.capabilities);
    return session;
  }

  /** `accountId` is put in where the arguments have none. */
  call<T>(name: string, args: Arguments = {}): PendingCall<T> {
    const pending = new PendingCall<T>(name, { accountId: this.accountId, ...args }, `c${this.#next++}`);
    if (this.#waiting.length === 0) queueMicrotask(() => this.#flush());
    this.#waiting.push(pending as PendingCall<unknown>);
    return pending;
  }

  limit(name: string, otherwise: number): number {
    const value = this.session?.capabilities["urn:ietf:params:jmap:core"]?.[name];
    return typeof value === "number" ? value : otherwise;
  }

  /** The address a blob is saved from. */
  downloadUrl(blobId: Id, name: string, type: string): string {
    const path = [this.accountId, blobId, name || "attachment"].map(encodeURIComponent).join("/");
    return `/jmap/download/${path}?accept=${encodeURIComponent(type)}`;
  }

  /** XMLHttpRequest, because fetch tells nothing of how far an upload is. */
  upload(data: Blob, type: string, onProgress?: (sent: number) => void, signal?: AbortSignal): Promise<Upload> {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open("POST", `/jmap/upload/${encodeURIComponent(this.accountId)}/`);
      request.setRequestHeader("Content-Type", type || "application/octet-stream");
      request.setRequestHeader("X-Posthouse", "1");
      request.responseType = "json";
      request.upload.onprogress = (event) => onProgress?.(event.loaded);
      request.onload = () =>
        request.status < 300
          ? resolve(request.response as Upload)
          : reject(makeProblem(request.response, request.status));
      request.onerror = () => reject(new OfflineError("upload"));
      request.onabort = () => reject(new DOMException("aborted", "AbortError"));
      signal?.addEventListener("abort", () => request.abort());
      request.send(data);
    });
  }

  #flush(): void {
    const most = Math.min(CALLS_AT_ONCE, this.limit("maxCallsInRequest", CALLS_AT_ONCE));
    while (this.#waiting.length > 0) void this.#send(this.#waiting.splice(0, most));
  }

  async #send(calls: PendingCall<unknown>[]): Promise<void> {
    try {
      const answer = await this.#fetch("/jmap/api", {
        method: "POST",
        headers: { "Content-Type": "application/json", Accept: "application/json" },
        body: JSON.stringify({ using: this.#using, methodCalls: calls.map((c) => [c.name, c.args, c.id]) }),
      });
      const { methodResponses } = (await answer.json()) as { methodResponses: Invocation[] };
      settle(calls, methodResponses);
    } catch (error) {
      for (const call of calls) call.reject(error);
    }
  }

  async #fetch(path: string, init: RequestInit): Promise<Response> {
    let answer: Response;
    try {
      const headers = { ...init.headers, "X-Posthouse": "1" };
      answer = await fetch(path, { ...init, headers, credentials: "same-origin" });
    } catch {
      this.onOnline(false);
      throw new OfflineError(path);
    }
    this.onOnline(true);
    if (answer.ok) return answer;
    if (answer.status === 401) this.onSignedOut();
    throw makeProblem(await answer.json().catch(() => null), answer.status);
  }
}

/** The first answer of each call is its own; others (RFC 8621 §7.5: an implicit Email/set) carry the same id. */
export function settle(calls: PendingCall<unknown>[], answers: Invocation[]): void {
  const byId = new Map(calls.map((call) => [call.id, call]));
  for (const [name, args, id] of answers) {
    const call = byId.get(id);
    if (!call) continue;
    byId.delete(id);
    if (name === "error") {
      call.reject(new JmapError(String(args["type"]), String(args["description"] ?? ""), 200, call.name));
    } else call.resolve(args);
  }
  for (const call of byId.values()) call.reject(new JmapError("serverFail", "no answer", 200, call.name));
}

function makeProblem(body: unknown, status: number): JmapError {
  const problem = (body ?? {}) as { type?: string; detail?: string; title?: string };
  return new JmapError(problem.type ?? "about:blank", problem.detail ?? problem.title ?? `HTTP ${status}`, status);
}

export const jmap = new JmapClient();
