import type { ErrorAnswer } from "../wire/error.ts";
import { CastellanApiError } from "./api-error.ts";
import type { ClientSettings, RequestOptions } from "./client-options.ts";
import { backoff, delay } from "./delay.ts";

/** A request as the methods of the client make it. */
export interface ApiRequest extends RequestOptions {
  readonly method: "GET" | "POST" | "PATCH" | "DELETE";
  /** Below the API, with its query. */
  readonly path: string;
  readonly body?: object | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  /** Whether a second request does no more than the first. */
  readonly idempotent: boolean;
  /** How long one attempt may take if the caller and the client say nothing. */
  readonly defaultTimeout?: number;
}

const TIMEOUT_MS = 30_000;

/** The code of a request that the server refuses before it has begun with it. */
const NOT_BEGUN = "RATE_LIMITED";

/** Statuses of proxies and servers that do not concern the request itself. */
const PASSING: ReadonlySet<number> = new Set([429, 502, 503, 504]);

/** Makes requests to one server. */
export class Connection {
  readonly #settings: ClientSettings;

  constructor(settings: ClientSettings) {
    this.#settings = settings;
  }

  get settings(): ClientSettings {
    return this.#settings;
  }

  /** Makes a request and returns the JSON of its answer. @throws CastellanApiError; the reason of an aborted signal */
  async json<Answer>(request: ApiRequest): Promise<Answer> {
    return await this.#retrying(request, async (signal) => {
      const response = await this.#send(request, signal);
      // Only the server of the types that the caller expects answers in this form.
      return (await jsonOf(response)) as Answer;
    });
  }

  /**
   * Makes a request whose answer comes in two parts: the head, which names in `location` what the request has made, and later the body.
   * Resolves with the id at the head, or with the body if the head has none.
   *
   * @param bodyMs how long the body may take after the head
   * @throws as {@link Connection.json}, up to the head
   */
  async made<Answer extends { readonly id: string }>(
    request: ApiRequest,
    bodyMs: number,
  ): Promise<{
    readonly id: string;
    /** Undefined if the answer has broken off. @throws the reason of an aborted signal */
    readonly answer: Promise<Answer | undefined>;
  }> {
    return await this.#retrying(request, async (signal, late) => {
      const response = await this.#send(request, signal);
      // A page of another origin may not see the header.
      const [, named] = /([^/]+)$/.exec(response.headers.get("location") ?? "") ?? [];
      if (named === undefined) {
        const answer = (await jsonOf(response)) as Answer;
        return { id: answer.id, answer: Promise.resolve(answer) };
      }
      const timer = setTimeout(() => late.abort(), bodyMs);
      const answer = (jsonOf(response) as Promise<Answer>)
        .catch((): undefined => request.signal?.throwIfAborted() as undefined)
        .finally(() => clearTimeout(timer));
      answer.catch(() => {});
      return { id: decodeURIComponent(named), answer };
    });
  }

  /** Makes a request and returns the bytes of its answer. @throws as {@link Connection.json} */
  async bytes(request: ApiRequest): Promise<{ readonly mediaType: string; readonly data: Uint8Array }> {
    return await this.#retrying(request, async (signal) => {
      const response = await this.#send(request, signal);
      const mediaType = response.headers.get("content-type") ?? "application/octet-stream";
      return { mediaType, data: new Uint8Array(await response.arrayBuffer()) };
    });
  }

  /** Makes a request once and returns its answer, whose body streams. The signal also ends the body. @throws as {@link Connection.json} */
  async stream(request: Omit<ApiRequest, "timeout" | "idempotent">, signal: AbortSignal): Promise<Response> {
    try {
      return await this.#send({ ...request, idempotent: true }, signal);
    } catch (error) {
      throw signal.aborted ? error : this.failure(error);
    }
  }

  /** Returns the error of a request that failed with `error`. */
  failure(error: unknown): CastellanApiError {
    return error instanceof CastellanApiError ? error : unreachable(this.#settings.base, error);
  }

  /** Returns how long one attempt of the request may take, in milliseconds. */
  limitOf({ timeout, defaultTimeout }: Pick<ApiRequest, "timeout" | "defaultTimeout">): number {
    return timeout ?? this.#settings.timeout ?? defaultTimeout ?? TIMEOUT_MS;
  }

  /** @param attempt is aborted when its time is over, and when `late` is */
  async #retrying<Answer>(
    request: ApiRequest,
    attempt: (signal: AbortSignal, late: AbortController) => Promise<Answer>,
  ): Promise<Answer> {
    const { retries } = this.#settings;
    const limit = this.limitOf(request);
    for (let tries = 0; ; tries++) {
      request.signal?.throwIfAborted();
      const late = new AbortController();
      const timer = limit === Number.POSITIVE_INFINITY ? undefined : setTimeout(() => late.abort(), limit);
      let failure: CastellanApiError;
      try {
        return await attempt(
          request.signal === undefined ? late.signal : AbortSignal.any([request.signal, late.signal]),
          late,
        );
      } catch (error) {
        request.signal?.throwIfAborted();
        if (late.signal.aborted) failure = tooLate(request, limit);
        else failure = this.failure(error);
      } finally {
        clearTimeout(timer);
      }
      if (tries >= retries || !mayRepeat(request, failure)) throw failure;
      await delay(backoff(tries, failure.retryAfterMs), request.signal);
    }
  }

  async #send({ method, path, body, headers }: ApiRequest, signal: AbortSignal): Promise<Response> {
    const { base, token, fetch } = this.#settings;
    const response = await fetch(`${base}${path}`, {
      method,
      headers: {
        accept: "application/json",
        ...(body !== undefined && { "content-type": "application/json" }),
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...headers,
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal,
      // A token must not follow to another address.
      redirect: "error",
    });
    if (response.ok) return response;
    throw await errorOf(response);
  }
}

/** Whether a failed request may be made again: nothing has begun, or a repetition does no harm. */
function mayRepeat({ idempotent }: ApiRequest, { code, retryable }: CastellanApiError): boolean {
  return code === NOT_BEGUN || (idempotent && retryable);
}

function unreachable(base: string, cause: unknown): CastellanApiError {
  const message = `The server at ${base} cannot be reached, or the connection broke. Check that it runs, and its address.`;
  return new CastellanApiError("SERVER_UNREACHABLE", message, { status: 0, retryable: true, cause });
}

function tooLate({ method, path }: ApiRequest, ms: number): CastellanApiError {
  const message = `${method} ${path} was not answered within ${ms} ms. The server may still carry it out.`;
  return new CastellanApiError("REQUEST_TIMEOUT", message, { status: 0, retryable: true });
}

async function jsonOf(response: Response): Promise<unknown> {
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw invalidAnswer(response, cause);
  }
}

async function errorOf(response: Response): Promise<CastellanApiError> {
  const { status, headers } = response;
  const should = headers.get("x-should-retry");
  const retryable = should === null ? PASSING.has(status) : should === "true";
  const text = await response.text();
  const error = errorIn(text);
  if (error === undefined) return invalidAnswer(response, undefined, retryable);
  const seconds = Number(headers.get("retry-after") ?? Number.NaN);
  return new CastellanApiError(error.code, error.message, {
    status,
    retryable,
    details: error.details,
    requestId: headers.get("request-id") ?? undefined,
    retryAfterMs: Number.isFinite(seconds) && seconds >= 0 ? Math.min(seconds, MOST_SECONDS) * 1_000 : undefined,
  });
}

/** The longest wait that a server can ask for, in seconds. */
const MOST_SECONDS = 60;

function errorIn(text: string): ErrorAnswer["error"] | undefined {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof body !== "object" || body === null || !("error" in body)) return undefined;
  const { error } = body;
  if (typeof error !== "object" || error === null || !("code" in error) || !("message" in error)) return undefined;
  if (typeof error.code !== "string" || typeof error.message !== "string") return undefined;
  const details = "details" in error && typeof error.details === "object" && error.details !== null;
  return details ? (error as ErrorAnswer["error"]) : { code: error.code, message: error.message };
}

function invalidAnswer({ status }: Response, cause: unknown, retryable = false): CastellanApiError {
  const message = `The answer, with status ${status}, is not one of Castellan's server. Check the address, and any proxy in between.`;
  return new CastellanApiError("INVALID_ANSWER", message, { status, retryable, cause });
}
