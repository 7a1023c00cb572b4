import { type LookupAddress, lookup as lookupName } from "node:dns";
import { type AgentOptions, Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { LookupFunction } from "node:net";
import type { Clock } from "../clock.ts";
import { isLoopback, isPublic } from "./network-address.ts";
import { hostOf, type WebhookSettings } from "./webhook-options.ts";

/** How many requests an endpoint gets at a time. */
export const MOST_REQUESTS = 8;

/** How much of an answer's body to read, so that its connection can be used again. */
const MOST_BODY_BYTES = 64 * 1_024;

/** How long an unused connection stays open, in milliseconds. */
const IDLE_MS = 10_000;

/** What became of a request. */
export type PostResult =
  | { readonly status: number; readonly retryAfter?: string }
  /** There was no answer: why. The receiver may have got the request all the same. */
  | { readonly problem: string };

/** Resolves a name, as of `node:dns`. */
export type ResolveName = (name: string, answer: (error: Error | null, addresses: LookupAddress[]) => void) => void;

const systemNames: ResolveName = (name, answer) => lookupName(name, { all: true }, answer);

/**
 * The connections to one endpoint. Follows no redirect. Checks the addresses of a name when it connects, so that no answer of
 * a name server leads into a private network.
 */
export class WebhookConnection {
  readonly #settings: WebhookSettings;
  readonly #clock: Clock;
  readonly #agent: HttpAgent | HttpsAgent;
  readonly #lookup: LookupFunction;

  constructor(settings: WebhookSettings, clock: Clock, resolveName: ResolveName = systemNames) {
    this.#settings = settings;
    this.#clock = clock;
    const how: AgentOptions = { keepAlive: true, maxSockets: MOST_REQUESTS, timeout: settings.timeoutMs + IDLE_MS };
    this.#agent = settings.url.protocol === "https:" ? new HttpsAgent(how) : new HttpAgent(how);
    this.#lookup = checkedLookup(settings, resolveName);
  }

  /** Sends a body. Resolves with what became of it. Never rejects. */
  async post(headers: Readonly<Record<string, string>>, body: string, signal?: AbortSignal): Promise<PostResult> {
    const { url, timeoutMs } = this.#settings;
    const { promise, resolve } = Promise.withResolvers<PostResult>();
    const request = (url.protocol === "https:" ? httpsRequest : httpRequest)(url, {
      method: "POST",
      agent: this.#agent,
      lookup: this.#lookup,
      headers: {
        ...headers,
        "content-type": "application/json",
        "content-length": Buffer.byteLength(body),
        "user-agent": "castellan-webhooks",
      },
      ...(signal !== undefined && { signal }),
    });
    const timer = this.#clock.schedule(timeoutMs, () => request.destroy(new Error("it did not answer in time")), {
      background: true,
    });
    request.on("response", (response) => {
      resolve(resultOf(response));
      drain(response);
    });
    request.on("error", (error) => resolve({ problem: problemOf(error) }));
    request.on("close", () => {
      timer.cancel();
      // Without an answer or an error.
      resolve({ problem: "the connection closed" });
    });
    request.end(body);
    return await promise;
  }

  close(): void {
    this.#agent.destroy();
  }
}

function resultOf({ statusCode = 0, headers }: IncomingMessage): PostResult {
  const retryAfter = headers["retry-after"];
  return { status: statusCode, ...(retryAfter !== undefined && { retryAfter }) };
}

/** Reads a small body to its end; a larger one ends its connection. */
function drain(response: IncomingMessage): void {
  let bytes = 0;
  response.on("error", () => {});
  response.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > MOST_BODY_BYTES) response.destroy();
  });
}

/** Returns an error's code or message. Messages of errors with a code name addresses. */
function problemOf(error: NodeJS.ErrnoException): string {
  return error.code ?? error.message;
}

function checkedLookup({ url, allowPrivateNetwork }: WebhookSettings, resolveName: ResolveName): LookupFunction {
  const mayBeLoopback = isLoopback(hostOf(url));
  const isAllowed = (address: string): boolean =>
    allowPrivateNetwork || isPublic(address) || (mayBeLoopback && isLoopback(address));
  return (name, options, answer) => {
    resolveName(name, (error, all) => {
      const addresses = error === null ? all.filter(({ address }) => isAllowed(address)) : [];
      const [first] = addresses;
      if (error !== null) answer(error, "");
      else if (first === undefined) answer(new Error("its name resolves to a private address"), "");
      else if (options.all === true) answer(null, addresses);
      else answer(null, first.address, first.family);
    });
  };
}
