import type { SimulatedEngine } from "./simulated-engine.ts";
import type { SimulatedMachine } from "./simulated-machine.ts";
import type { SimulatedTime } from "./simulated-time.ts";

/** An observed process of a session. */
export interface SeenActivation {
  readonly key: string;
  readonly boot: string;
  readonly epoch: number;
  readonly machine: SimulatedMachine;
  readonly startedAt: number;
  endedAt: number | undefined;
  /** Whether its host was killed without ending it. */
  orphaned: boolean;
}

/** Two processes of one session alive at the same time, with the state of the older one's machine. */
export interface Overlap {
  readonly at: number;
  readonly older: SeenActivation;
  readonly newer: SeenActivation;
  readonly olderState: SimulatedMachine["state"];
}

/** A prompt that a node sent to a process after it had lost the session. */
export interface StrayPrompt {
  readonly at: number;
  readonly turn: string;
  readonly activation: SeenActivation;
}

/** How long a process may outlive its host, in milliseconds. */
const ORPHAN_MS = 1_000;

/** The processes of all sessions on all machines, seen from outside. */
export class SimulatedActivations {
  readonly #time: SimulatedTime;
  readonly #engine: SimulatedEngine;
  readonly #alive = new Set<SeenActivation>();
  readonly overlaps: Overlap[] = [];
  readonly strayPrompts: StrayPrompt[] = [];
  /** How often each turn was completed. */
  readonly finished = new Map<string, number>();

  constructor(time: SimulatedTime, engine: SimulatedEngine) {
    this.#time = time;
    this.#engine = engine;
  }

  get alive(): ReadonlySet<SeenActivation> {
    return this.#alive;
  }

  start(key: string, boot: string, epoch: number, machine: SimulatedMachine): SeenActivation {
    const at = this.#time.now;
    const newer = { key, boot, epoch, machine, startedAt: at, endedAt: undefined, orphaned: false };
    for (const older of this.#alive) {
      if (older.key === key) this.overlaps.push({ at, older, newer, olderState: older.machine.state });
    }
    this.#alive.add(newer);
    return newer;
  }

  prompted(activation: SeenActivation, turn: string): void {
    const { boot, key, epoch } = activation;
    if (this.#engine.isOwner(boot, key, epoch)) return;
    this.strayPrompts.push({ at: this.#time.now, turn, activation });
  }

  ended(activation: SeenActivation): void {
    if (!this.#alive.delete(activation)) return;
    activation.endedAt = this.#time.now;
  }

  finishedTurn(turn: string): void {
    this.finished.set(turn, (this.finished.get(turn) ?? 0) + 1);
  }

  /** Ends the processes of a killed host a moment later. */
  orphan(machine: SimulatedMachine, random: () => number): void {
    for (const activation of this.#alive) {
      if (activation.machine !== machine) continue;
      activation.orphaned = true;
      this.#time.after(random() * ORPHAN_MS, () => this.ended(activation));
    }
  }
}
