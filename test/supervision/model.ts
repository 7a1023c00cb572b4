import type { ChildExit, Disposition } from "../../src/supervision/child-spec.ts";
import type { World } from "./model-world.ts";
import type { Plan, Team } from "./tree.ts";

/** Children of one supervisor that start together. */
interface Batch {
  members: ModelChild[];
}

type State = "running" | "waiting" | "terminated" | "quarantined";
type Outcome = "ok" | "CHILD_START_FAILED" | "cancelled" | "SUPERVISOR_STOPPED";
/** What happens to a child whose start fails. */
type OnStartFailure = "judge" | "forget" | "terminated" | "quarantined";

interface ModelChild {
  readonly plan: Plan;
  state: State;
  batch: Batch | undefined;
  hasRun: boolean;
  restarts: number;
  delay: number;
  failedStarts: number;
  counted: number[];
  since: number;
  inner: Model | undefined;
  /** The first outcome that a waiting call received. */
  outcome: Outcome | undefined;
}

/** A simple model of a supervisor, in which every start and stop happens at once and nothing overlaps. */
export class Model {
  readonly id: string;
  readonly #team: Team;
  readonly #world: World;
  readonly #onEnd: (exit: ChildExit) => void;
  #children: ModelChild[] = [];
  #ended = false;
  #opening = true;
  #counted: number[] = [];

  constructor(id: string, team: Team, world: World, onEnd: (exit: ChildExit) => void) {
    this.id = id;
    this.#team = team;
    this.#world = world;
    this.#onEnd = onEnd;
  }

  /** Starts all children and returns whether the supervisor runs. */
  open(): boolean {
    this.#children = this.#team.children.map(newChild);
    this.#begin(this.#children, 0, "judge");
    this.#opening = false;
    return !this.#ended;
  }

  /** Returns all running supervisors, this one first. */
  running(): Model[] {
    return this.#ended ? [] : [this, ...this.#children.flatMap(({ inner }) => inner?.running() ?? [])];
  }

  /** Returns the ids of this supervisor's running workers. */
  workers(): string[] {
    return this.#children.filter((child) => child.state === "running" && !child.inner).map(({ plan }) => plan.id);
  }

  /** Returns what `whichChildren` should show. */
  show(): string[] {
    return this.#children.map((child) => {
      const { id } = child.plan;
      const state = child.state === "waiting" ? (isFirst(child) ? "starting" : "restarting") : child.state;
      const restarts = child.state === "running" && this.#isStable(child) ? 0 : child.restarts;
      return `${id} ${state} ${restarts}`;
    });
  }

  workerExits(id: string, exit: ChildExit): void {
    const child = this.#find(id);
    if (child !== undefined) this.#onExit(child, exit);
  }

  stop(): void {
    this.#end(undefined);
  }

  startChild(plan: Plan): string | undefined {
    const known = this.#find(plan.id);
    if (known !== undefined) {
      return known.state === "running" || isFirst(known) ? "CHILD_ALREADY_STARTED" : "CHILD_ALREADY_PRESENT";
    }
    const child = newChild(plan);
    this.#children.push(child);
    return this.#startByHand(child, "forget");
  }

  terminateChild(id: string): string {
    const child = this.#find(id);
    if (child === undefined) return "CHILD_NOT_FOUND";
    this.#release(child, "cancelled");
    return "ok";
  }

  restartChild(id: string): string | undefined {
    const child = this.#find(id);
    if (child === undefined) return "CHILD_NOT_FOUND";
    if (child.state === "running") return "CHILD_RUNNING";
    if (child.state === "waiting") return isFirst(child) ? "CHILD_RUNNING" : "CHILD_RESTARTING";
    return this.#startByHand(child, child.state);
  }

  deleteChild(id: string): string {
    const child = this.#find(id);
    if (child === undefined) return "CHILD_NOT_FOUND";
    if (child.state === "running") return "CHILD_RUNNING";
    if (child.state === "waiting") return isFirst(child) ? "CHILD_RUNNING" : "CHILD_RESTARTING";
    this.#forget(child);
    return "ok";
  }

  recycleChild(id: string): string | undefined {
    const child = this.#find(id);
    if (child === undefined) return "CHILD_NOT_FOUND";
    if (child.state !== "waiting" || child.batch === undefined) return this.#startByHand(child, "judge");
    resetRestarts(child);
    child.outcome = undefined;
    this.#run(child.batch, "judge");
    return child.outcome;
  }

  #startByHand(child: ModelChild, otherwise: OnStartFailure): string | undefined {
    resetRestarts(child);
    child.outcome = undefined;
    this.#begin([child], 0, otherwise);
    return child.outcome;
  }

  #onExit(child: ModelChild, exit: ChildExit): void {
    this.#endSeries(child);
    child.state = "terminated";
    child.inner = undefined;
    this.#judge(child, exit);
  }

  #judge(child: ModelChild, exit: ChildExit): void {
    const { restart } = child.plan;
    const disposition = exit.reason === "abnormal" ? (exit.disposition ?? "count") : "count";
    if (restart === "temporary") {
      this.#forget(child);
      this.#autoShutdown(child);
    } else if (restart === "transient" && exit.reason !== "abnormal") {
      this.#autoShutdown(child);
    } else if (disposition === "quarantine") {
      this.#giveUp(child);
    } else if (disposition === "free" || this.#mayRestart(child)) {
      this.#restart(child);
    } else {
      this.#giveUp(child);
    }
  }

  #giveUp(child: ModelChild): void {
    if (this.#team.options.onMaxRestarts === "escalate") this.#end({ reason: "abnormal" });
    else child.state = "quarantined";
  }

  /** Counts a restart and returns whether the intensity allows it. */
  #mayRestart(child: ModelChild): boolean {
    const { maxRestarts = 3, maxSeconds = 5, onMaxRestarts } = this.#team.options;
    const shared = onMaxRestarts === "escalate";
    const earlier = (shared ? this.#counted : child.counted).filter((at) => at + maxSeconds * 1_000 >= this.#world.now);
    if (earlier.length >= maxRestarts || child.failedStarts > Math.max(5, maxRestarts)) return false;
    if (shared) this.#counted = [...earlier, this.#world.now];
    else child.counted = [...earlier, this.#world.now];
    return true;
  }

  #restart(child: ModelChild): void {
    child.restarts += 1;
    child.delay = child.restarts === 1 ? 0 : Math.min(30_000, 100 * 2 ** (child.restarts - 2));
    child.state = "waiting";
    const { strategy } = this.#team.options;
    const alone = strategy === "one_for_one" || !child.hasRun;
    if (!child.hasRun) this.#world.overlapped = true;
    else this.#world.lost ||= this.#world.overlapped;
    const from = strategy === "one_for_all" ? 0 : this.#children.indexOf(child);
    const group = alone ? [child] : this.#children.slice(from).filter(({ state }) => state !== "quarantined");
    for (const member of group.toReversed()) {
      if (member.state !== "running") continue;
      this.#stop(member);
      if (member.plan.restart === "temporary") this.#forget(member);
    }
    this.#begin(group, child.delay, "judge");
  }

  /** Stops these children, and starts them together with the members of their pending batches. */
  #begin(group: readonly ModelChild[], delay: number, otherwise: OnStartFailure): void {
    const all = new Set(group.flatMap((child) => [child, ...(child.batch?.members ?? [])]));
    const members = this.#children.filter((child) => all.has(child));
    for (const child of members.toReversed()) if (child.state === "running") this.#stop(child);
    for (const child of members) {
      leaveBatch(child);
      child.state = "waiting";
    }
    const batch: Batch = { members: [...members] };
    for (const child of members) child.batch = batch;
    if (delay === 0) this.#run(batch, otherwise);
    else this.#world.after(delay, () => this.#run(batch, otherwise));
  }

  /** Starts the remaining members of a batch. A batch that ran or was taken over has none. */
  #run(batch: Batch, otherwise: OnStartFailure): void {
    for (let child = batch.members[0]; child !== undefined; child = batch.members[0]) {
      leaveBatch(child);
      const failure = this.#start(child);
      if (failure === undefined) continue;
      if (this.#opening && this.#team.options.onStartFailure === "abort") {
        child.state = "terminated";
        this.#end({ reason: "abnormal" });
      } else if (otherwise === "judge") {
        this.#judge(child, { reason: "abnormal", disposition: failure });
      } else if (otherwise === "forget") {
        this.#forget(child);
      } else {
        child.state = failure === "quarantine" ? "quarantined" : otherwise;
      }
    }
  }

  /** Starts a child and returns how it failed, if it did. */
  #start(child: ModelChild): Disposition | undefined {
    const { id, inner } = child.plan;
    this.#world.log.push(`start ${id}`);
    let failure = this.#world.failures.get(id)?.shift();
    if (inner !== undefined) {
      const model = new Model(id, inner, this.#world, (exit) => this.#onExit(child, exit));
      child.inner = model;
      if (!model.open()) failure = "count";
    }
    if (failure !== undefined) child.inner = undefined;
    child.outcome ??= failure === undefined ? "ok" : "CHILD_START_FAILED";
    if (failure !== undefined) {
      if (failure !== "free") child.failedStarts++;
      return failure;
    }
    child.failedStarts = 0;
    child.state = "running";
    child.hasRun = true;
    child.since = this.#world.now;
    return undefined;
  }

  #stop(child: ModelChild): void {
    this.#endSeries(child);
    this.#world.log.push(`stop ${child.plan.id}`);
    child.inner?.stop();
    child.inner = undefined;
    child.state = "terminated";
  }

  #release(child: ModelChild, outcome: Outcome): void {
    if (child.state !== "running" && child.state !== "waiting") return;
    child.outcome ??= outcome;
    if (child.state === "running") this.#stop(child);
    leaveBatch(child);
    child.state = "terminated";
    if (child.plan.restart === "temporary") this.#forget(child);
  }

  /** Ends the supervisor. Notifies its parent unless the parent ended it. */
  #end(exit: ChildExit | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#world.lost ||= this.#world.overlapped;
    for (const child of this.#children.toReversed()) this.#release(child, "SUPERVISOR_STOPPED");
    if (exit !== undefined && !this.#opening) this.#onEnd(exit);
  }

  #autoShutdown(child: ModelChild): void {
    const { autoShutdown } = this.#team.options;
    const others = this.#children.some(
      ({ plan, state }) => plan.significant && (state === "running" || state === "waiting"),
    );
    if (!child.plan.significant || autoShutdown === "never") return;
    if (autoShutdown === "any_significant" || !others) this.#end({ reason: "shutdown" });
  }

  #forget(child: ModelChild): void {
    this.#children = this.#children.filter((other) => other !== child);
  }

  /** Ends the restart series of a child that ran long enough. */
  #endSeries(child: ModelChild): void {
    if (this.#isStable(child)) Object.assign(child, { restarts: 0, delay: 0 });
  }

  #isStable(child: ModelChild): boolean {
    const { maxSeconds = 5 } = this.#team.options;
    return this.#world.now - child.since >= Math.max(maxSeconds * 1_000, child.delay);
  }

  #find(id: string): ModelChild | undefined {
    return this.#children.find(({ plan }) => plan.id === id);
  }
}

function newChild(plan: Plan): ModelChild {
  const past = { hasRun: false, restarts: 0, delay: 0, failedStarts: 0, counted: [], since: 0 };
  return { plan, state: "waiting", batch: undefined, inner: undefined, outcome: undefined, ...past };
}

function isFirst(child: ModelChild): boolean {
  return child.state === "waiting" && !child.hasRun && child.restarts === 0;
}

function resetRestarts(child: ModelChild): void {
  Object.assign(child, { restarts: 0, delay: 0, failedStarts: 0, counted: [] });
}

function leaveBatch(child: ModelChild): void {
  if (child.batch !== undefined) child.batch.members = child.batch.members.filter((other) => other !== child);
  child.batch = undefined;
}
