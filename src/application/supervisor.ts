import { randomUUID } from "node:crypto";
import { z } from "zod";
import { systemClock } from "../clock.ts";
import { type Duration, formatDuration } from "../duration.ts";
import { CastellanError, type ExitRecord } from "../errors.ts";
import { formatName, nameKey, type SessionName } from "../names.ts";
import type { SessionDeps } from "../session/dispatcher.ts";
import { likeOptions, type SessionOptions, type TurnOptions } from "../session/options.ts";
import type { Reply } from "../session/reply.ts";
import { isSession, type RestartOptions, type Session } from "../session/session.ts";
import type { SessionServer } from "../session/session-server.ts";
import type { SessionStatus } from "../session/session-status.ts";
import type { Turn } from "../session/turn.ts";
import { durationSchema, validate } from "../session/validation.ts";
import type { SupervisionEvent } from "../supervision/supervision-event.ts";
import type { ChildCounts } from "../supervision/supervisor.ts";
import { Branch } from "./branch.ts";
import { translated } from "./child-errors.ts";
import {
  type ChildOptions,
  type ChildPlan,
  childPlan,
  childPlans,
  type SessionPlan,
  sessionPlan,
  sessionsOf,
} from "./child-options.ts";
import { exitRecord, type Inspection, inspect } from "./inspection.ts";
import { orphansEnded } from "./orphans.ts";
import { type SessionChange, type Step, stepsBetween } from "./reconcile.ts";
import { registry } from "./registry.ts";
import { type Member, Roster } from "./roster.ts";
import { type SignalOptions, stopOnSignals } from "./signals.ts";
import { type SupervisorOptions, type SupervisorSettings, supervisorSettings } from "./supervisor-options.ts";
import type { ChildSummary, DrainReport, NotStarted, ReconcileReport, SupervisorEnd } from "./supervisor-reports.ts";

/** A session by its name or by a handle of it. */
export type SessionRef = SessionName | Session;

export interface SupervisorDeps extends SessionDeps {
  /** A number from 0 up to 1, for jitter. */
  readonly random: () => number;
}

/** How long a start is waited for that neither succeeds nor is given up. A handshake may take a minute. */
const START_MS = 90_000;

const restartSchema = z.strictObject({ conversation: z.enum(["keep", "clear"]).default("keep") });

const drainSchema = z.strictObject({ deadline: durationSchema.default(30_000) });

const SYSTEM: SupervisorDeps = { clock: systemClock, newId: randomUUID, random: Math.random };

/**
 * Starts sessions and keeps them running: a session whose process dies is started again with its conversation, its
 * options and its handshake; one that cannot be kept running is set aside while the others go on.
 *
 * @example
 * await using supervisor = await Supervisor.start([{ name: "assistant" }, { name: "reviewer", maxTurns: 5 }]);
 * const { text } = await query("reviewer", "Review this function: …");
 */
export class Supervisor implements AsyncDisposable {
  readonly name: string;
  /** Resolves when the supervisor has ended and no process of it is left. Never rejects. */
  readonly closed: Promise<SupervisorEnd>;
  readonly #settings: SupervisorSettings;
  readonly #deps: SupervisorDeps;
  readonly #roster: Roster;
  readonly #root: Branch;
  readonly #closed: PromiseWithResolvers<SupervisorEnd> = Promise.withResolvers();
  /** Settles when the tree has been started: a session can be found, and ended, before all are begun. */
  #opening: Promise<unknown> = Promise.resolve();
  #notStarted: readonly NotStarted[] = [];
  #end: SupervisorEnd = { reason: "stopped" };
  #stopping: Promise<void> | undefined;
  #draining = false;
  /** One reconciliation after the other. */
  #reconciling: Promise<unknown> = Promise.resolve();

  private constructor(settings: SupervisorSettings, plans: readonly ChildPlan[], deps: SupervisorDeps) {
    this.#settings = settings;
    this.#deps = deps;
    this.name = settings.name ?? registry.nextSupervisorName();
    this.closed = this.#closed.promise;
    this.#roster = new Roster(this.name, deps, ({ server }) => ({
      restart: async (options) => {
        this.#refuseIfGone(server);
        await this.restartSession(server.settings.name, options);
      },
      terminate: async () => {
        this.#refuseIfGone(server);
        await this.#terminate(server);
      },
      fork: async (name, options) => {
        this.#refuseIfGone(server);
        return await this.startSession({ ...likeOptions(server.settings), ...options, ...server.forkOptions, name });
      },
    }));
    const { clock, random } = deps;
    const onEvent = (event: SupervisionEvent, branch: Branch): void => this.#observe(event, branch);
    this.#root = new Branch(settings.tree, plans, { clock, random, roster: this.#roster, onEvent });
  }

  /**
   * Starts a supervisor with these children, in order. A session counts as started when its start has begun: processes
   * come up side by side. The promise resolves when each of them is up or has been set aside, in which case
   * {@link Supervisor.notStarted} says which and why.
   *
   * @throws CastellanError `INVALID_OPTIONS` with all that is wrong, or `SESSION_ALREADY_STARTED`; in both cases nothing
   * has been started
   */
  static start(children: readonly ChildOptions[], options: SupervisorOptions = {}): Promise<Supervisor> {
    return Supervisor.startWith(children, options, SYSTEM);
  }

  /** As {@link Supervisor.start}, with a clock, ids and chance of the caller's. */
  static async startWith(
    children: readonly ChildOptions[],
    options: SupervisorOptions,
    deps: SupervisorDeps,
  ): Promise<Supervisor> {
    const settings = supervisorSettings(options);
    const supervisor = new Supervisor(settings, childPlans(children, settings), deps);
    await supervisor.#open();
    return supervisor;
  }

  /** The sessions that did not come up when the supervisor was started, and why. They have been set aside. */
  get notStarted(): readonly NotStarted[] {
    return this.#notStarted;
  }

  /** See {@link Session.query}. @throws CastellanError `SESSION_NOT_FOUND`, `SUPERVISOR_STOPPED` besides */
  async query<Structured = unknown>(
    session: SessionRef,
    prompt: string,
    options: TurnOptions<Structured> = {},
  ): Promise<Reply<Structured>> {
    return await this.session(session).query(prompt, options);
  }

  /** See {@link Session.stream}. @throws CastellanError `SESSION_NOT_FOUND`, `SUPERVISOR_STOPPED` besides */
  stream<Structured = unknown>(
    session: SessionRef,
    prompt: string,
    options: TurnOptions<Structured> = {},
  ): Turn<Structured> {
    return this.session(session).stream(prompt, options);
  }

  /**
   * The session of this name, here or in a supervisor below.
   *
   * @throws CastellanError `SESSION_NOT_FOUND`, `SUPERVISOR_STOPPED`
   */
  session(session: SessionRef): Session {
    return this.#member(session).session;
  }

  /** What is known of each session, here and below, in the order in which they were added. */
  listSessions(): SessionStatus[] {
    return [...this.#roster].map(({ server }) => server.status());
  }

  countSessions(): number {
    return this.#roster.size;
  }

  /**
   * Adds a session and waits until its process is up.
   *
   * @throws CastellanError `INVALID_OPTIONS`, `SESSION_ALREADY_STARTED`, `MAX_CHILDREN`, `SUPERVISOR_STOPPED`;
   * `SESSION_QUARANTINED` with the exits if it did not come up, in which case it has been removed again;
   * `SESSION_STOPPED` if it was ended meanwhile
   */
  async startSession(options: SessionOptions): Promise<Session> {
    this.#refuseIfStopped();
    const [member] = await this.#addChild(this.#root, sessionPlan(options, this.#settings));
    return this.session(member?.session ?? options.name);
  }

  /**
   * Ends a session: its turns end with `SESSION_STOPPED`, its process is ended, its name is free. Resolves when the
   * process is gone.
   *
   * @throws CastellanError `SESSION_NOT_FOUND`, `SUPERVISOR_STOPPED`
   */
  async terminateSession(session: SessionRef): Promise<void> {
    await this.#terminate(this.#member(session).server);
  }

  /**
   * Ends the process of a session, whatever it does, and starts another one with the conversation as it is, or with an
   * empty one. Turns that wait go on waiting. It also brings back a session that has been set aside.
   *
   * @throws CastellanError `SESSION_NOT_FOUND`, `SUPERVISOR_STOPPED`, `SESSION_QUARANTINED` if it does not come up
   */
  async restartSession(session: SessionRef, options: RestartOptions = {}): Promise<void> {
    const { key, server } = this.#member(session);
    const { conversation } = validate(restartSchema, options, "restartSession");
    if (conversation === "clear") server.forget();
    if (this.#root.tree === undefined) await this.#opening;
    try {
      await this.#root.recycle(key);
    } catch (error) {
      throw server.refusal() ?? translated(error);
    }
    const failure = await this.#failure(server);
    if (failure !== undefined) throw failure;
  }

  /** What is known of each child, in start order, as OTP's `which_children`. */
  whichChildren(): ChildSummary[] {
    return this.#root.plans.map(({ kind, id }) => {
      const name = this.#roster.ofChild(id)?.session.name ?? id;
      return { id: name, type: kind, state: this.#root.tree?.child(id)?.state ?? "terminated" };
    });
  }

  /** How many children there are, as OTP's `count_children`. A session is a worker. */
  countChildren(): ChildCounts {
    return this.#root.tree?.countChildren() ?? { specs: 0, active: 0, supervisors: 0, workers: 0 };
  }

  /**
   * Adds a child at the end of the start order and starts it, as OTP's `start_child`. For a session it is
   * {@link Supervisor.startSession}.
   *
   * @throws CastellanError `CHILD_ALREADY_STARTED`, `CHILD_ALREADY_PRESENT`, `CHILD_START_FAILED`, `MAX_CHILDREN`,
   * `INVALID_OPTIONS`, `SESSION_ALREADY_STARTED`, `SUPERVISOR_STOPPED`
   */
  async startChild(child: ChildOptions): Promise<void> {
    this.#refuseIfStopped();
    await this.#addChild(this.#root, childPlan(child, this.#settings));
  }

  /**
   * Stops a child and keeps its spec, as OTP's `terminate_child`; a temporary one is forgotten. A session that is stopped
   * so takes no turns until {@link Supervisor.restartChild}; `terminateSession` also gives its name back.
   *
   * @param child a session by name or handle, another child by its name or id
   * @throws CastellanError `CHILD_NOT_FOUND`, `SUPERVISOR_STOPPED`
   */
  async terminateChild(child: SessionRef): Promise<void> {
    const plan = this.#child(child);
    for (const { server } of this.#membersOf(plan)) server.close("child");
    await this.#inTree((tree) => tree.terminateChild(plan.id));
  }

  /**
   * Starts a child that was stopped or set aside, as OTP's `restart_child`.
   *
   * @throws CastellanError `CHILD_NOT_FOUND`, `CHILD_RUNNING`, `CHILD_RESTARTING`, `CHILD_START_FAILED`,
   * `SUPERVISOR_STOPPED`; `SESSION_QUARANTINED` for a session that does not come up
   */
  async restartChild(child: SessionRef): Promise<void> {
    const plan = this.#child(child);
    await this.#inTree((tree) => tree.restartChild(plan.id));
    const [failure] = await this.#failures(this.#membersOf(plan));
    if (failure !== undefined && plan.kind === "session") throw failure.error;
  }

  /**
   * Forgets a child that does not run, as OTP's `delete_child`. Names of sessions are free from then on.
   *
   * @throws CastellanError `CHILD_NOT_FOUND`, `CHILD_RUNNING`, `CHILD_RESTARTING`, `SUPERVISOR_STOPPED`
   */
  async deleteChild(child: SessionRef): Promise<void> {
    const plan = this.#child(child);
    await this.#inTree((tree) => tree.deleteChild(plan.id));
    this.#forget(this.#root, plan);
  }

  /**
   * Makes the tree what `children` say, and touches only what differs: what is new is started, what is missing is ended,
   * a session whose options have changed takes them up, at once where it can and otherwise, when its turn is over, with
   * another process and its conversation. All others keep their processes. Calls are carried out one after the other.
   *
   * Functions in options are the same only if they are identical, so keep hooks and in-process MCP servers where they are
   * made once.
   *
   * @throws CastellanError `INVALID_OPTIONS` with all that is wrong, in which case nothing has changed;
   * `SUPERVISOR_STOPPED`
   */
  async reconcile(children: readonly ChildOptions[]): Promise<ReconcileReport> {
    this.#refuseIfEnding();
    const wanted = childPlans(children, this.#settings);
    const before = this.#reconciling;
    const work = (async () => {
      await before.catch(() => {});
      if (this.#root.tree === undefined) await this.#opening;
      this.#refuseIfEnding();
      const report: Mutable<ReconcileReport> = { added: [], removed: [], changed: [], failed: [] };
      const present = this.#root.plans;
      // At all levels before anything is added at any, so that what moves to another level finds its name free.
      await this.#reconcileBranch(this.#root, present, wanted, report, "remove");
      await this.#reconcileBranch(this.#root, present, wanted, report, "rest");
      return report;
    })();
    this.#reconciling = work;
    return await work;
  }

  /** The tree at this moment, as data, without asking anybody. */
  inspect(): Inspection {
    const state = this.#stopping === undefined ? "running" : "terminated";
    return inspect(this.#root, this.name, state, this.#roster);
  }

  /**
   * Takes no more turns, lets those that have been accepted finish, and stops; at the deadline, with what is left.
   *
   * @param options.deadline default `"30s"`
   */
  async drain(options: { readonly deadline?: Duration } = {}): Promise<DrainReport> {
    const { deadline } = validate(drainSchema, options, "drain");
    this.#draining = true;
    let over = false;
    const finished = Promise.all([...this.#roster].map(({ server }) => server.drain())).then((turns) => {
      // A stop meanwhile ends them too, but not as they were to end.
      over = this.#stopping === undefined || turns.every((count) => count === 0);
    });
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = this.#deps.clock.schedule(deadline, resolve);
    await Promise.race([finished, late, this.closed]);
    timer.cancel();
    const report = { completed: over };
    await this.stop();
    return report;
  }

  /**
   * Drains the supervisor when this process gets SIGTERM or SIGINT, and kills what is left at a second one. Then the
   * signal ends the process, as it would have without this.
   *
   * @returns takes it back
   */
  stopOnSignals(options: SignalOptions = {}): () => void {
    const unwire = stopOnSignals(this, options);
    void this.closed.then(unwire);
    return unwire;
  }

  /**
   * Ends all children, in reverse order, and the supervisor. Turns end at once; the promise resolves when no process is
   * left. A second call waits for the same end, and with `kill` makes it come at once.
   *
   * @param options.kill whether processes are killed instead of asked to end. Default `false`
   */
  async stop({ kill = false }: { readonly kill?: boolean } = {}): Promise<void> {
    this.#stopping ??= this.#stop();
    if (kill) await this.#root.tree?.stop("brutal_kill");
    await this.#stopping;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #open(): Promise<void> {
    const members = this.#register(this.#root.sessions);
    try {
      this.#opening = orphansEnded(this.#deps.clock).then(() => this.#root.start());
      await this.#opening;
    } catch (error) {
      for (const { server } of members) {
        server.close("supervisor");
        this.#roster.release(server);
      }
      throw translated(error);
    }
    void this.#root.tree?.exited.then((exit) => this.#ended(exit.cause));
    this.#notStarted = await this.#failures(members);
  }

  /** All of them, or none. */
  #register(plans: readonly SessionPlan[]): Member[] {
    const members: Member[] = [];
    try {
      for (const { settings } of plans) members.push(this.#roster.add(settings));
    } catch (error) {
      for (const { server } of members) this.#roster.release(server);
      throw error;
    }
    return members;
  }

  /** Those of `members` that do not come up, and why. */
  async #failures(members: readonly Member[]): Promise<NotStarted[]> {
    const failures = members.map(async ({ server }) => {
      const error = await this.#failure(server);
      return error === undefined ? [] : [{ name: server.settings.name, error }];
    });
    return (await Promise.all(failures)).flat();
  }

  /** Why a session does not come up; `undefined` as soon as it is up. One that goes on trying is not waited for for ever. */
  async #failure(server: SessionServer): Promise<CastellanError | undefined> {
    const { promise: late, resolve } = Promise.withResolvers<CastellanError>();
    const { clock } = this.#deps;
    const timer = clock.schedule(START_MS, () => {
      const exit: ExitRecord = {
        class: "crash",
        message: `it is still starting after ${formatDuration(START_MS)}`,
        at: clock.now(),
      };
      const last = server.status().lastExit ?? exit;
      const message = `session ${formatName(server.settings.name)}: ${exit.message}; the last start: ${last.message}.`;
      resolve(new CastellanError("START_FAILED", message, { details: { exit: last } }));
    });
    return await Promise.race([server.settled().then(() => server.refusal()), late]).finally(() => timer.cancel());
  }

  /** Adds a child and starts it. A session that does not come up is removed again; those of a supervisor are set aside. */
  async #addChild(branch: Branch, plan: ChildPlan): Promise<Member[]> {
    this.#refuseIfEnding();
    const members = this.#register(sessionsOf([plan]));
    await this.#start(branch, plan, members);
    const [failure] = await this.#failures(members);
    if (failure === undefined || plan.kind !== "session") return members;
    for (const { server } of members) await this.#terminate(server);
    throw removed(failure);
  }

  async #start(branch: Branch, plan: ChildPlan, members: readonly Member[]): Promise<void> {
    if (this.#root.tree === undefined) await this.#opening;
    try {
      await branch.add(plan);
    } catch (error) {
      const refusal = members[0]?.server.refusal();
      for (const { server } of members) this.#roster.release(server);
      throw refusal ?? translated(error);
    }
  }

  async #reconcileBranch(
    branch: Branch,
    before: readonly ChildPlan[],
    after: readonly ChildPlan[],
    report: Mutable<ReconcileReport>,
    pass: Pass,
  ): Promise<void> {
    for (const step of stepsBetween(before, after)) {
      if (step.type !== "descend" && (step.type === "remove") !== (pass === "remove")) continue;
      const name = step.plan.kind === "session" ? step.plan.settings.name : step.plan.id;
      try {
        await this.#carryOut(step, branch, report, pass);
        if (step.type === "add") report.added.push(name);
        if (step.type === "remove") report.removed.push(name);
        if (step.type === "change") report.changed.push(name);
      } catch (thrown) {
        this.#refuseIfStopped();
        const error = translated(thrown);
        if (!CastellanError.is(error)) throw error;
        report.failed.push({ name, error });
      }
    }
  }

  async #carryOut(step: Step, branch: Branch, report: Mutable<ReconcileReport>, pass: Pass): Promise<void> {
    switch (step.type) {
      case "remove":
        for (const { server } of this.#membersOf(step.plan)) server.close("session");
        await branch.remove(step.plan.id);
        this.#forget(branch, step.plan);
        break;
      case "add":
        await this.#addChild(branch, step.plan);
        break;
      case "change":
        await this.#change(branch, step.plan, step.change);
        break;
      case "descend": {
        const below = branch.below(step.plan.id);
        if (below === undefined) break;
        await this.#reconcileBranch(below, step.before.children, step.plan.children, report, pass);
        break;
      }
    }
  }

  async #change(branch: Branch, plan: SessionPlan, change: SessionChange): Promise<void> {
    const server = this.#roster.ofChild(plan.id)?.server;
    if (server === undefined) return;
    this.#roster.reconfigure(server, plan.settings);
    branch.revise(plan);
    if (change === "live" && server.state.name !== "quarantined") {
      await server.applyLive();
      return;
    }
    server.dispatcher.retire();
    await server.dispatcher.quiet();
    if (change === "child") await branch.replace(plan);
    else await this.#root.recycle(plan.id);
    const failure = await this.#failure(server);
    if (failure !== undefined) throw failure;
  }

  #observe(event: SupervisionEvent, branch: Branch): void {
    const log = this.#settings.logger;
    switch (event.type) {
      case "restarting":
        if (event.delay > 0) this.#roster.ofChild(event.id)?.server.retryAt(this.#deps.clock.now() + event.delay);
        log?.info(
          `${describe(event.id)} is restarted in ${Math.round(event.delay)} ms (restart ${event.attempt} of this series)`,
        );
        break;
      case "quarantined":
        this.#quarantined(event, branch);
        break;
      case "exited":
      case "start_failed":
        this.#ceased(event.id, branch, event.exit.reason !== "abnormal");
        break;
      case "terminated":
        this.#ceased(event.id, branch, false);
        break;
      case "auto_shutdown":
        if (branch === this.#root) this.#end = { reason: "auto_shutdown", cause: event.exit.cause };
        break;
      case "escalated":
        if (branch === this.#root) this.#end = { reason: "max_restarts", cause: event.exit.cause };
        break;
      default:
    }
  }

  /** A child no longer runs. Where nothing starts it again, its sessions must not let turns wait for that. */
  #ceased(id: string, branch: Branch, asMeant: boolean): void {
    const plan = branch.plans.find((candidate) => candidate.id === id);
    if (plan === undefined) return;
    const restart = plan.kind === "session" ? plan.settings.restart : plan.keeping.restart;
    // The tree has forgotten it, unless it is to be started again by hand.
    const forgotten = restart === "temporary" && branch.lacks(id);
    const rests = restart === "transient" && asMeant;
    if (!forgotten && !rests) return;
    for (const { server } of this.#membersOf(plan)) server.close(forgotten ? "session" : "child");
    if (forgotten) this.#forget(branch, plan);
  }

  #quarantined({ id, exit }: SupervisionEvent & { type: "quarantined" }, branch: Branch): void {
    const now = this.#deps.clock.now();
    const last = branch.tree?.child(id)?.lastExits ?? [{ exit, at: now }];
    const exits = last.map((one) => exitRecord(one.exit.cause, one.at));
    const plan = branch.plans.find((candidate) => candidate.id === id);
    const members = plan === undefined ? [] : this.#membersOf(plan);
    // Ended by its owner before its turn to start had come: that is no fault.
    if (plan?.kind === "session" && members[0]?.server.state.name === "stopped") return;
    for (const { server } of members) server.quarantine(exits);
    const message =
      this.#roster.ofChild(id)?.server.refusal()?.message ??
      `${describe(id)} has been set aside: ${exits.at(-1)?.message ?? "unknown"}.`;
    const { logger } = this.#settings;
    if (logger === undefined) process.emitWarning(message, { type: "CastellanWarning", code: "SESSION_QUARANTINED" });
    else logger.warn(message);
  }

  /** Ends a session and resolves when its process is gone; that the whole tree ends meanwhile is just as well. */
  async #terminate(server: SessionServer): Promise<void> {
    const { key } = server.settings;
    server.close("session");
    if (this.#root.tree === undefined) await this.#opening.catch(ignore);
    const branch = this.#root.branchOf(key);
    await branch?.opened();
    await branch?.tree?.terminateChild(key).catch(ignore);
    // A second call may have waited for the same end, and the name may be another session's by now.
    if (!this.#roster.release(server)) return;
    branch?.forget(key);
    await branch?.tree?.deleteChild(key).catch(ignore);
  }

  async #stop(): Promise<void> {
    for (const { server } of this.#roster) server.close("supervisor");
    if (this.#root.tree === undefined) await this.#opening.catch(ignore);
    await this.#root.tree?.stop();
    await this.closed;
  }

  #ended(cause: unknown): void {
    this.#stopping ??= Promise.resolve();
    for (const { server } of [...this.#roster]) {
      server.close("supervisor");
      this.#roster.release(server);
    }
    this.#closed.resolve({ ...this.#end, ...(this.#end.cause === undefined && cause !== undefined ? { cause } : {}) });
  }

  /** Forgets a child of `branch` that has ended, with all below it. */
  #forget(branch: Branch, plan: ChildPlan): void {
    for (const { server } of this.#membersOf(plan)) this.#roster.release(server);
    branch.forget(plan.id);
  }

  #membersOf(plan: ChildPlan): Member[] {
    return sessionsOf([plan]).flatMap(({ id }) => this.#roster.ofChild(id) ?? []);
  }

  #member(session: SessionRef): Member {
    this.#refuseIfStopped();
    const name = isSession(session) ? session.name : session;
    const member = this.#roster.find(name);
    if (member === undefined) throw registry.missing(name, this.name);
    if (isSession(session) && session !== member.session) throw stale(session);
    return member;
  }

  #child(child: SessionRef): ChildPlan {
    this.#refuseIfStopped();
    const name = isSession(child) ? child.name : child;
    if (isSession(child) && this.#roster.find(name)?.session !== child) throw stale(child);
    const ids = [nameKey(name), name];
    const plan = this.#root.plans.find(({ id }) => ids.includes(id));
    if (plan !== undefined) return plan;
    throw new CastellanError("CHILD_NOT_FOUND", `${this.name} has no child ${formatName(name)}.`);
  }

  async #inTree(call: (tree: NonNullable<Branch["tree"]>) => Promise<unknown>): Promise<void> {
    if (this.#root.tree === undefined) await this.#opening;
    try {
      if (this.#root.tree !== undefined) await call(this.#root.tree);
    } catch (error) {
      throw translated(error);
    }
  }

  #refuseIfStopped(): void {
    if (this.#stopping !== undefined) {
      throw new CastellanError("SUPERVISOR_STOPPED", `${this.name} has been stopped; start another supervisor.`);
    }
  }

  #refuseIfEnding(): void {
    this.#refuseIfStopped();
    if (!this.#draining) return;
    throw new CastellanError("SUPERVISOR_STOPPED", `${this.name} is draining; its children stay as they are.`);
  }

  /** A handle may outlive its session, and the name may be another one's by now. */
  #refuseIfGone(server: SessionServer): void {
    this.#refuseIfStopped();
    const refusal = this.#roster.holds(server) ? undefined : server.refusal();
    if (refusal !== undefined) throw refusal;
  }
}

/** A reconciliation goes through the tree twice. */
type Pass = "remove" | "rest";

type Mutable<Report> = {
  -readonly [Field in keyof Report]: Report[Field] extends readonly (infer Item)[] ? Item[] : Report[Field];
};

/** The name is another session's by now, which must not be taken for the one that is meant. */
function stale({ name }: Session): CastellanError {
  return new CastellanError(
    "SESSION_STOPPED",
    `The session ${formatName(name)} that this handle is for has been stopped.`,
  );
}

/** The error of a session that was to be added, without the advice for one that is there. */
function removed({ name, error }: NotStarted): CastellanError {
  if (!CastellanError.is(error, "SESSION_QUARANTINED")) return error;
  const why = error.details.lastExits.at(-1)?.message ?? "unknown";
  const message = `session ${formatName(name)} did not come up and has been removed again: ${why}.`;
  return new CastellanError("SESSION_QUARANTINED", message, { details: error.details, cause: error });
}

function describe(id: string): string {
  return id.startsWith('"') || id.startsWith("[") ? `session ${id}` : `child "${id}"`;
}

/** For calls to a tree that may have ended, or forgotten the child, by itself. */
function ignore(): void {}
