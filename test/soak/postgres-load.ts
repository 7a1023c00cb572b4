import { performance } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { expect, onTestFinished } from "vitest";
import { CastellanError, Supervisor, template } from "../../src/index.ts";
import { fakeClaude } from "../../src/testing/index.ts";

/** How long a caller waits before it repeats a refused query, in milliseconds. */
const RETRY_MS = 50;

interface TurnRow {
  readonly prompt: string;
  readonly state: string;
}

interface Asked {
  readonly session: number;
  readonly key: string;
  /** Milliseconds from the first attempt to the reply. */
  readonly ms: number;
}

/** What the faults did, for the guide. */
export interface Verdict {
  readonly turns: number;
  readonly lost: number;
  readonly doubled: number;
  /** How often queries were refused, by the reason of the error. */
  readonly refused: Readonly<Record<string, number>>;
  readonly slowestMs: number;
}

/**
 * An application with a journal in PostgreSQL, on a fake Claude, and callers that query one session each without a pause. A
 * caller repeats a refused query under the same key.
 */
export class PostgresLoad {
  readonly supervisor: Supervisor;
  readonly warnings: string[];
  readonly answered: Asked[] = [];
  /** How often each prompt reached Claude. */
  readonly #begun: ReadonlyMap<string, number>;
  readonly #refused = new Map<string, number>();
  readonly #unexpected: unknown[] = [];
  #callers: Promise<void>[] = [];
  #over = false;

  private constructor(supervisor: Supervisor, begun: ReadonlyMap<string, number>, warnings: string[]) {
    this.supervisor = supervisor;
    this.#begun = begun;
    this.warnings = warnings;
  }

  static async start(
    journal: { readonly postgres: string; readonly schema: string },
    sessions = 4,
  ): Promise<PostgresLoad> {
    const begun = new Map<string, number>();
    const fake = fakeClaude(async (turn) => {
      begun.set(turn.prompt, (begun.get(turn.prompt) ?? 0) + 1);
      await turn.text(`${turn.prompt} answered`);
    });
    const warnings: string[] = [];
    const onWarning = ({ message }: Error): void => void warnings.push(message);
    process.on("warning", onWarning);
    onTestFinished(() => void process.off("warning", onWarning));
    const supervisor = await Supervisor.start([template("user", () => ({ spawnClaudeCodeProcess: fake.spawn }))], {
      name: "app",
      journal,
      logger: { info: () => {}, warn: (message) => void warnings.push(message) },
    });
    const load = new PostgresLoad(supervisor, begun, warnings);
    onTestFinished(() => supervisor.stop({ kill: true }));
    load.#callers = Array.from({ length: sessions }, (_, session) => load.#call(session));
    return load;
  }

  /** Resolves once that many more queries were answered in each session. Rejects if a query fails in another way than it may. */
  async runs(turns: number): Promise<void> {
    const counts = this.#counts();
    const goal = new Map(this.#callers.map((_, session) => [session, (counts.get(session) ?? 0) + turns]));
    await expect
      .poll(
        () => {
          const now = this.#counts();
          return this.#unexpected.length > 0 || [...goal].every(([session, count]) => (now.get(session) ?? 0) >= count);
        },
        { timeout: 60_000, interval: 10 },
      )
      .toBe(true);
    expect(this.#unexpected).toEqual([]);
  }

  /** Resolves once a query was refused for this reason. */
  async isRefused(reason: string): Promise<void> {
    const before = this.#refused.get(reason) ?? 0;
    await expect.poll(() => this.#refused.get(reason) ?? 0, { timeout: 30_000 }).toBeGreaterThan(before);
  }

  /** Waits for the running queries, and compares what was answered with the journal and with what reached Claude. */
  async verdict({ postgres, schema }: { readonly postgres: string; readonly schema: string }): Promise<Verdict> {
    this.#over = true;
    await Promise.all(this.#callers);
    expect(this.#unexpected).toEqual([]);
    await this.supervisor.stop();
    const client = new pg.Client({ connectionString: postgres });
    await client.connect();
    const { rows } = await client.query<TurnRow>(`select prompt, state from ${schema}.turns`);
    await client.end();
    const completed = rows.filter(({ state }) => state === "completed").map(({ prompt }) => prompt);
    const known = new Set(completed);
    const repeated = [...this.#begun.values()].reduce((sum, times) => sum + times - 1, 0);
    const verdict = {
      turns: this.answered.length,
      lost: this.answered.filter(({ key }) => !known.has(key)).length + (rows.length - completed.length),
      doubled: completed.length - known.size + repeated,
      refused: Object.fromEntries(this.#refused),
      slowestMs: Math.round(Math.max(0, ...this.answered.map(({ ms }) => ms))),
    };
    console.log(`${expect.getState().currentTestName}: ${JSON.stringify(verdict)}`);
    return verdict;
  }

  #counts(): Map<number, number> {
    const counts = new Map<number, number>();
    for (const { session } of this.answered) counts.set(session, (counts.get(session) ?? 0) + 1);
    return counts;
  }

  async #call(session: number): Promise<void> {
    for (let turn = 1; !this.#over; turn++) {
      const key = `s${session}n${turn}`;
      const since = performance.now();
      for (;;) {
        try {
          const reply = await this.supervisor.query(["user", session], key, { idempotencyKey: key });
          if (reply.text !== `${key} answered`) this.#unexpected.push(reply.text);
          break;
        } catch (error) {
          if (!CastellanError.is(error, "JOURNAL_UNAVAILABLE")) {
            this.#unexpected.push(error);
            return;
          }
          const { reason } = error.details;
          this.#refused.set(reason, (this.#refused.get(reason) ?? 0) + 1);
          await delay(RETRY_MS);
        }
      }
      this.answered.push({ session, key, ms: performance.now() - since });
    }
  }
}
