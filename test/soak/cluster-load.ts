import { CastellanError, global } from "../../src/index.ts";
import type { RealCluster } from "../cluster/real-cluster.ts";

/** The result of one turn: its text, or the error's code. */
export interface LoadEnd {
  readonly key: string;
  readonly text?: string;
  readonly code?: string;
  readonly ms: number;
}

/**
 * Callers, each with a session of its own, that run turns in sequence, each with another turn queued behind it, until
 * they are stopped.
 */
export class ClusterLoad {
  readonly ends: LoadEnd[] = [];
  readonly #cluster: RealCluster;
  readonly #callers: Promise<void>[];
  #stopping = false;

  constructor(cluster: RealCluster, sessions: number) {
    this.#cluster = cluster;
    this.#callers = Array.from({ length: sessions }, (_, at) => this.#ask(`s${at}`));
  }

  /** Resolves once that many more turns have ended. */
  async isRunning(turns: number, becomes: (what: () => boolean) => Promise<void>): Promise<void> {
    const until = this.ends.length + turns;
    await becomes(() => this.ends.length >= until);
  }

  /** Resolves once all turns have ended. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#callers);
  }

  async #ask(name: string): Promise<void> {
    const session = this.#cluster.client.session(global(["chat", name]));
    for (let n = 1; !this.#stopping; n++) {
      const key = `${name}n${n}`;
      const queued = session.enqueue(`append ${key}q`).then(async (id) => {
        const turn = await session.turn(id);
        if (turn === undefined) return this.#end(`${key}q`, Date.now(), Promise.reject(new Error("it is missing")));
        return this.#end(`${key}q`, Date.now(), turn.result());
      });
      await Promise.all([queued, this.#end(key, Date.now(), session.query(`say ${key}`))]);
    }
  }

  async #end(key: string, since: number, result: Promise<{ readonly text: string }>): Promise<void> {
    const end = await result.then(
      ({ text }) => ({ text }),
      (error: unknown) => ({ code: CastellanError.is(error) ? error.code : String(error) }),
    );
    this.ends.push({ key, ms: Date.now() - since, ...end });
  }
}
