import type {
  Claim,
  DescribedSession,
  Engine,
  EngineFindQuery,
  NameHolder,
  NodeDescription,
  NodeEntry,
  NodeState,
  OwnedSession,
  SessionOwnership,
} from "../../src/cluster/protocol/engine.ts";
import { CastellanError } from "../../src/errors.ts";
import type { TurnEntry } from "../../src/journal/model/turn-entry.ts";
import type { Chance } from "./simulated-chance.ts";
import type { SimulatedEngine } from "./simulated-engine.ts";
import type { SimulatedChange } from "./simulated-journal.ts";
import type { SimulatedMachine } from "./simulated-machine.ts";
import type { SimulatedTime } from "./simulated-time.ts";
import type { NumberedChange, Writer, WritesAgain } from "./simulated-writes.ts";

/** The quality of the connections to an engine. It may change during calls. */
export interface EngineLine {
  /** The longest time of one way, in milliseconds. */
  slownessMs: number;
  /** The probabilities that a call fails, that its answer is lost, and that it takes effect after its timeout. */
  fails: number;
  loses: number;
  delays: number;
  /** The machines that cannot reach the engine. `"all"` while it is down. */
  readonly cut: Set<string>;
}

export function engineLine(): EngineLine {
  return { slownessMs: 4, fails: 0, loses: 0, delays: 0, cut: new Set() };
}

/** The timeout of a call, and how much later it may still take effect, in milliseconds. */
const TIMEOUT_MS = 1_500;
const LATE_MS = 1_000;

/** An engine as one machine reaches it. */
export class SimulatedEnginePort implements Engine, WritesAgain {
  readonly location = "the simulated engine";
  readonly #engine: SimulatedEngine;
  readonly #line: EngineLine;
  readonly #machine: SimulatedMachine;
  readonly #time: SimulatedTime;
  readonly #chance: Chance;
  #open = 0;
  #era: number | undefined;
  readonly #joined = new Map<string, NodeDescription>();
  readonly #history: () => number;

  constructor(
    engine: SimulatedEngine,
    line: EngineLine,
    machine: SimulatedMachine,
    time: SimulatedTime,
    chance: Chance,
    /** Counts the failovers. What was sent before one does not take effect after it. */
    history: () => number = () => 0,
  ) {
    this.#history = history;
    this.#engine = engine;
    this.#line = line;
    this.#machine = machine;
    this.#time = time;
    this.#chance = chance;
  }

  /** The number of unanswered calls. */
  get open(): number {
    return this.#open;
  }

  get era(): number | undefined {
    return this.#era;
  }

  async join(node: NodeDescription): Promise<NameHolder | undefined> {
    const [holder, era] = await this.#call(() => [this.#engine.join(node), this.#engine.era] as const);
    this.#era = era;
    if (holder === undefined) this.#joined.set(node.boot, node);
    return holder;
  }

  async renew(boot: string, state: NodeState): Promise<boolean> {
    const joined = this.#joined.get(boot);
    const [renewed, era] = await this.#call(() => [this.#engine.renew(boot, state, joined), this.#engine.era] as const);
    this.#era = era;
    return renewed;
  }

  caughtUp(boot: string, era: number): Promise<void> {
    return this.#call(() => this.#engine.caughtUp(boot, era));
  }

  restored(boots: readonly string[]): Promise<void> {
    return this.#call(() => this.#engine.restored(boots));
  }

  lastNumber(writer: Writer): Promise<number> {
    return this.#call(() => this.#engine.lastNumber(writer));
  }

  writeAgain(writer: Writer, changes: readonly NumberedChange[], stillOwned: boolean): Promise<void> {
    const joined = this.#joined.get(writer.boot);
    return this.#call(() => this.#engine.writeAgain(writer, changes, stillOwned, joined));
  }

  leave(boot: string): Promise<void> {
    this.#joined.delete(boot);
    return this.#call(() => this.#engine.leave(boot));
  }

  claim(boot: string, key: string): Promise<Claim> {
    return this.#call(() => this.#engine.claim(boot, key));
  }

  release(boot: string, key: string, epoch: number): Promise<void> {
    return this.#call(() => this.#engine.release(boot, key, epoch));
  }

  forget(key: string): Promise<void> {
    return this.#call(() => this.#engine.forget(key));
  }

  ownerOf(key: string): Promise<SessionOwnership | undefined> {
    return this.#call(() => this.#engine.ownerOf(key));
  }

  nodes(): Promise<readonly NodeEntry[]> {
    return this.#call(() => this.#engine.nodes());
  }

  unattended(wanted: readonly string[], limit: number): Promise<readonly string[]> {
    return this.#call(() => this.#engine.unattended(wanted, limit));
  }

  sessions(keyPrefix: string): Promise<readonly OwnedSession[]> {
    return this.#call(() => this.#engine.sessions(keyPrefix));
  }

  findSessions(query: EngineFindQuery): Promise<readonly DescribedSession[]> {
    return this.#call(() => this.#engine.findSessions(query));
  }

  reserveJob(boot: string, key: string): Promise<string | undefined> {
    return this.#call(() => this.#engine.reserveJob(boot, key));
  }

  countJobs(key: string): Promise<number> {
    return this.#call(() => this.#engine.countJobs(key));
  }

  /** Notifications arrive late, or not at all. */
  listen(changed: () => void): () => void {
    let listens = true;
    const hear = (): void => {
      if (listens) changed();
    };
    const unlisten = this.#engine.listen(() => {
      if (!this.#reaches || this.#chance.happens(0.2)) return;
      this.#time.after(this.#chance.between(0, 4 * this.#line.slownessMs), () => this.#machine.deliver(hear));
    });
    return () => {
      listens = false;
      unlisten();
    };
  }

  write(boot: string, key: string, epoch: number, number: number, change: SimulatedChange): Promise<void> {
    return this.#call(() => this.#engine.write(boot, key, epoch, number, change));
  }

  find(turn: string): Promise<TurnEntry | undefined> {
    return this.#call(() => this.#engine.journal.find(turn));
  }

  /** Returns the unfinished turns of a session, and whether the transcript has output of each turn's last attempt. */
  openTurns(key: string): Promise<readonly { readonly entry: TurnEntry; readonly said: boolean }[]> {
    const { journal } = this.#engine;
    return this.#call(() =>
      journal.open(key).map((entry) => ({ entry, said: journal.hasMessages(entry.id, entry.attempts) })),
    );
  }

  async close(): Promise<void> {}

  get #reaches(): boolean {
    const { cut } = this.#line;
    return !cut.has("all") && !cut.has(this.#machine.name);
  }

  #call<Value>(sent: () => Value): Promise<Value> {
    const history = this.#history();
    const effect = (): Value => {
      if (this.#history() !== history) throw unavailable();
      return sent();
    };
    const { promise, resolve, reject } = Promise.withResolvers<Value>();
    const { fails, loses, delays, slownessMs } = this.#line;
    const chance = this.#chance;
    this.#open++;
    let open = true;
    const timer = this.#machine.schedule(TIMEOUT_MS, () => settle(() => reject(unavailable())));
    const settle = (as: () => void): void => {
      if (!open) return;
      open = false;
      this.#open--;
      timer.cancel();
      as();
    };
    const [there, back] = [chance.between(0.1, slownessMs), chance.between(0.1, slownessMs)];
    const fate = chance.random();
    const refuse = (): void => this.#machine.deliver(() => settle(() => reject(unavailable())));
    const answer = (as: () => void): void => {
      // A lost answer either breaks the connection at once, or never arrives.
      if (!this.#reaches) return;
      if (fate < fails + loses) this.#time.after(back, chance.happens(0.5) ? refuse : () => {});
      else this.#time.after(back, () => this.#machine.deliver(() => settle(as)));
    };
    const act = (): void => {
      try {
        const value = effect();
        answer(() => resolve(value));
      } catch (error) {
        answer(() => reject(error));
      }
    };
    if (!this.#reaches || fate < fails) {
      // A failed call is reported at once, or times out.
      if (chance.happens(0.5)) this.#time.after(there, refuse);
    } else if (fate > 1 - delays) {
      this.#time.after(TIMEOUT_MS + chance.between(0, LATE_MS), () => this.#ignoring(effect));
    } else {
      this.#time.after(there, () => {
        if (this.#reaches) act();
      });
    }
    return promise;
  }

  #ignoring(effect: () => unknown): void {
    try {
      effect();
    } catch {
      // No caller waits for it.
    }
  }
}

function unavailable(): CastellanError<"DATABASE_UNAVAILABLE"> {
  const message = "the simulated engine does not answer.";
  return new CastellanError("DATABASE_UNAVAILABLE", message, { details: { reason: "unreachable" } });
}
