import type { Clock, Timer } from "../../src/clock.ts";
import type { SimulatedTime } from "./simulated-time.ts";

/** `stopped`: its process got SIGSTOP. `suspended`: the machine sleeps, and its monotonic clock stops. */
export type MachineState = "running" | "stopped" | "suspended" | "dead";

interface Alarm {
  /** By the monotonic clock. */
  readonly due: number;
  readonly callback: () => void;
  pending?: Timer;
}

/** The wall-clock time at the start of a simulation. */
const BEGIN = 1_700_000_000_000;

/**
 * A machine with one process. The process runs only by {@link SimulatedMachine.deliver} and by its timers, so none of
 * its code runs while it is frozen or after it is dead.
 */
export class SimulatedMachine implements Clock {
  readonly name: string;
  readonly #time: SimulatedTime;
  #state: MachineState = "running";
  #wallAhead = 0;
  /** The total time of its suspensions, and the start of the current one. */
  #slept = 0;
  #asleepSince = 0;
  /** When the machine last continued. */
  #thawedAt = Number.NEGATIVE_INFINITY;
  readonly #alarms = new Set<Alarm>();
  readonly #fired: Alarm[] = [];
  #arrived: (() => void)[] = [];

  constructor(name: string, time: SimulatedTime) {
    this.name = name;
    this.#time = time;
  }

  get state(): MachineState {
    return this.#state;
  }

  get thawedAt(): number {
    return this.#thawedAt;
  }

  /** The number of pending timers. */
  get timers(): number {
    return this.#alarms.size;
  }

  now(): number {
    return BEGIN + this.#time.now + this.#wallAhead;
  }

  monotonic(): number {
    return (this.#state === "suspended" ? this.#asleepSince : this.#time.now) - this.#slept;
  }

  schedule(ms: number, callback: () => void): Timer {
    const alarm: Alarm = { due: this.monotonic() + Math.max(0, ms), callback };
    this.#alarms.add(alarm);
    this.#arm(alarm);
    return {
      cancel: () => {
        this.#alarms.delete(alarm);
        alarm.pending?.cancel();
      },
    };
  }

  /** Delivers something from outside. The process handles it as soon as it runs. */
  deliver(take: () => void): void {
    if (this.#state === "running") take();
    else if (this.#state !== "dead") this.#arrived.push(take);
  }

  /** Sets the wall clock forward, or back. */
  jump(ms: number): void {
    this.#wallAhead += ms;
  }

  freeze(as: "stopped" | "suspended"): void {
    if (this.#state !== "running") return;
    this.#state = as;
    this.#asleepSince = this.#time.now;
  }

  /** Continues. `random` interleaves the due timers with the deliveries. Each keeps its order. */
  thaw(random: () => number): void {
    if (this.#state !== "stopped" && this.#state !== "suspended") return;
    if (this.#state === "suspended") this.#slept += this.#time.now - this.#asleepSince;
    this.#state = "running";
    this.#thawedAt = this.#time.now;
    const due = this.#fired.splice(0).sort((one, other) => one.due - other.due);
    const arrived = this.#arrived;
    this.#arrived = [];
    while (due.length + arrived.length > 0) {
      const isTimer = random() * (due.length + arrived.length) < due.length;
      const alarm = isTimer ? due.shift() : undefined;
      const take = isTimer ? undefined : arrived.shift();
      if (alarm !== undefined) this.#arm(alarm);
      if (take !== undefined) this.#time.after(0, () => this.deliver(take));
    }
  }

  kill(): void {
    this.#state = "dead";
    for (const alarm of this.#alarms) alarm.pending?.cancel();
    this.#alarms.clear();
    this.#fired.length = 0;
    this.#arrived = [];
  }

  #arm(alarm: Alarm): void {
    if (this.#state === "dead" || !this.#alarms.has(alarm)) return;
    alarm.pending = this.#time.after(alarm.due - this.monotonic(), () => this.#fire(alarm));
  }

  #fire(alarm: Alarm): void {
    if (this.#state === "stopped" || this.#state === "suspended") {
      this.#fired.push(alarm);
      return;
    }
    // The machine was suspended in between.
    if (alarm.due > this.monotonic() + 1e-6) {
      this.#arm(alarm);
      return;
    }
    this.#alarms.delete(alarm);
    alarm.callback();
  }
}
