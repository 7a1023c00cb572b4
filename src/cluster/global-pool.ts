import { type Clock, pause } from "../clock.ts";
import { CastellanError } from "../errors.ts";
import type { JsonObject } from "../journal/model/session-entry.ts";
import { nameOfKey } from "../names.ts";
import { type JobOptions, jobSettings } from "../session/options/job-options.ts";
import { type Prompt, readPrompt } from "../session/options/prompt.ts";
import { PendingTurn } from "../session/streams/pending-turn.ts";
import { Turn } from "../session/streams/turn.ts";
import { type TurnListOptions, type TurnSummary, turnListQuery } from "../session/turns/turn-summary.ts";
import { type GlobalReach, GlobalSession } from "./global-session.ts";

/** How often a turn of a waiting job asks whether a member has taken it: at first, and at most, in milliseconds. */
const FIRST_MS = 100;
const MOST_MS = 2_000;

/** Where a job is, as a node tells. */
type FoundJob =
  | { readonly type: "waiting"; readonly by?: string; readonly metadata?: JsonObject }
  | { readonly type: "turn"; readonly session: string };

/**
 * The jobs of a global pool. They wait in the cluster's database, and run on any node that declares the pool. Besides its own
 * errors, every call may throw `CLUSTER_UNAVAILABLE` if no such node answers, and `DATABASE_UNAVAILABLE`.
 */
export class GlobalPool {
  /** The name of the pool, as it was given to `global`. */
  readonly name: string;
  readonly #key: string;
  readonly #who: string;
  readonly #reach: GlobalReach;
  readonly #clock: Clock;

  /** A cluster creates handles. */
  constructor(name: string, key: string, reach: GlobalReach, clock: Clock) {
    this.name = name;
    this.#key = key;
    this.#who = `global pool ${JSON.stringify(name)}`;
    this.#reach = reach;
    this.#clock = clock;
  }

  /**
   * As `Pool.enqueue`: resolves once the job is in the database. A member of any node runs it. When that node is lost, another
   * one continues the job, as the turn of any global session. An `idempotencyKey` is unique over all nodes. Nodes that accept
   * jobs at the same time may exceed `jobLimit` by as many jobs.
   */
  async enqueue(prompt: Prompt, options: JobOptions = {}): Promise<string> {
    // The pool's node checks everything else: it knows the pool's options.
    const { text, command, blocks } = readPrompt(prompt, this.#who);
    const { idempotencyKey = this.#reach.newId() } = jobSettings(options, this.#who);
    const content = blocks === undefined ? { prompt: text } : { prompt: "", blocks };
    // The key makes a retry on any node idempotent.
    const asked = { ...content, command, idempotencyKey };
    return String(await this.#reach.call(this.#key, "enqueueJob", asked, { ...options, idempotencyKey }));
  }

  /** As `Pool.turn`, for jobs. */
  async turn(id: string): Promise<Turn | undefined> {
    const found = await this.#find(id);
    if (found === undefined) return undefined;
    if (found.type === "turn") return await this.#session(found.session).turnNamed(id, this.name);
    const turn = new PendingTurn(id, found, () => this.#cancel(id), "queued");
    void this.#follow(turn).catch((error: unknown) => turn.fail(error));
    return new Turn(turn, this.name, {
      interrupt: () => turn.interrupt(),
      steer: (text, options) => turn.steer(text, options),
      events: (options) => turn.events(options),
      asks: true,
      content: (reference) => turn.content(reference),
    });
  }

  /** As `Pool.turns`, for jobs: those that wait, and the turns of those that run or have run, on all nodes. */
  async turns(options: TurnListOptions = {}): Promise<TurnSummary[]> {
    turnListQuery(options);
    return (await this.#reach.call(this.#key, "jobs", options)) as TurnSummary[];
  }

  /** Assigns the turn to the session of the member that takes the job. */
  async #follow(turn: PendingTurn): Promise<void> {
    for (let delay = FIRST_MS; ; delay = Math.min(MOST_MS, 2 * delay)) {
      await pause(this.#clock, delay, { background: true });
      const found = await this.#find(turn.id);
      if (found === undefined) throw this.#gone(turn.id);
      if (found.type === "waiting") continue;
      const { source, calls } = this.#session(found.session).follow(turn.id);
      return turn.assign(source, calls);
    }
  }

  async #find(id: string): Promise<FoundJob | undefined> {
    return ((await this.#reach.call(this.#key, "findJob", id)) as FoundJob | null) ?? undefined;
  }

  async #cancel(id: string): Promise<void> {
    await this.#reach.call(this.#key, "cancelJob", id);
  }

  #session(key: string): GlobalSession {
    return new GlobalSession(nameOfKey(key), this.#reach);
  }

  #gone(turnId: string): CastellanError<"TURN_LOST"> {
    const message = `${this.#who}, turn ${turnId}: the database no longer has the job, and no turn of it. It may have run.`;
    return new CastellanError("TURN_LOST", message, { details: { turnId, partialText: "", toolUses: [] } });
  }
}
