import type { Clock, Timer } from "../../src/clock.ts";
import type { SimulatedTime } from "./simulated-time.ts";

/** `stopped`: its process was sent SIGSTOP; `suspended`: the machine itself sleeps, and with it its monotonic clock. */
export type MachineState = "running" | "stopped" | "suspended" | "dead";

interface Alarm {
  /** By the monotonic clock. */
  readonly due: number;
  readonly callback: () => void;
  pending?: Timer;
}

/** What the wall clocks of all machines show when a simulation begins. */
const BEGIN = 1_700_000_000_000;

/**
 * A machine with one process on it. All that happens to that process happens by {@link SimulatedMachine.deliver} and by its
 * timers, so that none of its code runs while it stands still, or once it is dead.
 */
export class SimulatedMachine implements Clock {
  readonly name: string;
  readonly #time: SimulatedTime;
  #state: MachineState = "running";
  #wallAhead = 0;
  /** For how long it was suspended, and since when it is. */
  #slept = 0;
  #asleepSince = 0;
  /** When it went on after it had stood still. */
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

  /** How many timers wait. */
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

  /** Something from outside has come: it is taken up as soon as the process runs. */
  deliver(take: () => void): void {
    if (this.#state === "running") take();
    else if (this.#state !== "dead") this.#arrived.push(take);
  }

  /** Sets the wall clock. */
  jump(ms: number): void {
    this.#wallAhead += ms;
  }

  freeze(as: "stopped" | "suspended"): void {
    if (this.#state !== "running") return;
    this.#state = as;
    this.#asleepSince = this.#time.now;
  }

  /** Goes on. `random` mixes the timers that are due with what has come from outside; each keeps its order. */
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
    // It has slept in the meantime.
    if (alarm.due > this.monotonic() + 1e-6) {
      this.#arm(alarm);
      return;
    }
    this.#alarms.delete(alarm);
    alarm.callback();
  }
}
