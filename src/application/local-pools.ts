import type { TurnAsked } from "../cluster/protocol/frames.ts";
import type { HostedSession } from "../cluster/session-host.ts";
import { nameKey, nameOfKey } from "../names.ts";
import type { PoolServer } from "../pool/pool-server.ts";
import { submitToPool } from "../pool/pool-turn.ts";
import { invalidOptions } from "../session/options/validation.ts";
import type { TurnSource } from "../session/streams/turn-source.ts";
import { keyedTurnId } from "../session/turns/turn-id.ts";
import { promptOf, turnOptionsOf } from "./hosted-session.ts";
import type { Pools } from "./tree/pools.ts";

/** Begins the names under which earlier processes of the application ask for pools. */
const POOL = "castellan:pool";

/** The pools of a supervisor, for earlier processes of the application. */
export class LocalPools {
  readonly #pools: Pools;
  readonly #hosted = new WeakMap<PoolServer, HostedPool>();

  constructor(pools: Pools) {
    this.#pools = pools;
  }

  /** Returns the key by which a pool is asked for. */
  static keyOf(name: string): string {
    return nameKey([POOL, name]);
  }

  /** Returns the name of the pool that a key asks for; undefined if it is a session's. */
  static nameOf(key: string): string | undefined {
    const name = nameOfKey(key);
    return typeof name !== "string" && name[0] === POOL ? String(name[1]) : undefined;
  }

  find(name: string): HostedSession | undefined {
    const pool = this.#pools.server(name);
    if (pool === undefined) return undefined;
    const hosted = this.#hosted.get(pool) ?? new HostedPool(name, pool);
    this.#hosted.set(pool, hosted);
    return hosted;
  }
}

/** A pool, which picks a member for each turn. */
class HostedPool implements HostedSession {
  readonly #key: string;
  readonly #pool: PoolServer;
  /** The turns by the ids that callers know, so that asking again yields the same turn. */
  readonly #turns = new Map<string, TurnSource & { interrupt(): Promise<void> }>();

  constructor(name: string, pool: PoolServer) {
    this.#key = nameKey(name);
    this.#pool = pool;
  }

  ask(asked: TurnAsked): TurnSource {
    const id = keyedTurnId(this.#key, asked.idempotencyKey);
    const present = this.#turns.get(id);
    if (present !== undefined) return present;
    const turn = submitToPool(this.#pool, promptOf(asked), turnOptionsOf(asked));
    this.#turns.set(id, turn);
    const over = (): void => void this.#turns.delete(id);
    turn.result.then(over, over);
    return turn;
  }

  async turn(id: string): Promise<TurnSource | undefined> {
    return this.#turns.get(id);
  }

  async cancel(id: string): Promise<void> {
    await this.#turns.get(id)?.interrupt();
  }

  async call(method: string): Promise<unknown> {
    throw invalidOptions(this.#pool.who, [{ field: method, message: "can only be called in the pool's own process" }]);
  }

  async lastEvent(): Promise<number> {
    return 0;
  }

  events(): never {
    throw invalidOptions(this.#pool.who, [{ field: "events", message: "can only be read in the pool's own process" }]);
  }
}
