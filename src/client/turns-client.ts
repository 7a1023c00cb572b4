import type { AcceptedTurn, Reply, SteerTurn, SubmittedTurn, Turn, TurnListQuery, TurnPage } from "../wire/turn.ts";
import { CastellanApiError } from "./api-error.ts";
import type { RequestOptions } from "./client-options.ts";
import type { Connection } from "./connection.ts";
import { backoff, delay } from "./delay.ts";
import { pathOf } from "./request-path.ts";

/** How long one request waits for the end of a turn, in milliseconds. */
const WAIT_MS = 25_000;

/** How long a request may take that waits for a process to start or to end, in milliseconds. */
export const LONG_MS = 120_000;

/** Options of a wait for a turn. */
export interface WaitOptions extends RequestOptions {
  /** How long to wait, in milliseconds. Default: until the turn ends. */
  readonly timeout?: number | undefined;
}

/** How to give a prompt and wait for its turn. */
interface Submission extends RequestOptions {
  /** How long to wait for the end of the turn, in milliseconds. */
  readonly wait?: WaitOptions["timeout"];
}

/** The turns of a session or a pool. */
export class TurnsClient {
  /** @internal */
  protected readonly connection: Connection;
  /** The path of the session or pool. */
  readonly #path: string;

  /** @internal Made by a client. */
  constructor(connection: Connection, parts: readonly string[]) {
    this.connection = connection;
    this.#path = pathOf(parts);
  }

  /** Lists the turns, the newest first. */
  async turns({ state, before, limit }: TurnListQuery = {}, options: RequestOptions = {}): Promise<TurnPage> {
    const path = this.path(["turns"], { state, before, limit });
    return await this.connection.json({ ...options, method: "GET", path, idempotent: true });
  }

  /** Returns a turn that waits, runs or has ended. */
  async turn(id: string, options: RequestOptions = {}): Promise<Turn> {
    const path = this.path(["turns", id]);
    return await this.connection.json({ ...options, method: "GET", path, idempotent: true });
  }

  /**
   * Waits for the end of a turn, also while the server restarts, for at most the client's `patience` without an answer.
   *
   * @throws CastellanApiError `REQUEST_TIMEOUT` if it has not ended in time; why the server does not answer
   */
  async wait(id: string, { signal, timeout = Number.POSITIVE_INFINITY }: WaitOptions = {}): Promise<Turn> {
    const { patience } = this.connection.settings;
    const since = Date.now();
    let answered = since;
    for (let failures = 0; ; ) {
      const left = Math.max(0, timeout - (Date.now() - since));
      const waitMs = Math.min(WAIT_MS, Math.ceil(left));
      const path = this.path(["turns", id], { waitMs });
      // The server answers after `waitMs` at the latest.
      const request = { method: "GET", path, idempotent: true, timeout: waitMs + LONG_MS / 4, signal } as const;
      try {
        const turn = await this.connection.json<Turn>(request);
        if (!isUnfinished(turn)) return turn;
        failures = 0;
        answered = Date.now();
      } catch (error) {
        const pause = backoff(failures++, error instanceof CastellanApiError ? error.retryAfterMs : undefined);
        const isPassing = error instanceof CastellanApiError && error.retryable;
        if (!isPassing || Date.now() + pause - answered > patience) throw error;
        await delay(Math.min(pause, Math.max(0, timeout - (Date.now() - since))), signal);
      }
      if (Date.now() - since >= timeout) {
        const message = `Turn ${id} has not ended within ${timeout} ms. It continues.`;
        throw new CastellanApiError("REQUEST_TIMEOUT", message, { status: 0 });
      }
    }
  }

  /**
   * Gives a prompt with an idempotency key, and waits for the end of its turn: in one request, as long as the connection holds.
   *
   * @internal
   */
  protected async submit(
    body: object,
    { signal, timeout, wait = Number.POSITIVE_INFINITY }: Submission,
  ): Promise<Turn> {
    // A proxy may hold the head of the answer back until its body comes.
    const waitMs = Math.floor(Math.min(WAIT_MS, wait, this.connection.limitOf({ timeout }) * 0.8));
    const path = this.path(["turns"], { waitMs });
    const request = { method: "POST", path, body, idempotent: true, signal, timeout } as const;
    const { id, answer } = await this.connection.made<SubmittedTurn>(request, waitMs + LONG_MS / 4);
    const since = Date.now();
    const turn = (await answer)?.turn;
    return turn ?? (await this.wait(id, { signal, timeout: Math.max(0, wait - (Date.now() - since)) }));
  }

  /** Gives a message to a turn that waits or runs. Returns the id of the turn that has it. */
  async steer(id: string, message: SteerTurn | string, options: RequestOptions = {}): Promise<AcceptedTurn> {
    const body = typeof message === "string" ? { text: message } : message;
    const path = this.path(["turns", id, "steer"]);
    return await this.connection.json({ ...options, method: "POST", path, body, idempotent: false });
  }

  /** Stops a turn, and returns it once it has ended. A waiting one never runs. */
  async interruptTurn(id: string, options: RequestOptions = {}): Promise<Turn> {
    const path = this.path(["turns", id, "interrupt"]);
    const request = { method: "POST", path, idempotent: true, defaultTimeout: LONG_MS } as const;
    return await this.connection.json({ ...options, ...request });
  }

  /** @internal */
  protected path(parts: readonly string[], query: Parameters<typeof pathOf>[1] = {}): string {
    return this.#path + pathOf(parts, query);
  }
}

/** Returns the reply of a turn that has ended. @throws CastellanApiError why it did not complete */
export function replyOf({ id, state, reply, error }: Turn): Reply {
  if (reply !== undefined) return reply;
  const { code = "TURN_FAILED", message = `Turn ${id} is ${state}.`, details } = error ?? {};
  throw new CastellanApiError(code, message, { status: 0, details });
}

function isUnfinished({ state }: Turn): boolean {
  return state === "accepted" || state === "queued" || state === "running";
}
