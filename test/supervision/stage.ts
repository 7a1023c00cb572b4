import type {
  Child,
  ChildEvent,
  ChildExit,
  ChildSpec,
  Shutdown,
  StartContext,
} from "../../src/supervision/child-spec.ts";
import { ChildSupervisor } from "../../src/supervision/supervisor.ts";
import type { SupervisorSpec } from "../../src/supervision/supervisor-spec.ts";
import { SimulatedClock, settle } from "./simulated-clock.ts";

export const crash: ChildExit = { reason: "abnormal", cause: "crash" };
export const normal: ChildExit = { reason: "normal" };
export const shutdown: ChildExit = { reason: "shutdown" };

/** A worker that ends only when it is told to. */
export class Actor implements Child {
  readonly id: string;
  readonly exited: Promise<ChildExit>;
  readonly stops: Shutdown[] = [];
  readonly #gone: PromiseWithResolvers<ChildExit> = Promise.withResolvers<ChildExit>();
  readonly #stage: Stage;

  constructor(id: string, stage: Stage) {
    this.id = id;
    this.#stage = stage;
    this.exited = this.#gone.promise;
  }

  /** Ends without being asked. */
  exit(exit: ChildExit): void {
    this.#stage.alive.get(this.id)?.delete(this);
    this.#gone.resolve(exit);
  }

  async stop(how: Shutdown): Promise<void> {
    this.stops.push(how);
    if (this.stops.length === 1) this.#stage.log.push(`stop ${this.id}`);
    await this.#stage.stopHolds.get(this.id)?.promise;
    if (this.#stage.alive.get(this.id)?.has(this) === true) this.exit(shutdown);
  }
}

/** Records the starts and stops of actors, in order, and can hold or fail them. */
export class Stage {
  readonly clock: SimulatedClock = new SimulatedClock();
  /** Entries such as `start a` and `stop a`, in the order of the supervisors' requests. */
  log: string[] = [];
  events: (ChildEvent & { readonly id: string })[] = [];
  readonly alive: Map<string, Set<Actor>> = new Map();
  readonly contexts: Map<string, StartContext[]> = new Map();
  readonly startHolds: Map<string, PromiseWithResolvers<void>> = new Map();
  readonly stopHolds: Map<string, PromiseWithResolvers<void>> = new Map();
  /** For each id the number of actors between the call of their start and their end. */
  readonly instances: Map<string, number> = new Map();
  readonly #failures: Map<string, unknown[]> = new Map();
  readonly #defaults: Partial<ChildSpec>;

  /** `defaults` apply to every worker spec unless it overrides them. */
  constructor(defaults: Partial<ChildSpec> = {}) {
    this.#defaults = defaults;
  }

  /** Returns the dependencies of a supervisor on this stage. `random` returns 0.5, so that jitter has no effect. */
  deps(signal?: AbortSignal): Parameters<typeof ChildSupervisor.start>[2] {
    return { clock: this.clock, random: () => 0.5, ...(signal === undefined ? {} : { signal }) };
  }

  /** Returns a listener that records the events of `id`. */
  listener(id: string): (event: ChildEvent) => void {
    return (event) => void this.events.push({ ...event, id });
  }

  spec(id: string, options: Partial<ChildSpec> = {}): ChildSpec {
    const start: ChildSpec["start"] = (context) => this.#enter(id, context);
    return { id, start, onEvent: this.listener(id), ...this.#defaults, ...options };
  }

  specs(...ids: string[]): ChildSpec[] {
    return ids.map((id) => this.spec(id));
  }

  /** Returns the spec of a child that is itself a supervisor. */
  nested(id: string, children: ChildSpec[], options: SupervisorSpec = {}, spec: Partial<ChildSpec> = {}): ChildSpec {
    const start = (context: StartContext): Promise<Child> => {
      this.log.push(`start ${id}`);
      return ChildSupervisor.start(children, options, this.deps(context.signal));
    };
    return { id, type: "supervisor", start, onEvent: this.listener(id), ...spec };
  }

  supervise(children: ChildSpec[], options: SupervisorSpec = {}): Promise<ChildSupervisor> {
    return ChildSupervisor.start(children, options, this.deps());
  }

  /** Makes the next starts of `id` throw these values, one after the other. */
  failNext(id: string, ...thrown: unknown[]): void {
    this.#failures.set(id, [...(this.#failures.get(id) ?? []), ...thrown]);
  }

  /** Holds the starts (or stops) of `id` until the returned function is called. */
  holdStart(id: string): () => void {
    return hold(this.startHolds, id);
  }

  holdStop(id: string): () => void {
    return hold(this.stopHolds, id);
  }

  /** Returns the only live actor of `id`. */
  actor(id: string): Actor {
    const [actor, another] = this.alive.get(id) ?? [];
    if (actor === undefined || another !== undefined) throw new Error(`not exactly one ${id} on stage`);
    return actor;
  }

  /** Ends `id` without being asked, and waits for all effects. */
  async exit(id: string, exit: ChildExit = crash): Promise<void> {
    this.actor(id).exit(exit);
    await settle();
  }

  /** The ids of the live actors, in alphabetical order. */
  get playing(): string[] {
    const live = [...this.alive].flatMap(([id, actors]) => [...actors].map(() => id));
    return live.toSorted();
  }

  /** Returns the log since the last call. */
  take(): string[] {
    const taken = this.log;
    this.log = [];
    return taken;
  }

  /** Returns the events since the last call, as `started a`. */
  takeEvents(): string[] {
    const taken = this.events.map(({ type, id }) => `${type} ${id}`);
    this.events = [];
    return taken;
  }

  #count(id: string, change: 1 | -1): void {
    this.instances.set(id, (this.instances.get(id) ?? 0) + change);
  }

  async #enter(id: string, context: StartContext): Promise<Child> {
    this.log.push(`start ${id}`);
    this.#count(id, 1);
    this.contexts.set(id, [...(this.contexts.get(id) ?? []), context]);
    await this.startHolds.get(id)?.promise;
    const failures = this.#failures.get(id) ?? [];
    if (failures.length > 0) {
      this.#count(id, -1);
      throw failures.shift();
    }
    const actor = new Actor(id, this);
    void actor.exited.then(() => this.#count(id, -1));
    this.alive.set(id, (this.alive.get(id) ?? new Set()).add(actor));
    return actor;
  }
}

/** Holds until the returned function is called. An id can be held only once at a time. */
function hold(holds: Map<string, PromiseWithResolvers<void>>, id: string): () => void {
  const gate = Promise.withResolvers<void>();
  holds.set(id, gate);
  return () => {
    holds.delete(id);
    gate.resolve();
  };
}
