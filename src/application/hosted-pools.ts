import { isPoolMethod, type PoolMethod } from "../cluster/protocol/call-methods.ts";
import type { TurnAsked } from "../cluster/protocol/frames.ts";
import type { HostedSession } from "../cluster/session-host.ts";
import { CastellanError } from "../errors.ts";
import { nameKey } from "../names.ts";
import { recalledTurn } from "../pool/find-turn.ts";
import type { PoolServer } from "../pool/pool-server.ts";
import { submitToPool } from "../pool/pool-turn.ts";
import type { SharedJobs } from "../pool/shared-jobs.ts";
import { GLOBAL } from "../session/options/global-name.ts";
import type { JobOptions } from "../session/options/job-options.ts";
import { invalidOptions } from "../session/options/validation.ts";
import type { PendingTurn } from "../session/streams/pending-turn.ts";
import type { TurnGate } from "../session/streams/turn-gate.ts";
import type { TurnSource } from "../session/streams/turn-source.ts";
import { keyedTurnId } from "../session/turns/turn-id.ts";
import type { TurnListOptions } from "../session/turns/turn-summary.ts";
import { promptOf, turnOptionsOf } from "./hosted-session.ts";
import type { Pools } from "./tree/pools.ts";

/** The global pools of a node. They outlive a run of the node: a turn of one run can be cancelled in the next. */
export class HostedPools {
  readonly #pools: Pools;
  /** The names of the global pools. */
  readonly #global: readonly string[];
  readonly #hosted = new WeakMap<PoolServer, HostedPool>();

  constructor(pools: Pools, global: readonly string[]) {
    this.#pools = pools;
    this.#global = global;
  }

  /** See `NodeState.busy`. */
  get busy(): Readonly<Record<string, number>> {
    const counts = this.#global.map((name) => {
      const { size = 0, idle = 0, waiting = 0 } = this.#pools.server(name)?.status ?? {};
      return [name, size - idle + waiting] as const;
    });
    return Object.fromEntries(counts);
  }

  /** @param jobs the pool's jobs in the current run of the node, once it has joined */
  find(name: string, jobs: SharedJobs | undefined): HostedSession | undefined {
    const pool = this.#global.includes(name) ? this.#pools.server(name) : undefined;
    if (pool === undefined) return undefined;
    const hosted = this.#hosted.get(pool) ?? new HostedPool(name, pool);
    this.#hosted.set(pool, hosted);
    hosted.jobs = jobs;
    return hosted;
  }
}

/** A pool of this node for other nodes. The pool picks a member for each turn. */
class HostedPool implements HostedSession {
  readonly #key: string;
  readonly #pool: PoolServer;
  jobs: SharedJobs | undefined;
  /** The turns that have not ended, by the ids that callers know. */
  readonly #turns = new Map<string, PendingTurn>();

  constructor(name: string, pool: PoolServer) {
    this.#key = nameKey([GLOBAL, name]);
    this.#pool = pool;
  }

  ask(asked: TurnAsked, gate?: TurnGate): TurnSource {
    const turn = submitToPool(this.#pool, promptOf(asked), turnOptionsOf(asked), gate);
    const id = keyedTurnId(this.#key, asked.idempotencyKey);
    this.#turns.set(id, turn);
    const over = (): void => void this.#turns.delete(id);
    turn.result.then(over, over);
    return turn;
  }

  /** Returns a job that was cancelled before a member took it. Other turns are those of members. */
  async turn(id: string): Promise<TurnSource | undefined> {
    const entry = await this.jobs?.cancelled(id);
    if (entry === undefined || entry.state === "queued" || entry.state === "running") return undefined;
    return recalledTurn(this.#pool, entry, entry.state);
  }

  async cancel(id: string): Promise<void> {
    await this.#turns.get(id)?.interrupt();
  }

  async call(method: string, args: readonly unknown[]): Promise<unknown> {
    if (method === "status") return this.#pool.status;
    if (isPoolMethod(method)) return await this.#job(method, args);
    throw invalidOptions("pool", [{ field: method, message: "is not a method of a pool" }]);
  }

  async lastEvent(): Promise<number> {
    return 0;
  }

  events(): never {
    const message = "is not a method of a pool's turn on another node; read its messages, or its result";
    throw invalidOptions("global pool", [{ field: "events", message }]);
  }

  async #job(method: PoolMethod, [first, second]: readonly unknown[]): Promise<unknown> {
    const { jobs } = this;
    // The node is about to join, or to leave.
    if (jobs === undefined)
      throw new CastellanError("NOT_OWNER", `${this.#pool.who}: its node is not in the cluster now.`);
    switch (method) {
      case "enqueueJob":
        // The pool checks prompt and options.
        return await jobs.enqueue(promptOf(first as TurnAsked), (second ?? {}) as JobOptions);
      case "findJob":
        return await jobs.find(String(first));
      case "cancelJob":
        return await jobs.cancel(String(first));
      case "jobs":
        return await jobs.page((first ?? {}) as TurnListOptions);
    }
  }
}
