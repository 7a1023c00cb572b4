import { randomUUID } from "node:crypto";
import { z } from "zod";
import { Capacity } from "../capacity/capacity.ts";
import { MemoryWatch } from "../capacity/memory-watch.ts";
import { Spares } from "../capacity/spares.ts";
import { TurnLine } from "../capacity/turn-line.ts";
import { type MemoryReader, readMemory } from "../claude/memory.ts";
import { type Clock, systemClock } from "../clock.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { GlobalSession } from "../cluster/global-session.ts";
import type { Duration } from "../duration.ts";
import { CastellanError } from "../errors.ts";
import type { HeldJournal } from "../journal/held-journal.ts";
import { beginsWith, didYouMean, formatName, nameKey, nearMisses, type SessionName } from "../names.ts";
import { LoanedSession } from "../pool/loaned-session.ts";
import type { Pool, PoolTurnOptions } from "../pool/pool.ts";
import type { EraseOptions, ErasureReport } from "../session/erasure.ts";
import { GLOBAL, type GlobalName, globalName, isGlobalName } from "../session/global-name.ts";
import { JournalDesk } from "../session/journal-desk.ts";
import type { SessionDefaults, SessionOptions } from "../session/options.ts";
import type { Prompt } from "../session/prompt.ts";
import type { Reply } from "../session/reply.ts";
import type { Room } from "../session/room.ts";
import { type ConversationOptions, isSession, type Session, serverOf } from "../session/session.ts";
import type { SessionDeps } from "../session/session-context.ts";
import type { ExportOptions } from "../session/session-export.ts";
import type { SessionServer } from "../session/session-server.ts";
import { likeOptions } from "../session/session-settings.ts";
import type { SessionStatus } from "../session/session-status.ts";
import type { Turn } from "../session/turn.ts";
import { type UsageOptions, type UsageReport, usageQuery, usageReports } from "../session/usage.ts";
import { durationSchema, nameSchema, validate } from "../session/validation.ts";
import { reasonOf } from "../supervision/child-spec.ts";
import type { ChildCounts } from "../supervision/supervisor.ts";
import { advisor } from "./advisor.ts";
import { type ChildOptions, type ChildPlan, childPlan, childPlans, sessionPlan } from "./child-options.ts";
import { childReports, startError } from "./child-report.ts";
import { clusterOf } from "./clusters.ts";
import { CredentialsRefresh, joined } from "./credentials-refresh.ts";
import { effectiveSupervisorOptions } from "./effective-supervisor-options.ts";
import { Erasing } from "./erasing.ts";
import type { HallMeans } from "./global-hall.ts";
import {
  type HealthChecks,
  healthOf,
  livenessOf,
  readinessOf,
  type SupervisorCondition,
  type SupervisorHealth,
} from "./health.ts";
import { warnWithoutInit } from "./init-warning.ts";
import { inspect, type SupervisorInspection } from "./inspection.ts";
import { openJournal } from "./journal-options.ts";
import { warnIfExposed } from "./journal-warning.ts";
import { NodeSeat } from "./node-seat.ts";
import { Reconciler } from "./reconciler.ts";
import { answered, picked, type SessionRef } from "./reference.ts";
import { registry } from "./registry.ts";
import { type Member, Roster } from "./roster.ts";
import { type SignalOptions, stopOnSignals } from "./signals.ts";
import {
  type SupervisorOptions,
  type SupervisorSettings,
  supervisorSettings,
  withDefaults,
} from "./supervisor-options.ts";
import type {
  CapacityStatus,
  ChildSummary,
  CredentialsReport,
  DrainReport,
  NotStarted,
  ReconcileReport,
  SupervisorEnd,
} from "./supervisor-reports.ts";
import { Tree } from "./tree.ts";

export interface SupervisorDeps extends SessionDeps {
  /** A number from 0 up to 1, for jitter. */
  readonly random: () => number;
  /** Default: what the kernel says. */
  readonly readMemory?: MemoryReader;
}

/** Under which name the journal has what supervisors without one have spent. */
const UNNAMED = "supervisor";

const conversationSchema = z.strictObject({ conversation: z.enum(["keep", "clear"]).default("keep") });

const listSchema = z.strictObject({ prefix: nameSchema.optional() });

const deadlineSchema = z.strictObject({ deadline: durationSchema.default(30_000) });

const SYSTEM: SupervisorDeps = { clock: systemClock, newId: randomUUID, random: Math.random };

/**
 * Starts sessions and keeps them running: a session whose process dies is started again with its conversation, its
 * options and its handshake; one that cannot be kept running is quarantined while the others go on.
 *
 * @example
 * await using supervisor = await Supervisor.start([{ name: "assistant" }, { name: "reviewer", maxTurns: 5 }]);
 * const { text } = await query("reviewer", "Review this function: …");
 */
export class Supervisor implements AsyncDisposable {
  readonly name: string;
  /** Resolves when the supervisor has ended and no process of it is left. Never rejects. */
  readonly closed: Promise<SupervisorEnd>;
  #settings: SupervisorSettings;
  readonly #clock: Clock;
  readonly #roster: Roster;
  readonly #tree: Tree;
  readonly #desk: JournalDesk;
  readonly #room: Room;
  readonly #erasing: Erasing;
  readonly #closed: PromiseWithResolvers<SupervisorEnd> = Promise.withResolvers();
  #notStarted: readonly NotStarted[] = [];
  #stopping: Promise<void> | undefined;
  /** Why it ended, if not for a reason of the tree's. */
  #end: SupervisorEnd | undefined;
  /** How it has ended, once it has. */
  #over: SupervisorEnd | undefined;
  #draining = false;
  /** Its seat in a cluster, if it is a node. */
  readonly #seat: NodeSeat | undefined;
  /** The supervisor of the global sessions that this node has. */
  #hall: Supervisor | undefined;
  /** One reconciliation after the other. */
  #reconciling: Promise<unknown> = Promise.resolve();

  private constructor(
    settings: SupervisorSettings,
    plans: readonly ChildPlan[],
    seat: NodeSeat | undefined,
    deps: SupervisorDeps,
  ) {
    this.#settings = settings;
    this.#seat = seat;
    this.#clock = deps.clock;
    this.name = settings.name ?? registry.nextSupervisorName();
    this.closed = this.#closed.promise;
    this.#desk = new JournalDesk(settings.name ?? UNNAMED, settings.budget, deps.clock);
    const capacity = new Capacity(settings.capacity.maxProcesses, settings.capacity.memoryBudget);
    const memory = new MemoryWatch(deps.clock, deps.readMemory ?? readMemory, () => capacity.measured());
    const spares = new Spares(settings.capacity.spares, capacity, memory, deps);
    const turns = new TurnLine(settings.capacity.maxConcurrentTurns);
    this.#room = {
      capacity,
      memory,
      spares,
      turns,
      advise: advisor(settings.logger),
      keyRefused: (credentials) => {
        for (const { server } of this.#roster) server.keyRefused(credentials);
        spares.renew();
      },
    };
    this.#roster = new Roster(this.name, this.#desk, this.#room, deps, ({ server }) => ({
      restart: async (options) => {
        this.#refuseIfGone(server);
        await this.restartSession(server.settings.name, options);
      },
      terminate: async (options) => {
        this.#refuseIfGone(server);
        await this.#terminate(server, options);
      },
      fork: async (name, options) => {
        this.#refuseIfGone(server);
        const forked = { ...likeOptions(server.settings), ...options, ...server.forkOptions, name };
        return await this.#startSession(forked, server);
      },
      closed: () => this.#roster.closed(server, () => this.#tree.templates.covers(server.settings.name)),
      again: () => {
        const { name } = server.settings;
        const ending = this.#stopping !== undefined || this.#draining;
        return ending ? undefined : (this.#roster.find(name) ?? this.#tree.templates.find(name));
      },
    }));
    const { clock, random, newId } = deps;
    this.#tree = new Tree(settings, plans, {
      clock,
      random,
      newId,
      roster: this.#roster,
      spares,
      supervisor: this.name,
      refuseIfEnding: () => this.#refuseIfEnding(),
    });
    this.#erasing = new Erasing({
      supervisor: this.name,
      desk: this.#desk,
      roster: this.#roster,
      tree: this.#tree,
      newId,
      defaults: () => this.#settings.defaults,
    });
  }

  /**
   * Starts a supervisor with these children, in order. A session counts as started when its start has begun: processes
   * come up side by side. The promise resolves when each of them is up or quarantined, in which case
   * {@link Supervisor.notStarted} says which and why; `onStartFailure: "throw"` has it reject instead.
   *
   * @throws CastellanError `INVALID_OPTIONS` with all that is wrong, `SESSION_ALREADY_STARTED`, `KEY_ALREADY_REGISTERED`,
   * `JOURNAL_IN_USE` or `JOURNAL_UNAVAILABLE`, `CHILD_START_FAILED` with `onStartFailure: "throw"`, or if children escalate meanwhile;
   * in all cases nothing has been started, or it has been stopped again
   */
  static start(children: readonly ChildOptions[], options: SupervisorOptions = {}): Promise<Supervisor> {
    return Supervisor.startWith(children, options, SYSTEM);
  }

  /** @internal As {@link Supervisor.start}, with a clock, ids and chance of the caller's. */
  static async startWith(
    children: readonly ChildOptions[],
    options: SupervisorOptions,
    deps: SupervisorDeps,
  ): Promise<Supervisor> {
    const settings = supervisorSettings(options);
    warnWithoutInit(settings.logger);
    const seat = NodeSeat.of(children, settings);
    const plans = childPlans(seat?.local ?? children, settings);
    const supervisor = new Supervisor(settings, plans, seat, deps);
    await supervisor.#open(() => openJournal(settings.journal, deps));
    warnIfExposed(settings.journal, settings.logger);
    if (seat !== undefined) await supervisor.#join(seat, deps);
    return supervisor;
  }

  /** The cluster that it is a node of, if it is one. */
  get cluster(): Cluster | undefined {
    return this.#seat?.cluster;
  }

  /**
   * The children, of whatever kind and here or below, that did not come up when the supervisor was started, and why. They have been set
   * aside; a temporary one is gone. How they do now {@link Supervisor.health} says.
   */
  get notStarted(): readonly NotStarted[] {
    return this.#notStarted;
  }

  /** See {@link Session.query}, and {@link Pool.query} for the name of a pool. @throws CastellanError `SESSION_NOT_FOUND`, `SUPERVISOR_STOPPED` besides */
  async query<Structured = unknown>(
    session: SessionRef | GlobalName,
    prompt: Prompt,
    options: PoolTurnOptions<Structured> = {},
  ): Promise<Reply<Structured>> {
    if (isGlobalName(session)) return await this.#global(session).query(prompt, options);
    return await answered(session, (one, own) => this.#ask(one, prompt, own), options);
  }

  /** See {@link Session.stream}, and {@link Pool.stream} for the name of a pool. @throws CastellanError `SESSION_NOT_FOUND`, `SUPERVISOR_STOPPED` besides */
  stream<Structured = unknown>(
    session: SessionRef | GlobalName,
    prompt: Prompt,
    options: PoolTurnOptions<Structured> = {},
  ): Turn<Structured> {
    if (isGlobalName(session)) return this.#global(session).stream(prompt, options);
    return this.#ask(picked(session), prompt, options);
  }

  /**
   * The session of this name, here or in a supervisor below; a global one wherever it is.
   *
   * @throws CastellanError `SESSION_NOT_FOUND`, `SUPERVISOR_STOPPED`, `CLUSTER_UNAVAILABLE` if it is no node of a cluster
   */
  session(session: GlobalName): GlobalSession;
  session(session: SessionRef): Session;
  session(session: SessionRef | GlobalName): Session | GlobalSession {
    if (isGlobalName(session)) return this.#global(session);
    const reference = picked(session);
    const member = this.#member(reference);
    // A loan's handle is not to be exchanged for one that outlives the loan.
    return reference instanceof LoanedSession ? reference : member.session;
  }

  /**
   * The pool of this name, here or in a supervisor below.
   *
   * @throws CastellanError `POOL_NOT_FOUND`, `SUPERVISOR_STOPPED`
   */
  pool(name: string): Pool {
    this.#refuseIfStopped();
    const pool = this.#tree.pools.find(name);
    if (pool === undefined) throw registry.missingPool(name, this.name);
    return pool;
  }

  /**
   * What is known of each session, here and below, in the order in which they were added. Sessions of a template are there from
   * the first time that they are named until they are let go.
   *
   * @param options.prefix only those whose names begin so: `"support"` or `["support", 42]`
   * @throws CastellanError `INVALID_OPTIONS` if the prefix is no name
   */
  listSessions(options: { readonly prefix?: SessionName } = {}): SessionStatus[] {
    const { prefix } = validate(listSchema, options, "listSessions");
    const all = [...this.#roster].map(({ server }) => server);
    const some = prefix === undefined ? all : all.filter(({ settings }) => beginsWith(settings.name, prefix));
    return some.map((server) => server.status());
  }

  /** How many sessions of the whole tree are in memory. */
  countSessions(): number {
    return this.#roster.size;
  }

  /**
   * Adds a session and waits until its process is up.
   *
   * @throws CastellanError `INVALID_OPTIONS`, `SESSION_ALREADY_STARTED`, `KEY_ALREADY_REGISTERED`, `MAX_CHILDREN`,
   * `SUPERVISOR_STOPPED`; `SESSION_QUARANTINED` with the exits if it did not come up, in which case it has been removed again;
   * `SESSION_STOPPED` if it was ended meanwhile
   */
  async startSession(options: SessionOptions): Promise<Session> {
    return await this.#startSession(options);
  }

  async #startSession(options: SessionOptions, source?: SessionServer): Promise<Session> {
    this.#refuseIfEnding();
    const plan = sessionPlan(options, this.#settings);
    const [member] = await this.#tree.add(this.#tree.root, plan, source);
    return this.session(member?.session ?? plan.settings.name);
  }

  /**
   * Ends a session: its turns end with `SESSION_STOPPED`, its process is ended, its name is free. Resolves when the
   * process is gone. A session that is started under the same name goes on with its conversation, unless that is cleared
   * here: then nothing is kept of it but what it has spent, not the transcripts of any conversation that it has had.
   *
   * @throws CastellanError `SESSION_NOT_FOUND`, `SUPERVISOR_STOPPED`; with `clear` also `JOURNAL_UNAVAILABLE`, and `ERASURE_INCOMPLETE`
   * if something could not be removed, which {@link Supervisor.eraseSession} can be asked to do then
   */
  async terminateSession(session: SessionRef, options: ConversationOptions = {}): Promise<void> {
    await this.#terminate(this.#member(session).server, options);
  }

  /**
   * Erases what is known of a session under its name, whether it runs, hibernates, has been let go by its template or quarantined, or
   * only the journal knows of it: turns, approvals, and of all conversations that it has had the transcripts and whatever else
   * Claude Code keeps of them. One that is there is ended first, as by {@link Supervisor.terminateSession}; whoever has the name next
   * begins empty. What it spent stays, under a name that is nobody's.
   *
   * Resolves when all of that is gone, from the files of a journal in SQLite also where it was no longer used; which takes as long as a
   * copy of the file. It can be called again, and side by side: what was cut off is finished by the next call.
   *
   * @param session a name, or a handle, which stands for its name; nobody needs to know it
   * @throws CastellanError `INVALID_OPTIONS`; `SESSION_ALREADY_STARTED` if another supervisor has the session; `ERASURE_INCOMPLETE` if
   * something cannot be removed, `JOURNAL_UNAVAILABLE`: then the journal still knows what there is to erase; `SUPERVISOR_STOPPED`; for
   * a global name also `CLUSTER_UNAVAILABLE`
   * @example
   * const { turns, files, left } = await supervisor.eraseSession(["support", userId]);
   */
  async eraseSession(session: SessionRef | GlobalName, options: EraseOptions = {}): Promise<ErasureReport> {
    this.#refuseIfStopped();
    const global = this.#globalNameOf(session);
    if (global !== undefined) return await this.#clusterOf(global).eraseSession(global, options);
    return await this.#erasing.erase(session as SessionRef, options);
  }

  /**
   * All that {@link Supervisor.eraseSession} would erase of a session, and what it has spent, as lines of JSON, each with its line
   * feed; see {@link ExportedLine}. It is read while it is asked for. A session that runs goes on: what it says meanwhile may be in it, or not.
   *
   * Throws, while it is read, a CastellanError `INVALID_OPTIONS`, `SESSION_ALREADY_STARTED`, `JOURNAL_UNAVAILABLE` or `SUPERVISOR_STOPPED`.
   *
   * @example
   * await pipeline(supervisor.exportSession(["support", userId]), createWriteStream("export.jsonl"));
   */
  async *exportSession(
    session: SessionRef | GlobalName,
    options: ExportOptions = {},
  ): AsyncGenerator<string, void, undefined> {
    this.#refuseIfStopped();
    const global = this.#globalNameOf(session);
    if (global !== undefined) yield* this.#clusterOf(global).exportSession(global);
    else yield* this.#erasing.export(session as SessionRef, options);
  }

  /** @internal Claude's ids of all conversations that a session has had, the present one last. */
  async conversationsOf(name: SessionName): Promise<readonly string[]> {
    this.#refuseIfStopped();
    return await this.#erasing.conversations(name);
  }

  /**
   * Ends the process of a session, whatever it does, and starts another one with the conversation as it is, or with an
   * empty one. Turns that wait go on waiting. It also brings back a quarantined session.
   *
   * @throws CastellanError `SESSION_NOT_FOUND`, `SUPERVISOR_STOPPED`, `SESSION_QUARANTINED` if it does not come up
   */
  async restartSession(session: SessionRef, options: ConversationOptions = {}): Promise<void> {
    const { key, server } = this.#member(session);
    const { conversation } = validate(conversationSchema, options, "restartSession");
    if (conversation === "clear") server.forget();
    // Not even for a moment once it is open: a turn that is asked for after this call is for the next process.
    if (this.#tree.root.tree === undefined) await this.#tree.opened();
    try {
      await this.#tree.root.recycle(key);
    } catch (error) {
      throw server.refusal() ?? error;
    }
    const failure = await this.#tree.failure(server);
    if (failure !== undefined) throw failure;
    if (conversation === "clear") await server.saveConversation();
  }

  /** What is known of each child, in start order, as OTP's `which_children`. */
  whichChildren(): ChildSummary[] {
    return this.#tree.root.plans.map(({ kind, id }) => {
      const name = this.#roster.ofChild(id)?.session.name ?? id;
      return { id: name, type: kind, state: this.#stateOf(kind, id) };
    });
  }

  /** How many children there are, as OTP's `count_children`. A session is a worker. */
  countChildren(): ChildCounts {
    return this.#tree.root.tree?.countChildren() ?? { specs: 0, active: 0, supervisors: 0, workers: 0 };
  }

  /**
   * Adds a child at the end of the start order and starts it, as OTP's `start_child`. For a session it is
   * {@link Supervisor.startSession}.
   *
   * @throws CastellanError `CHILD_ALREADY_STARTED`, `CHILD_ALREADY_PRESENT`, `CHILD_START_FAILED`, `MAX_CHILDREN`,
   * `INVALID_OPTIONS`, `SESSION_ALREADY_STARTED`, `SUPERVISOR_STOPPED`
   */
  async startChild(child: ChildOptions): Promise<void> {
    this.#refuseIfEnding();
    await this.#tree.add(this.#tree.root, childPlan(child, this.#settings));
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
    for (const { server } of this.#tree.membersOf(plan)) server.close("child");
    await this.#tree.inRoot((tree) => tree.terminateChild(plan.id));
  }

  /**
   * Starts a child that was stopped or quarantined, as OTP's `restart_child`.
   *
   * @throws CastellanError `CHILD_NOT_FOUND`, `CHILD_RUNNING`, `CHILD_RESTARTING`, `CHILD_START_FAILED`,
   * `SUPERVISOR_STOPPED`; `SESSION_QUARANTINED` for a session that does not come up
   */
  async restartChild(child: SessionRef): Promise<void> {
    const plan = this.#child(child);
    await this.#tree.inRoot((tree) => tree.restartChild(plan.id));
    const [failure] = await this.#tree.failures(this.#tree.membersOf(plan));
    if (failure !== undefined && plan.kind === "session") throw failure.error;
  }

  /**
   * Forgets a child that does not run, as OTP's `delete_child`. Names of sessions are free from then on.
   *
   * @throws CastellanError `CHILD_NOT_FOUND`, `CHILD_RUNNING`, `CHILD_RESTARTING`, `SUPERVISOR_STOPPED`
   */
  async deleteChild(child: SessionRef): Promise<void> {
    const plan = this.#child(child);
    await this.#tree.inRoot((tree) => tree.deleteChild(plan.id));
    this.#tree.deletePlan(this.#tree.root, plan);
  }

  /**
   * Makes the tree what `children` say, and touches only what differs: what is new is started, what is missing is ended,
   * a session whose options have changed takes them up, at once where it can and otherwise, when its turn is over, with
   * another process and its conversation. All others keep their processes. Calls are carried out one after the other.
   * Claude Code keeps the system prompt that a conversation began with: a changed one counts from `clear()` on. Changed options
   * of global children count when their sessions come to life the next time; which names there are cannot change.
   *
   * Functions in options are the same only if they are identical, so keep hooks and in-process MCP servers where they are
   * made once.
   *
   * @param children the whole tree, as given to {@link Supervisor.start}
   * @param options what else has changed
   * @param options.defaults the options of all sessions from now on, in place of the supervisor's `defaults`. Default: as they are
   * @throws CastellanError `INVALID_OPTIONS` with all that is wrong, in which case nothing has changed;
   * `SUPERVISOR_STOPPED`
   */
  async reconcile(
    children: readonly ChildOptions[],
    { defaults }: { readonly defaults?: SessionDefaults } = {},
  ): Promise<ReconcileReport> {
    this.#refuseIfEnding();
    const settings = defaults === undefined ? this.#settings : withDefaults(this.#settings, defaults);
    const globals = this.#seat?.revised(children, settings);
    const wanted = childPlans(globals?.local ?? children, settings);
    if (globals !== undefined) this.#seat?.take(globals, settings);
    // What is added by other calls from now on has them too.
    this.#settings = settings;
    const before = this.#reconciling;
    const work = (async () => {
      await before.catch(() => {});
      await this.#tree.opened();
      this.#refuseIfEnding();
      return await new Reconciler(this.#tree, this.#roster, () => this.#refuseIfStopped()).reconcile(wanted);
    })();
    this.#reconciling = work;
    return await work;
  }

  /**
   * Gives each session, here and below, a process with the credentials that it would be started with now, if it has others: after
   * a key has been changed in the environment, and before the old one is revoked. A session that has nothing to do gets it at once,
   * any other one when it has; conversations go on. Sessions that are quarantined for their key come back, if it is another one by
   * now. Global sessions count that are on this node. Whether the API takes the new key is not asked; see {@link probe}.
   *
   * Without this call a session gets another process when the API refuses its key and that has changed.
   *
   * @param options how long it is waited
   * @param options.deadline for how long those that are at work are waited for; they get their process all the same. Default `"30s"`
   * @throws CastellanError `INVALID_OPTIONS`, `SUPERVISOR_STOPPED`
   * @example
   * process.env.ANTHROPIC_API_KEY = await newKey();
   * const { waiting, failed } = await supervisor.refreshCredentials({ deadline: "5m" });
   */
  async refreshCredentials(options: { readonly deadline?: Duration } = {}): Promise<CredentialsReport> {
    this.#refuseIfStopped();
    const { deadline } = validate(deadlineSchema, options, "refreshCredentials");
    this.#room.spares.renew();
    const [own, global] = await Promise.all([
      new CredentialsRefresh(this.#tree, this.#roster, this.#clock).run(deadline, this.closed),
      // A node that has been given up for dead has none.
      this.#hall?.refreshCredentials(options).catch(() => undefined),
    ]);
    return joined(own, global);
  }

  /**
   * How it does, and how its sessions do. Those that have a process are asked, which costs no tokens and takes ten seconds at the
   * most; those that hibernate are not woken.
   */
  async health(): Promise<SupervisorHealth> {
    const reports = [...this.#roster].map(async ({ session }) => {
      const { name, state, pid } = session.status();
      return { name, state, active: pid !== undefined, health: await session.health() };
    });
    return healthOf(
      this.#condition,
      await Promise.all(reports),
      childReports(this.#tree.root),
      this.#tree.pools.statuses,
    );
  }

  /** Whether the application is worth keeping alive; see {@link HealthHandlers}. At once, and without asking anybody. */
  livez(): HealthChecks {
    return livenessOf(this.#condition, childReports(this.#tree.root));
  }

  /** Whether the application should be sent work; see {@link HealthHandlers}. At once, and without asking anybody. */
  readyz(): HealthChecks {
    return readinessOf(this.#condition, this.listSessions(), childReports(this.#tree.root));
  }

  get #condition(): SupervisorCondition {
    const { reason } = this.#over ?? {};
    const journal = this.#desk.fault?.message;
    const journalDamage = this.#desk.damage;
    const cluster = this.#seat?.fault;
    return {
      phase:
        reason !== undefined
          ? "ended"
          : this.#stopping !== undefined
            ? "stopping"
            : this.#draining
              ? "draining"
              : "running",
      ...(reason === undefined || reason === "stopped" ? {} : { end: reason }),
      ...(journal === undefined ? {} : { journal }),
      ...(journalDamage === undefined ? {} : { journalDamage }),
      ...(cluster === undefined ? {} : { cluster }),
    };
  }

  /** How many processes there are and turns run, how many sessions wait for either, and what came of spares. */
  capacity(): CapacityStatus {
    const { capacity, spares, turns } = this.#room;
    return {
      processes: capacity.taken,
      waiting: capacity.waiting,
      turns: { running: turns.running, waiting: turns.waiting },
      spares: spares.status,
    };
  }

  /**
   * The tree at this moment, as data, without asking anybody: states, processes, exits, mailboxes, budgets, and where each option
   * came from. {@link formatInspection} makes a text of it.
   */
  inspect(): SupervisorInspection {
    const state = this.#stopping === undefined ? "running" : "terminated";
    const { place, fault, budget } = this.#desk;
    return {
      ...inspect(this.#tree.root, this.name, state, this.#roster, this.#tree.pools),
      capacity: this.capacity(),
      journal: {
        ...(place === undefined ? {} : { place }),
        ...(fault === undefined ? {} : { fault: fault.message }),
      },
      ...(budget === undefined ? {} : { budget }),
      options: effectiveSupervisorOptions(this.#settings),
    };
  }

  /**
   * What the sessions of this supervisor, by its name, have spent since it was first started, also those that have ended.
   * Supervisors without a name count together.
   * Where nothing was spent there is no report.
   *
   * @throws CastellanError `INVALID_OPTIONS`, `JOURNAL_UNAVAILABLE`, `SUPERVISOR_STOPPED`
   * @example
   * for (const { day, model, costUsd } of await supervisor.usage({ by: ["day", "model"] })) console.log(day, model, costUsd);
   */
  async usage(options: UsageOptions = {}): Promise<UsageReport[]> {
    this.#refuseIfStopped();
    const query = { ...usageQuery(options), supervisor: this.#desk.supervisor };
    return usageReports(await this.#desk.usageWritten(query));
  }

  /**
   * Takes no more turns, lets those that have been accepted finish, and what goes on in the background with the turns that Claude Code
   * begins on it, and stops; at the deadline, with what is left.
   *
   * @param options.deadline default `"30s"`
   */
  async drain(options: { readonly deadline?: Duration } = {}): Promise<DrainReport> {
    const { deadline } = validate(deadlineSchema, options, "drain");
    this.#draining = true;
    const left = this.#seat?.leave(deadline);
    this.#tree.pools.end(
      new CastellanError("SUPERVISOR_STOPPED", `${this.name} is draining; its pools lend nothing more.`),
    );
    let over = false;
    const finished = Promise.all([...this.#roster].map(({ server }) => server.drain())).then((turns) => {
      // A stop meanwhile ends them too, but not as they were to end.
      over = this.#stopping === undefined || turns.every((count) => count === 0);
    });
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = this.#clock.schedule(deadline, resolve);
    await Promise.race([finished, late, this.closed]);
    timer.cancel();
    const report = { completed: over };
    await left;
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
   * @param options how it ends
   * @param options.kill whether processes are killed instead of asked to end. Default `false`
   */
  async stop({ kill = false }: { readonly kill?: boolean } = {}): Promise<void> {
    this.#stopping ??= this.#stop();
    if (kill) await this.#tree.root.tree?.stop("brutal_kill");
    await this.#stopping;
  }

  /** As {@link Supervisor.stop}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #open(openJournal: () => Promise<HeldJournal>): Promise<void> {
    // Names are taken at once; what is asked of them waits for the journal.
    const opened = this.#tree.open(async () => {
      await this.#desk.open(await openJournal());
      void this.#desk.writer?.lost.then((cause) => this.#lost(cause));
    });
    void this.#tree.opened().then(
      () => this.#tree.root.tree?.exited.then((exit) => this.#ended(exit.cause)),
      () => {},
    );
    try {
      const failed = await opened;
      if (this.#settings.onStartFailure === "throw" && failed.length > 0) throw bootFailure(this.name, failed);
      this.#notStarted = failed;
    } catch (error) {
      if (this.#tree.isOpen) {
        await this.stop();
        await this.closed;
      } else {
        await this.#room.spares.close();
        await this.#desk.close();
      }
      throw error;
    }
  }

  async #join(seat: NodeSeat, deps: SupervisorDeps): Promise<void> {
    const hall: HallMeans = {
      start: async (children, options) => {
        this.#hall = await Supervisor.startWith(children, options, deps);
        return this.#hall;
      },
      handOver: (supervisor, name, deadlineMs) => supervisor.#handOver(name, deadlineMs),
      newId: deps.newId,
    };
    try {
      await seat.join({ ...deps, hall, pool: (name) => this.#tree.pools.find(name) });
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  #global(name: GlobalName): GlobalSession {
    this.#refuseIfStopped();
    return this.#clusterOf(name).session(name);
  }

  #clusterOf(name: GlobalName): Cluster {
    return this.cluster ?? clusterOf(name);
  }

  /** The name as a global one, if it is one, also as lists of a cluster show it. */
  #globalNameOf(session: SessionRef | GlobalName): GlobalName | undefined {
    if (isGlobalName(session)) return session;
    const isShown = this.#seat !== undefined && Array.isArray(session) && session[0] === GLOBAL;
    return isShown ? globalName(session as SessionName) : undefined;
  }

  async #terminate(server: SessionServer, options: ConversationOptions): Promise<void> {
    const { conversation } = validate(conversationSchema, options, "terminateSession");
    let cleared: Promise<void> | undefined;
    await this.#tree.terminate(server, () => {
      if (conversation === "clear") cleared = this.#erasing.clear(server);
      cleared?.catch(() => {});
    });
    await cleared;
  }

  async #handOver(name: SessionName, deadlineMs: number): Promise<void> {
    await this.#tree.opened();
    const server = this.#roster.find(name)?.server;
    await server?.handOver(deadlineMs);
    if (server !== undefined) await this.#tree.terminate(server, () => {}, "supervisor");
    await this.#tree.templates.left(nameKey(name));
    await this.#desk.writer?.settled();
  }

  async #stop(): Promise<void> {
    this.#tree.pools.end(this.#stopped());
    for (const { server } of this.#roster) server.close("supervisor");
    void this.#room.spares.close();
    await this.#seat?.leave(0);
    await this.#tree.opened().catch(() => {});
    await this.#tree.root.tree?.stop();
    await this.closed;
  }

  /** Another application goes on with these sessions; none of their processes may go on here. */
  async #lost(cause: CastellanError): Promise<void> {
    this.#end ??= { reason: "journal_lost", cause };
    for (const { server } of this.#roster) server.dismiss(cause);
    await this.stop({ kill: true });
  }

  async #ended(cause: unknown): Promise<void> {
    this.#stopping ??= Promise.resolve();
    for (const { server } of [...this.#roster]) {
      server.close("supervisor");
      this.#roster.release(server);
    }
    this.#tree.templates.close();
    this.#tree.pools.end(this.#stopped());
    this.#tree.pools.close();
    await this.#seat?.leave(0);
    await this.#room.spares.close();
    await this.#desk.close();
    const end = this.#end ?? this.#tree.end;
    this.#over = { ...end, ...(end.cause === undefined && cause !== undefined ? { cause } : {}) };
    this.#closed.resolve(this.#over);
  }

  #member(reference: SessionRef): Member {
    this.#refuseIfStopped();
    const session = picked(reference);
    const name = isSession(session) ? session.name : session;
    // Looked at first, since it brings back a session that was let go.
    const server = isSession(session) ? serverOf(session) : undefined;
    const member = this.#roster.find(name) ?? (isSession(session) ? undefined : this.#tree.templates.find(name));
    if (member === undefined) throw registry.missing(name, this.name);
    if (isSession(session) && server !== member.server) throw stale(session);
    return member;
  }

  #ask<Structured>(
    session: SessionName | Session,
    prompt: Prompt,
    options: PoolTurnOptions<Structured>,
  ): Turn<Structured> {
    const pool = typeof session === "string" ? this.#tree.pools.find(session) : undefined;
    return (pool ?? this.session(session)).stream(prompt, options);
  }

  #child(reference: SessionRef): ChildPlan {
    this.#refuseIfStopped();
    const child = picked(reference);
    const name = isSession(child) ? child.name : child;
    if (isSession(child) && this.#roster.find(name)?.server !== serverOf(child)) throw stale(child);
    const ids = [nameKey(name), name];
    const plan = this.#tree.root.plans.find(({ id }) => ids.includes(id));
    if (plan !== undefined) return plan;
    const known = this.#tree.root.plans.map(({ id }) => id);
    const near = didYouMean(nearMisses(typeof name === "string" ? name : nameKey(name), known));
    throw new CastellanError("CHILD_NOT_FOUND", `${this.name} has no child ${formatName(name)}${near}.`);
  }

  #stateOf(kind: ChildPlan["kind"], id: string): ChildSummary["state"] {
    // A template or a pool has no process of its own that could be in another state.
    return kind === "template" || kind === "pool"
      ? "running"
      : (this.#tree.root.tree?.child(id)?.state ?? "terminated");
  }

  #refuseIfStopped(): void {
    if (this.#stopping !== undefined) throw this.#stopped();
  }

  #refuseIfEnding(): void {
    this.#refuseIfStopped();
    if (!this.#draining) return;
    throw new CastellanError("SUPERVISOR_STOPPED", `${this.name} is draining; its children stay as they are.`);
  }

  #stopped(): CastellanError<"SUPERVISOR_STOPPED"> {
    return new CastellanError("SUPERVISOR_STOPPED", `${this.name} has been stopped; start another supervisor.`);
  }

  /** A handle may outlive its session, and the name may be another one's by now. */
  #refuseIfGone(server: SessionServer): void {
    this.#refuseIfStopped();
    const refusal = this.#roster.holds(server) ? undefined : server.refusal();
    if (refusal !== undefined) throw refusal;
  }
}

/** What a start is rejected with, of which each child has to come up. */
function bootFailure(supervisor: string, failed: readonly NotStarted[]): CastellanError {
  const errors = failed.map(({ error }) => error);
  const cause = errors.length === 1 ? errors[0] : new AggregateError(errors, "children did not come up");
  const why = failed.map(({ name, error }) => `${formatName(name)}: ${startReason(error)}`).join("; ");
  return startError(`${supervisor} has not been started, since not all of its children have come up. ${why}.`, cause);
}

/** The same as the error says, without advice for what is set aside. */
function startReason(error: CastellanError): string {
  if (CastellanError.is(error, "SESSION_QUARANTINED")) return error.details.lastExits.at(-1)?.message ?? error.message;
  return error.cause === undefined ? error.message : reasonOf(error.cause);
}

/** The name is another session's by now, which must not be taken for the one that is meant. */
function stale({ name }: Session): CastellanError {
  return new CastellanError(
    "SESSION_STOPPED",
    `The session ${formatName(name)} that this handle is for has been stopped.`,
  );
}
