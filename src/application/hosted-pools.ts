import type { TurnAsked } from "../cluster/protocol/frames.ts";
import type { HostedSession } from "../cluster/session-host.ts";
import { nameKey } from "../names.ts";
import type { Pool } from "../pool/pool.ts";
import { GLOBAL } from "../session/options/global-name.ts";
import { invalidOptions } from "../session/options/validation.ts";
import type { SessionEvent } from "../session/status/session-event.ts";
import { sourceOf, type Turn } from "../session/streams/turn.ts";
import type { TurnSource } from "../session/streams/turn-source.ts";
import { keyedTurnId } from "../session/turns/turn-id.ts";
import { promptOf, turnOptionsOf } from "./asked-turn.ts";
import type { Pools } from "./tree/pools.ts";

/** The global pools of a node, for as long as that is a node: turns that were asked in one run of it can be stopped in the next one. */
export class HostedPools {
  readonly #pools: Pools;
  /** The names of those that are global. */
  readonly #global: readonly string[];
  readonly #hosted = new WeakMap<Pool, HostedPool>();

  constructor(pools: Pools, global: readonly string[]) {
    this.#pools = pools;
    this.#global = global;
  }

  find(name: string): HostedSession | undefined {
    const pool = this.#global.includes(name) ? this.#pools.find(name) : undefined;
    if (pool === undefined) return undefined;
    const hosted = this.#hosted.get(pool) ?? new HostedPool(name, pool);
    this.#hosted.set(pool, hosted);
    return hosted;
  }
}

/** A pool as other nodes may use it: each turn is for the member that is picked for it. */
class HostedPool implements HostedSession {
  readonly #key: string;
  readonly #pool: Pool;
  /** Those that have not ended, by the ids that callers know them by. */
  readonly #turns = new Map<string, Turn>();

  constructor(name: string, pool: Pool) {
    this.#key = nameKey([GLOBAL, name]);
    this.#pool = pool;
  }

  ask(asked: TurnAsked): TurnSource {
    const turn = this.#pool.stream(promptOf(asked), turnOptionsOf(asked));
    const id = keyedTurnId(this.#key, asked.idempotencyKey);
    this.#turns.set(id, turn);
    const over = (): void => void this.#turns.delete(id);
    turn.result().then(over, over);
    return sourceOf(turn);
  }

  async turn(): Promise<undefined> {
    return undefined;
  }

  async cancel(id: string): Promise<void> {
    await this.#turns.get(id)?.interrupt();
  }

  async call(method: string): Promise<unknown> {
    if (method === "status") return this.#pool.status();
    throw invalidOptions("pool", [{ field: method, message: "is no method of a pool" }]);
  }

  async *events(): AsyncGenerator<SessionEvent, void, undefined> {}
}
