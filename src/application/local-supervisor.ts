import { z } from "zod";
import type { Clock } from "../clock.ts";
import { withDeadline } from "../deadline.ts";
import type { Duration } from "../duration.ts";
import { CastellanError } from "../errors.ts";
import type { SharedJournal } from "../journal/shared-journal.ts";
import { nameKey, type SessionName } from "../names.ts";
import { paced } from "../paced.ts";
import { LoanedSession } from "../pool/loan.ts";
import type { Pool } from "../pool/pool.ts";
import type { PoolTurnOptions } from "../pool/pool-turn.ts";
import type { SharedResources } from "../session/context/shared-resources.ts";
import type { ConversationOptions } from "../session/controls.ts";
import type { FarSession } from "../session/far-session.ts";
import type { SessionDefaults, SessionOptions } from "../session/options/options.ts";
import type { Prompt } from "../session/options/prompt.ts";
import { likeOptions } from "../session/options/session-settings.ts";
import { durationSchema, nameSchema, validate } from "../session/options/validation.ts";
import type { EraseOptions, ErasureReport } from "../session/persistence/erasure.ts";
import type { ExportOptions } from "../session/persistence/session-export.ts";
import { SupervisorJournal } from "../session/persistence/supervisor-journal.ts";
import { isSession, type Session, serverOf } from "../session/session.ts";
import type { SessionServer } from "../session/session-server.ts";
import type { SessionStatus } from "../session/status/session-status.ts";
import type { Turn } from "../session/streams/turn.ts";
import { CredentialsRefresh } from "./credentials-refresh.ts";
import type { Elsewhere, HandoverNeeds } from "./elsewhere.ts";
import { Erasing } from "./erasing.ts";
import { Finding } from "./finding.ts";
import type { EffectiveOptions } from "./inspection/effective-options.ts";
import { inspectSession, type SessionInspection, type SupervisorInspection } from "./inspection/inspection.ts";
import type { StoreReport } from "./inspection/storage.ts";
import { optionsOfSession, type TemplateInfo, templateInfos } from "./inspection/template-info.ts";
import { resolveRef, type SessionRef, staleHandleError, turnTarget } from "./names/reference.ts";
import { registry } from "./names/registry.ts";
import { type ChildOptions, type ChildPlan, childPlan, sessionPlan } from "./options/child-options.ts";
import { keepsTranscripts, openJournal } from "./options/journal-options.ts";
import type { SupervisorSettings } from "./options/supervisor-options.ts";
import { processResources } from "./process-resources.ts";
import { SupervisorDeliveries } from "./supervisor-deliveries.ts";
import type { SupervisorDeps } from "./supervisor-deps.ts";
import { type JoinedCluster, SupervisorStatus } from "./supervisor-status.ts";
import { bootFailure } from "./tree/child-report.ts";
import type { Pools } from "./tree/pools.ts";
import { Reconciler } from "./tree/reconciler.ts";
import { RootChildren } from "./tree/root-children.ts";
import { type Member, SessionTable } from "./tree/session-table.ts";
import { SupervisorPhase } from "./tree/supervisor-phase.ts";
import type {
  CredentialsReport,
  DrainReport,
  NotStarted,
  ReconcileReport,
  SupervisorEnd,
} from "./tree/supervisor-reports.ts";
import { Tree } from "./tree/tree.ts";
import { warnIfExposed, warnWithoutInit } from "./warnings.ts";

/** The name under which the journal keeps the spending of unnamed supervisors. */
const UNNAMED = "supervisor";

const conversationSchema = z.strictObject({ conversation: z.enum(["keep", "clear"]).default("keep") });

/** How long the previous process of the application works on while this one starts spares, in milliseconds. */
const WARM_MS = 15_000;

const deadlineSchema = z.strictObject({ deadline: durationSchema.default(30_000) });

/**
 * A `Supervisor` without its cluster: starts the sessions of this process and keeps them running. A node hosts its global
 * sessions in one of these, too. `Supervisor` documents the methods.
 */
export class LocalSupervisor {
  readonly name: string;
  readonly closed: Promise<SupervisorEnd>;
  readonly children: RootChildren;
  readonly status: SupervisorStatus;
  readonly finding: Finding;
  /** Resolves once the next process of the application has the journal and all sessions. */
  readonly handedOver: Promise<void>;
  #settings: SupervisorSettings;
  readonly #clock: Clock;
  readonly #sessions: SessionTable;
  readonly #tree: Tree;
  readonly #journal: SupervisorJournal;
  readonly #resources: SharedResources;
  readonly #erasing: Erasing;
  readonly #cluster: JoinedCluster | undefined;
  readonly #deliveries: SupervisorDeliveries;
  readonly #deps: SupervisorDeps;
  readonly #handedOver: PromiseWithResolvers<void> = Promise.withResolvers();
  #elsewhere: Elsewhere | undefined;
  #claudeRelease: string | undefined;
  readonly #closed: PromiseWithResolvers<SupervisorEnd> = Promise.withResolvers();
  #notStarted: readonly NotStarted[] = [];
  readonly #phase: SupervisorPhase;
  #stopping: Promise<void> | undefined;
  /** Why it ended, unless the tree ended by itself. */
  #end: SupervisorEnd | undefined;
  /** The last reconciliation. Reconciliations run one after the other. */
  #reconciling: Promise<unknown> = Promise.resolve();

  private constructor(
    settings: SupervisorSettings,
    plans: readonly ChildPlan[],
    deps: SupervisorDeps,
    cluster: JoinedCluster | undefined,
  ) {
    this.#settings = settings;
    this.#cluster = cluster;
    this.#deliveries = new SupervisorDeliveries(deps.webhooks);
    this.#clock = deps.clock;
    this.#deps = deps;
    this.handedOver = this.#handedOver.promise;
    this.name = settings.name ?? registry.nextSupervisorName();
    this.closed = this.#closed.promise;
    this.#phase = new SupervisorPhase(this.name);
    this.#journal = new SupervisorJournal(settings.name ?? UNNAMED, settings.budget, deps.clock);
    this.#resources = processResources(settings, deps, {
      // A spare may start before the journal is open.
      mirrors: () => keepsTranscripts(settings.journal),
      sessions: () => this.#sessions,
      started: (release) => {
        this.#claudeRelease = release;
      },
    });
    this.#sessions = new SessionTable(this.name, this.#journal, this.#resources, deps, this);
    const { clock, random, newId } = deps;
    this.#tree = new Tree(settings, plans, {
      clock,
      random,
      newId,
      sessions: this.#sessions,
      spares: this.#resources.spares,
      supervisor: this.name,
      refuseIfEnding: () => this.#phase.refuseIfEnding(),
    });
    this.#erasing = new Erasing({
      supervisor: this.name,
      journal: this.#journal,
      sessions: this.#sessions,
      tree: this.#tree,
      newId,
      defaults: () => this.#settings.defaults,
    });
    this.children = new RootChildren(this.name, this.#tree, this.#sessions, this.#phase);
    this.finding = new Finding(this.#sessions, this.#journal, async () => {
      this.#phase.refuseIfStopped();
      await this.#tree.opened();
      this.#phase.refuseIfStopped();
    });
    this.status = new SupervisorStatus({
      name: this.name,
      tree: this.#tree,
      sessions: this.#sessions,
      journal: this.#journal,
      resources: this.#resources,
      phase: this.#phase,
      cluster,
    });
  }

  /**
   * Starts a supervisor, see `Supervisor.start`.
   *
   * @param cluster the cluster to leave before the supervisor ends
   */
  static async start(
    settings: SupervisorSettings,
    plans: readonly ChildPlan[],
    deps: SupervisorDeps,
    cluster?: JoinedCluster,
  ): Promise<LocalSupervisor> {
    warnWithoutInit(settings.logger);
    const supervisor = new LocalSupervisor(settings, plans, deps, cluster);
    const prepared = async (): Promise<void> => {
      await withDeadline(deps.clock, WARM_MS, supervisor.#resources.spares.filled());
    };
    await supervisor.#open(() => openJournal(settings.journal, { ...deps, prepared }));
    warnIfExposed(settings.journal, settings.logger);
    return supervisor;
  }

  get settings(): SupervisorSettings {
    return this.#settings;
  }

  /** The journal of its sessions. */
  get journal(): SupervisorJournal {
    return this.#journal;
  }

  /** Whether the next process of the application has the sessions, or is about to. */
  get isAway(): boolean {
    return this.#elsewhere?.isAway === true;
  }

  get notStarted(): readonly NotStarted[] {
    return this.#notStarted;
  }

  /** The pools of the whole tree. */
  get pools(): Pools {
    return this.#tree.pools;
  }

  session(session: SessionRef): Session {
    const reference = resolveRef(session);
    const member = this.#member(reference);
    // A loan's handle must not turn into one that outlives the loan.
    return reference instanceof LoanedSession ? reference : member.session;
  }

  /** Starts a turn of a session, or of a pool by its name. */
  ask<Structured>(
    session: SessionName | Session,
    prompt: Prompt,
    options: PoolTurnOptions<Structured>,
  ): Turn<Structured> {
    const target = turnTarget(session, {
      pool: (name) => this.#tree.pools.find(name),
      session: (one) => this.session(one),
    });
    return target.stream(prompt, options);
  }

  pool(name: string): Pool {
    this.#phase.refuseIfStopped();
    const pool = this.#tree.pools.find(name);
    if (pool === undefined) throw registry.poolNotFound(name, this.name);
    return pool;
  }

  templates(): TemplateInfo[] {
    return templateInfos(this.#tree);
  }

  optionsOf(session: SessionName): EffectiveOptions | undefined {
    return optionsOfSession(this.#tree, this.#sessions, validate(nameSchema, session, "optionsOf"));
  }

  countSessions(): number {
    return this.#sessions.size;
  }

  async startSession(options: SessionOptions, source?: SessionServer): Promise<Session> {
    this.refuseIfEnding();
    const plan = sessionPlan(options, this.#settings);
    const [member] = await this.#tree.add(this.#tree.root, plan, source);
    return this.session(member?.session ?? plan.settings.name);
  }

  async terminateSession(session: SessionRef, options: ConversationOptions = {}): Promise<void> {
    const far = this.#elsewhere?.far(this.#member(session).server);
    if (far !== undefined) return await far.stop(options);
    await this.#terminate(this.#member(session).server, options);
  }

  async eraseSession(session: SessionRef, options: EraseOptions): Promise<ErasureReport> {
    this.#refuseIfAway();
    return await this.#erasing.erase(session, options);
  }

  async *exportSession(session: SessionRef, options: ExportOptions = {}): AsyncGenerator<string, void, undefined> {
    this.#phase.refuseIfStopped();
    yield* this.#erasing.export(session, options);
  }

  /** Returns Claude's ids of all conversations that a session has had, the current one last. */
  async conversationsOf(name: SessionName): Promise<readonly string[]> {
    this.#phase.refuseIfStopped();
    return await this.#erasing.conversations(name);
  }

  async restartSession(session: SessionRef, options: ConversationOptions = {}): Promise<void> {
    const { key, server } = this.#member(session);
    const far = this.#elsewhere?.far(server);
    if (far !== undefined) return await far.restart(options);
    const { conversation } = validate(conversationSchema, options, "restartSession");
    const isDue = conversation === "clear" ? server.forgetting.clearNext() : () => false;
    // Awaits only while the tree is closed: a turn that is asked after this call must run in the next process.
    if (this.#tree.root.tree === undefined) await this.#tree.opened();
    try {
      await this.#tree.root.recycle(key);
      // An automatic restart that was under way has the earlier conversation. A session without a process clears it later.
      if (isDue()) await this.#tree.root.recycle(key);
    } catch (error) {
      throw server.refusal() ?? error;
    }
    const failure = await this.#tree.failure(server);
    if (failure !== undefined) throw failure;
    if (conversation === "clear") await server.saveConversation();
  }

  /** Adds a child of any kind, see `Supervisor.startChild`. */
  async startChild(child: ChildOptions): Promise<void> {
    this.refuseIfEnding();
    await this.children.start(childPlan(child, this.#settings));
  }

  /** Asks the journal. @throws CastellanError `SUPERVISOR_STOPPED` */
  async store(): Promise<StoreReport> {
    return await this.status.store(this.#clock);
  }

  /** The release of Claude Code in the process that started last; undefined before the first one. */
  get claudeRelease(): string | undefined {
    return this.#claudeRelease;
  }

  inspect(): SupervisorInspection {
    return this.status.inspect(this.#settings);
  }

  inspectSession(name: SessionName): SessionInspection | undefined {
    return inspectSession(this.#tree.root, this.#sessions, validate(nameSchema, name, "inspectSession"));
  }

  /** @throws CastellanError `SUPERVISOR_STOPPED` */
  refuseIfStopped(): void {
    this.#phase.refuseIfStopped();
  }

  /** @throws CastellanError `SUPERVISOR_STOPPED`, also while the supervisor drains */
  refuseIfEnding(): void {
    this.#phase.refuseIfEnding();
    this.#refuseIfAway();
  }

  #refuseIfAway(): void {
    this.#phase.refuseIfStopped();
    if (!this.isAway) return;
    const message = `${this.name} has handed its journal over to the next process of the application, which can do this.`;
    throw new CastellanError("SUPERVISOR_STOPPED", message);
  }

  /**
   * Changes the tree to these children, see `Supervisor.reconcile`.
   *
   * @param settings the settings for children that later calls add
   */
  async reconcile(wanted: readonly ChildPlan[], settings: SupervisorSettings): Promise<ReconcileReport> {
    this.#settings = settings;
    const before = this.#reconciling;
    const work = (async () => {
      await before.catch(() => {});
      await this.#tree.opened();
      this.refuseIfEnding();
      return await new Reconciler(this.#tree, this.#sessions, () => this.#phase.refuseIfStopped()).reconcile(wanted);
    })();
    this.#reconciling = work;
    return await work;
  }

  async refreshCredentials(options: { readonly deadline?: Duration } = {}): Promise<CredentialsReport> {
    this.#phase.refuseIfStopped();
    const { deadline } = validate(deadlineSchema, options, "refreshCredentials");
    this.#resources.spares.renew();
    return await new CredentialsRefresh(this.#tree, this.#sessions, this.#clock).run(deadline, this.closed);
  }

  async drain(options: { readonly deadline?: Duration } = {}): Promise<DrainReport> {
    const { deadline } = validate(deadlineSchema, options, "drain");
    this.#phase.drain();
    const left = this.#cluster?.leave(deadline);
    this.#tree.pools.stopLending(
      new CastellanError("SUPERVISOR_STOPPED", `${this.name} is draining; its pools no longer lend.`),
    );
    let over = false;
    const own = Promise.all([...this.#sessions].map(({ server }) => server.drain()));
    const finished = Promise.all([own, this.#elsewhere?.finished()]).then(([turns]) => {
      // A concurrent stop ends the turns as well, but does not complete them.
      over = !this.#phase.isStopping || turns.every((count) => count === 0);
    });
    await withDeadline(this.#clock, deadline, Promise.race([finished, this.closed]));
    const report = { completed: over };
    await left;
    await this.stop();
    return report;
  }

  async stop({ kill = false }: { readonly kill?: boolean } = {}): Promise<void> {
    this.#stopping ??= this.#stop();
    if (kill) await this.#tree.root.tree?.stop("brutal_kill");
    await this.#stopping;
  }

  async #open(openJournal: () => Promise<SharedJournal>): Promise<void> {
    // Takes the names at once; turns wait for the journal.
    const opened = this.#tree.open(async () => {
      const shared = await openJournal();
      await this.#journal.open(shared);
      await this.#deliveries.open(shared, this.#journal);
      void this.#journal.writer?.lost.then((cause) => this.#lost(cause));
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
        await this.#resources.spares.close();
        await this.#closeJournal();
      }
      throw error;
    }
  }

  /** Hands its sessions over by what `make` returns, once the next process of the application asks for the journal. */
  async offer(make: (needs: HandoverNeeds) => Promise<Elsewhere>): Promise<void> {
    const { handover } = this.#journal;
    if (handover === undefined || this.#phase.isStopping) return;
    const elsewhere = await make({
      handover,
      name: this.name,
      tree: this.#tree,
      sessions: this.#sessions,
      journal: this.#journal,
      deliveries: this.#deliveries,
      deps: this.#deps,
    });
    if (this.#phase.isStopping) return await elsewhere.close();
    this.#elsewhere = elsewhere;
    void elsewhere.over.then(() => this.#handedOver.resolve());
  }

  /** Ends a session here, so that another node can take it over. Resolves once it writes nothing any more. */
  async handOver(name: SessionName, deadlineMs: number): Promise<void> {
    await this.#tree.opened();
    const server = this.#sessions.find(name)?.server;
    await server?.handOver(deadlineMs);
    if (server !== undefined) await this.#tree.terminate(server, () => {}, "supervisor");
    await this.#tree.templates.evicted(nameKey(name));
    this.#deliveries.leave(name);
    await this.#journal.writer?.settled();
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

  async #stop(): Promise<void> {
    this.#phase.stop();
    this.#tree.pools.stopLending(this.#phase.stoppedError());
    await paced([...this.#sessions], ({ server }) => server.close("supervisor"));
    void this.#resources.spares.close();
    await this.#cluster?.leave(0);
    await this.#tree.opened().catch(() => {});
    await this.#tree.root.tree?.stop();
    await this.closed;
  }

  /** Another application has taken over the sessions: kills their processes here. */
  async #lost(cause: CastellanError): Promise<void> {
    this.#end ??= { reason: "journal_lost", cause };
    this.#deliveries.stop();
    for (const { server } of this.#sessions) server.dismiss(cause);
    await this.stop({ kill: true });
  }

  async #ended(cause: unknown): Promise<void> {
    this.#stopping ??= Promise.resolve();
    this.#phase.stop();
    await paced([...this.#sessions], ({ server }) => {
      server.close("supervisor");
      this.#sessions.release(server);
    });
    this.#tree.templates.close();
    this.#tree.pools.stopLending(this.#phase.stoppedError());
    this.#tree.pools.close();
    await this.#cluster?.leave(0);
    this.#sessions.abandon("");
    await this.#resources.spares.close();
    await this.#elsewhere?.close();
    await this.#closeJournal();
    const end = this.#end ?? this.#tree.end;
    const over = { ...end, ...(end.cause === undefined && cause !== undefined ? { cause } : {}) };
    this.#phase.finish(over);
    this.#closed.resolve(over);
  }

  async #closeJournal(): Promise<void> {
    await this.#deliveries.close();
    await this.#journal.close();
  }

  #member(reference: SessionRef): Member {
    this.#phase.refuseIfStopped();
    const session = resolveRef(reference);
    const name = isSession(session) ? session.name : session;
    // Read first, since reading it brings back an evicted session.
    const server = isSession(session) ? serverOf(session) : undefined;
    const member = this.#sessions.find(name) ?? (isSession(session) ? undefined : this.#tree.templates.find(name));
    if (member === undefined) throw registry.notFound(name, this.name);
    if (isSession(session) && server !== member.server) throw staleHandleError(session);
    return member;
  }

  /** Restarts a session on the call of a handle. See `Session.restart`. */
  async restartOwn(server: SessionServer, options: ConversationOptions): Promise<void> {
    this.#refuseIfGone(server);
    await this.restartSession(server.settings.name, options);
  }

  /** Ends a session on the call of a handle. See `Session.stop`. */
  async terminateOwn(server: SessionServer, options: ConversationOptions): Promise<void> {
    this.#refuseIfGone(server);
    await this.#terminate(server, options);
  }

  /** Forks a session on the call of a handle. See `Session.fork`. */
  async forkOwn(server: SessionServer, name: SessionName, options: Partial<SessionDefaults>): Promise<Session> {
    this.#refuseIfGone(server);
    const own = { ...likeOptions(server.settings), ...options };
    const forked = { ...own, ...server.forkOptions(own.activation === "lazy"), name };
    return await this.startSession(forked, server);
  }

  /** Returns the status of a session in memory. */
  statusOf(name: SessionName): SessionStatus | undefined {
    return this.#sessions.find(name)?.server.status();
  }

  /** See `Templates.fork`. */
  forkIntoTemplate(name: SessionName, source: SessionServer): () => void {
    return this.#tree.templates.fork(name, source);
  }

  /** Resolves once a session has ended for good. */
  closedOwn(server: SessionServer): Promise<void> {
    return this.#sessions.closed(server, () => this.#tree.templates.covers(server.settings.name));
  }

  /** @internal Returns the session in the next process of the application, if that has it. */
  farOwn(server: SessionServer): FarSession | undefined {
    return this.#elsewhere?.far(server);
  }

  /** Returns the session of this name, created if a template covers it. */
  findOwn(name: SessionName): Member | undefined {
    if (this.#phase.now !== "running") return undefined;
    return this.#sessions.find(name) ?? this.#tree.templates.find(name);
  }

  /** A handle may outlive its session, and another session may have the name by now. */
  #refuseIfGone(server: SessionServer): void {
    this.#phase.refuseIfStopped();
    const refusal = this.#sessions.holds(server) ? undefined : server.refusal();
    if (refusal !== undefined) throw refusal;
  }
}
