import { createHash } from "node:crypto";
import type { Clock } from "../../clock.ts";
import type { Json, JsonObject } from "../../journal/model/session-entry.ts";
import type { Caller } from "../http/caller.ts";

/** How long after a request an identical one that says it is a retry counts as the same, in milliseconds. */
const RETRY_WINDOW_MS = 60_000;

/** What tells requests apart, so that a request whose answer was lost has no effect when it is sent again. */
export interface RequestIdentity {
  /** A digest of the caller, the path and the body. */
  readonly digest: string;
  /** Whether the client says that it has sent the request before. */
  readonly isRetry: boolean;
  /** A digest of the caller, the path and the client's own key, if it sent one. */
  readonly key?: string;
}

/** Returns what tells a request apart. @param body as parsed from JSON */
export function identityOf(request: Pick<Request, "headers" | "url">, caller: Caller, body: unknown): RequestIdentity {
  const { pathname } = new URL(request.url);
  const given = request.headers.get("idempotency-key");
  return {
    digest: digest([caller.id, pathname, JSON.stringify(body)]),
    isRetry: Number(request.headers.get("x-stainless-retry-count") ?? 0) > 0,
    ...(given && { key: digest([caller.id, pathname, given, "key"]) }),
  };
}

function digest(parts: readonly string[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("base64url").slice(0, 32);
}

/** Identifies one event of a request, in the metadata of its turn or in its note. */
export interface EventMark {
  readonly request: string;
  readonly index: number;
}

/** The field of the metadata of a turn. */
const FIELD = "managed_agents";

/** Returns the metadata of a turn. */
export function markedMetadata(mark: EventMark): JsonObject {
  return { [FIELD]: { ...mark } };
}

/** Whether the metadata of a turn is from this event of a request. */
export function hasMark(metadata: JsonObject | undefined, mark: EventMark): boolean {
  return isMark(metadata?.[FIELD], mark);
}

/** Whether JSON names this event of a request. */
export function isMark(value: Json | undefined, { request, index }: EventMark): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const fields = value as JsonObject;
  return fields["request"] === request && fields["index"] === index;
}

/** The time from which earlier requests count as the same. */
export function retrySince(clock: Clock): number {
  return clock.now() - RETRY_WINDOW_MS;
}

/** The requests that are being processed. A retry of one of them gets its answer. */
export class RequestsAtWork<Answer> {
  readonly #answers = new Map<string, Promise<Answer>>();

  /** Processes a request, unless it is being processed already. */
  async run({ digest, key, isRetry }: RequestIdentity, process: () => Promise<Answer>): Promise<Answer> {
    const id = key ?? digest;
    const same = key !== undefined || isRetry ? this.#answers.get(id) : undefined;
    if (same !== undefined) return await same;
    const answer = process();
    this.#answers.set(id, answer);
    try {
      return await answer;
    } finally {
      if (this.#answers.get(id) === answer) this.#answers.delete(id);
    }
  }
}
