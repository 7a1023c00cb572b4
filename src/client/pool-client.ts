import type { EnqueueJob, PoolStatus } from "../wire/pool.ts";
import type { WirePrompt } from "../wire/prompt.ts";
import type { Reply } from "../wire/turn.ts";
import type { RequestOptions } from "./client-options.ts";
import { newKey } from "./request-path.ts";
import { replyOf, TurnsClient, type WaitOptions } from "./turns-client.ts";

/** Options of a job. */
export interface JobOptions extends RequestOptions, Omit<EnqueueJob, "prompt" | "timeout"> {
  /** How long the turn may take: milliseconds, or a duration such as `"10m"`. Default: the option of the pool's members. */
  readonly turnTimeout?: EnqueueJob["timeout"];
}

/** A pool of the server's supervisor. */
export class PoolClient extends TurnsClient {
  /** Returns the state of the pool. */
  async status(options: RequestOptions = {}): Promise<PoolStatus> {
    return await this.connection.json({ ...options, method: "GET", path: this.path([]), idempotent: true });
  }

  /** Gives the pool a job. Returns the turn's id once the job is in the journal. Repeats the request safely, with a key. */
  async enqueue(prompt: WirePrompt, options: JobOptions = {}): Promise<string> {
    const { signal, timeout, turnTimeout, idempotencyKey = newKey(), ...own } = options;
    const body = { ...own, prompt, idempotencyKey, timeout: turnTimeout };
    const request = { method: "POST", path: this.path(["turns"]), body, idempotent: true, signal, timeout } as const;
    return (await this.connection.json<{ readonly id: string }>(request)).id;
  }

  /** Gives the pool a job, and waits for its reply. @throws CastellanApiError why the turn did not complete */
  async query(
    prompt: WirePrompt,
    options: JobOptions & { readonly wait?: WaitOptions["timeout"] } = {},
  ): Promise<Reply> {
    const { wait, signal, timeout, turnTimeout, idempotencyKey = newKey(), ...own } = options;
    const body = { ...own, prompt, idempotencyKey, timeout: turnTimeout };
    return replyOf(await this.submit(body, { signal, timeout, wait }));
  }
}
