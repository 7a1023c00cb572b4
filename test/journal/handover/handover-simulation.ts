import { Chance } from "../../cluster/simulated-chance.ts";
import { SimulatedMachine } from "../../cluster/simulated-machine.ts";
import { SimulatedTime } from "../../cluster/simulated-time.ts";
import type { HandoverPlan, PlannedEvent, PlannedTurn, Whom } from "./handover-plan.ts";
import { type ApplicationWorld, SimulatedApplication } from "./simulated-application.ts";
import { SimulatedFile } from "./simulated-file.ts";
import { SimulatedSockets } from "./simulated-sockets.ts";
import type { Outcome } from "./simulated-talk.ts";

/** What a caller learned. */
export interface HandoverCall {
  readonly planned: PlannedTurn;
  outcome: Outcome | undefined;
  /** How often it was told one. */
  times: number;
}

/** Two processes that ran turns of one session at once, both of them able to act. */
export interface HandoverOverlap {
  readonly at: number;
  readonly key: string;
  readonly older: SimulatedMachine;
  readonly newer: SimulatedMachine;
}

/** How long the rest may take after the last fault, in milliseconds: deadlines of borrowers, and some restarts. */
const QUIET_MS = 120_000;

/** How long a new process takes to start when none runs, and how long a caller waits to ask again, in milliseconds. */
const RESTART_MS = 300;
const AGAIN_MS = 40;

/** Runs processes of an application that hand one journal over, with the real hand-over, in a simulated machine. */
export class HandoverSimulation {
  readonly plan: HandoverPlan;
  /** A `JournalWriter` waits for the next round. */
  readonly time = new SimulatedTime(2);
  readonly file: SimulatedFile;
  readonly sockets: SimulatedSockets;
  readonly calls: HandoverCall[] = [];
  readonly trace: string[] = [];
  readonly accepted = new Set<string>();
  readonly overlaps: HandoverOverlap[] = [];
  /** The processes that ran each turn to its end. */
  readonly finished = new Map<string, SimulatedMachine[]>();
  /** Machines that were killed or frozen. */
  readonly hurt = new Set<SimulatedMachine>();
  isQuiet = false;
  readonly #chance: Chance;
  readonly #applications: SimulatedApplication[] = [];
  readonly #running = new Map<string, Set<SimulatedMachine>>();
  readonly #world: ApplicationWorld;
  /** Kills that wait for a step, and for a batch. */
  readonly #steps: { step: number; readonly whom: Whom }[] = [];
  readonly #batches: { left: number }[] = [];
  /** How long after it each of the next openings kills its process, in milliseconds. */
  readonly #openings: number[] = [];
  /** What to do when a process dies. */
  readonly #deaths = new Map<SimulatedMachine, Set<() => void>>();
  #ids = 0;
  #starting = false;
  #isHealed = false;

  constructor(plan: HandoverPlan) {
    this.plan = plan;
    this.#chance = new Chance(`run ${plan.seed}`);
    this.file = new SimulatedFile(this.time, this.#chance.of("file"));
    this.sockets = new SimulatedSockets(this.time, this.#chance.of("sockets"));
    this.file.onOpened = (machine) => this.#openedBy(machine);
    this.file.onWritten = (machine) => this.#wrote(machine);
    this.file.log = (what) => this.#log(what);
    this.file.onCall = () => this.#step();
    this.sockets.onSend = () => this.#step();
    this.#world = {
      ...{ file: this.file, sockets: this.sockets, keys: plan.keys, stepMs: plan.stepMs, deadlineMs: plan.deadlineMs },
      observer: {
        accepted: (turn, machine) => {
          this.accepted.add(turn);
          this.#log(`${machine.name} has accepted ${turn}`);
        },
        began: (key, turn, machine) => {
          this.#log(`${machine.name} begins ${turn} of ${key}`);
          this.#began(key, machine);
        },
        ended: (key, machine) => void this.#running.get(key)?.delete(machine),
        finished: (turn, machine) => this.finished.set(turn, [...(this.finished.get(turn) ?? []), machine]),
      },
      isAlive: (pid) => this.#applications.some((one) => one.pid === pid && one.machine.state !== "dead"),
      forward: (from, pid, key, turn) => this.#forward(from, pid, key, turn),
      exit: (application, why) => this.#kill(application, why),
      log: (what) => this.#log(what),
    };
  }

  async run(): Promise<void> {
    this.#deploy();
    for (const turn of this.plan.turns) this.time.after(turn.at, () => this.#ask(turn));
    for (const event of this.plan.events) this.time.after(event.at, () => this.#inflict(event));
    await this.time.run(this.plan.untilMs);
    this.#heal();
    await this.time.run(this.time.now + QUIET_MS, () => this.#isOver);
    this.isQuiet = this.#isOver;
    for (const { machine } of this.#alive) machine.kill();
  }

  /** What is left that should have ended. */
  get leftovers(): readonly string[] {
    const waiting = this.calls.filter(({ outcome }) => outcome === undefined).map(({ planned }) => planned.turn);
    return [
      ...waiting.map((turn) => `the caller of ${turn}`),
      ...this.#alive.map(({ machine, handoverState }) => `${machine.name} (${handoverState ?? "starting"})`),
    ];
  }

  get #alive(): readonly SimulatedApplication[] {
    return this.#applications.filter(({ machine }) => machine.state !== "dead");
  }

  /** Whether all callers know, and one process owns everything. */
  get #isOver(): boolean {
    if (!this.#isHealed || this.calls.length < this.plan.turns.length) return false;
    if (this.calls.some(({ outcome }) => outcome === undefined)) return false;
    const [only, ...others] = this.#alive;
    return only?.handoverState === "owning" && others.length === 0;
  }

  #deploy(): void {
    const number = this.#applications.length + 1;
    const machine = new SimulatedMachine(`p${number}`, this.time);
    const application = new SimulatedApplication(machine, number, this.#chance.of(machine.name), this.#world);
    this.#applications.push(application);
    this.#log(`${machine.name} starts`);
    machine.deliver(() => void application.start(() => `id${++this.#ids}`));
  }

  #inflict(event: PlannedEvent): void {
    this.#log(JSON.stringify(event));
    switch (event.type) {
      case "deploy":
        this.#deploy();
        return;
      case "kill":
        this.#hurt(event.whom, (one) => this.#kill(one, "is killed"));
        return;
      case "kill_at_step":
        this.#steps.push({ step: event.step, whom: event.whom });
        return;
      case "kill_writer":
        this.#batches.push({ left: event.batch });
        return;
      case "kill_opener":
        this.#openings.push(event.afterMs);
        return;
      case "freeze":
        this.#hurt(event.whom, ({ machine }) => {
          machine.freeze(event.as);
          this.time.after(event.forMs, () => this.#thaw(machine));
        });
        return;
      case "set_clock":
        this.#pick(event.whom)?.machine.jump(event.byMs);
        return;
      case "slow":
        Object.assign(this.file, { slownessMs: event.slownessMs, fails: event.fails });
        this.time.after(event.forMs, () => Object.assign(this.file, { slownessMs: 3, fails: 0 }));
        return;
    }
  }

  /** Counts an operation of some process. */
  #step(): void {
    for (const waiting of this.#steps) {
      waiting.step -= 1;
      if (waiting.step !== 0) continue;
      this.time.after(0, () => this.#hurt(waiting.whom, (one) => this.#kill(one, "is killed at a step")));
    }
  }

  #openedBy(machine: SimulatedMachine): void {
    const afterMs = this.#openings.shift();
    const application = this.#alive.find((one) => one.machine === machine);
    if (afterMs === undefined || application === undefined) return;
    this.time.after(afterMs, () => {
      if (this.#isHealed) return;
      this.hurt.add(machine);
      this.#kill(application, "is killed after an opening");
    });
  }

  #wrote(machine: SimulatedMachine): void {
    const application = this.#alive.find((one) => one.machine === machine);
    if (application === undefined || application === this.#alive[0] || this.#isHealed) return;
    for (const waiting of this.#batches) {
      waiting.left -= 1;
      if (waiting.left !== 0) continue;
      this.hurt.add(machine);
      this.#kill(application, "is killed after a write");
    }
  }

  #hurt(whom: Whom, how: (application: SimulatedApplication) => void): void {
    const application = this.#isHealed ? undefined : this.#pick(whom);
    if (application === undefined) return;
    this.hurt.add(application.machine);
    how(application);
  }

  #pick(whom: Whom): SimulatedApplication | undefined {
    const alive = this.#alive;
    if (alive.length === 0) return undefined;
    if (whom === "any") return this.#chance.pick(alive);
    return whom === "oldest" ? alive[0] : alive.at(-1);
  }

  #kill(application: SimulatedApplication, why: string): void {
    const { machine } = application;
    if (machine.state === "dead") return;
    this.#log(`${machine.name} ${why}`);
    machine.kill();
    this.sockets.died(machine);
    for (const running of this.#running.values()) running.delete(machine);
    for (const died of this.#deaths.get(machine) ?? []) died();
    this.#deaths.delete(machine);
    if (this.#alive.length === 0 && !this.#starting) {
      this.#starting = true;
      this.time.after(RESTART_MS, () => {
        this.#starting = false;
        if (this.#alive.length === 0) this.#deploy();
      });
    }
  }

  #thaw(machine: SimulatedMachine): void {
    if (machine.state !== "stopped" && machine.state !== "suspended") return;
    this.#log(`${machine.name} goes on`);
    machine.thaw(this.#chance.random);
  }

  /** Ends all faults. */
  #heal(): void {
    this.#log("all faults end");
    this.#isHealed = true;
    this.#steps.length = 0;
    this.#batches.length = 0;
    this.#openings.length = 0;
    Object.assign(this.file, { slownessMs: 3, fails: 0 });
    for (const { machine } of this.#alive) this.#thaw(machine);
  }

  #began(key: string, newer: SimulatedMachine): void {
    const running = this.#running.get(key) ?? new Set();
    this.#running.set(key, running);
    for (const older of running) {
      if (older !== newer && older.state === "running") this.overlaps.push({ at: this.time.now, key, older, newer });
    }
    running.add(newer);
  }

  #ask(planned: PlannedTurn): void {
    const call: HandoverCall = { planned, outcome: undefined, times: 0 };
    this.calls.push(call);
    this.#askSomebody(call);
  }

  #askSomebody(call: HandoverCall): void {
    const ready = this.#applications.filter(({ isReady }) => isReady);
    const again = (): void => void this.time.after(AGAIN_MS, () => this.#askSomebody(call));
    if (ready.length === 0) {
      again();
      return;
    }
    const application = this.#chance.pick(ready);
    const { turn, key } = call.planned;
    this.#askOne(application, key, turn, (outcome) => {
      if (outcome === undefined) {
        again();
        return;
      }
      call.outcome = outcome;
      call.times += 1;
      this.#log(`the caller of ${turn} is told ${outcome} by ${application.machine.name}`);
    });
  }

  /** Asks a process. `answered` is called once: with nothing if the process dies, or cannot tell. */
  #askOne(
    application: SimulatedApplication,
    key: string,
    turn: string,
    answered: (outcome: Outcome | undefined) => void,
  ): void {
    const { machine } = application;
    const deaths = this.#deaths.get(machine) ?? new Set();
    this.#deaths.set(machine, deaths);
    let open = true;
    const answer = (outcome: Outcome | undefined): void => {
      if (!open) return;
      open = false;
      deaths.delete(died);
      this.time.after(this.#chance.between(0.1, 2), () => answered(outcome));
    };
    const died = (): void => answer(undefined);
    deaths.add(died);
    if (machine.state === "dead") died();
    this.time.after(this.#chance.between(0.1, 2), () =>
      machine.deliver(() => void application.ask(key, turn).then(answer)),
    );
  }

  #forward(from: SimulatedApplication, pid: number, key: string, turn: string): Promise<Outcome | undefined> {
    const { promise, resolve } = Promise.withResolvers<Outcome | undefined>();
    const settle = (outcome: Outcome | undefined): void => from.machine.deliver(() => resolve(outcome));
    const to = this.#applications.find((one) => one.pid === pid && one.machine.state !== "dead");
    if (to === undefined) this.time.after(1, () => settle(undefined));
    else this.#askOne(to, key, turn, settle);
    return promise;
  }

  #log(what: string): void {
    this.trace.push(`${this.time.now.toFixed(1).padStart(9)} ${what}`);
  }
}
