import { z } from "zod";
import { type Clock, pause } from "../clock.ts";
import { CastellanError } from "../errors.ts";
import { withoutUndefined } from "../fields.ts";
import { formatName, keyPrefix, nameKey, nameOfKey, type SessionName } from "../names.ts";
import { GLOBAL, type GlobalName, globalNameOf } from "../session/options/global-name.ts";
import type { Prompt } from "../session/options/prompt.ts";
import type { TurnOptions } from "../session/options/turn-options.ts";
import { invalidOptions, validate } from "../session/options/validation.ts";
import type { EraseOptions, ErasureReport, LeftBehind, Removed } from "../session/persistence/erasure.ts";
import { leavable } from "../session/record/leavable.ts";
import type { Reply } from "../session/streams/reply.ts";
import type { Turn } from "../session/streams/turn.ts";
import { Caller } from "./caller.ts";
import { findGlobalSessions, type GlobalFindOptions, type GlobalFoundSession } from "./global-finding.ts";
import { GlobalPool } from "./global-pool.ts";
import { type GlobalReach, GlobalSession } from "./global-session.ts";
import { GlobalTurn } from "./global-turn.ts";
import { covers, poolNameOf } from "./placement.ts";
import type { Engine, NodeEntry, NodeReport } from "./protocol/engine.ts";
import type { ExportPage } from "./protocol/frames.ts";
import { RETRY } from "./protocol/retry.ts";
import type { Transport } from "./protocol/transport.ts";
import { type MovedSession, rebalance } from "./rebalance.ts";
import { remoteEvents } from "./remote-events.ts";
import { destinationOf, Router } from "./router.ts";
import type { SessionActivity } from "./session-host.ts";

/** A node, in lists. */
export interface NodeInfo {
  readonly name: string;
  readonly address: string;
  /** The release of Castellan on the node. */
  readonly release: string;
  /** `draining`: takes no more sessions. `dead`: silent for longer than its `staleAfter`. */
  readonly state: "alive" | "draining" | "dead";
  /** Number of processes of its global sessions, plus sessions that wait for one. */
  readonly load: number;
  readonly maxProcesses?: number;
  readonly labels: Readonly<Record<string, string>>;
  /** For how long it has not renewed its lease, in milliseconds, by the clock of the database. It renews once in each `beat`. */
  readonly silentForMs: number;
  /** After how long without a renewal it counts as dead, in milliseconds. */
  readonly staleAfterMs: number;
  /** What it last told of itself. Left out for nodes that have just joined, or run an earlier release. */
  readonly report?: NodeReport;
}

/** A global session, in lists. */
export interface GlobalSessionInfo {
  readonly name: SessionName;
  /** Name of the node that owns the session. Left out if no live node does. */
  readonly node?: string;
  /** Rises with each new owner. */
  readonly epoch: number;
}

export interface ClusterDeps {
  readonly engine: Engine;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly newId: () => string;
  /** Returns a number in [0, 1), for jitter. */
  readonly random: () => number;
  readonly patienceMs: number;
}

const rebalanceSchema = z.strictObject({ max: z.int().positive().default(10) });

const eraseSchema = z.strictObject({ memory: z.boolean().default(false) });

/** Maximum number of lost turns to remember. */
const MOST_LOST = 10_000;

/** Maximum number of attempts to move a session, within about 700 ms. */
const MOVE_TRIES = 8;

/**
 * A cluster, seen from one of its nodes or from a client that hosts nothing. It sends turns and calls to global
 * sessions and pools by name.
 */
export class Cluster implements AsyncDisposable {
  readonly #deps: ClusterDeps;
  readonly #router: Router;
  readonly #caller: Caller;
  readonly #reach: GlobalReach;
  readonly #end: () => Promise<void>;
  readonly #closed = new AbortController();
  /** Turns that have not ended for their local callers. */
  readonly #turns = new Set<GlobalTurn>();
  /** Ids of turns that the database has lost after it accepted them. */
  readonly #lost = new Set<string>();
  #closing: Promise<void> | undefined;

  /** A supervisor or `connect` creates the cluster. `end` releases what the cluster depends on. */
  constructor(deps: ClusterDeps, end: () => Promise<void>) {
    const { engine, transport, clock, newId, random, patienceMs } = deps;
    this.#deps = deps;
    this.#end = end;
    this.#router = new Router(engine, clock);
    const router = this.#router;
    this.#caller = new Caller({ router, transport, clock, patienceMs });
    const cancel = (key: string, turnId: string): Promise<void> => this.#cancel(key, turnId);
    this.#reach = {
      call: (key, method, ...args) => this.#caller.call(key, method, ...args),
      turn: (request) => {
        this.#refuseIfClosed();
        // The turn's first caller may not have noticed the loss yet.
        const known = request.ask === undefined && this.#isAccepted(request.turnId);
        const turn = new GlobalTurn(known ? { ...request, known } : request, {
          router,
          transport,
          clock,
          random,
          patienceMs,
          cancel,
        });
        this.#turns.add(turn);
        const over = (): void => void this.#turns.delete(turn);
        turn.result.then(over, (error: unknown) => {
          if (CastellanError.is(error, "TURN_LOST")) this.#remember(turn.id);
          over();
        });
        return turn;
      },
      events: (key, options) => {
        const leaving = new AbortController();
        const read = remoteEvents({ router, transport, clock, patienceMs }, key, options, this.#closed.signal, leaving);
        return leavable(read, () => leaving.abort());
      },
      move: async (key, node) => void (await this.#move(key, node)),
      fork: (from, to) => this.#fork(from, to),
      eraseElsewhere: async (key) => {
        await this.#eraseFiles(key, await this.#conversations(key), false);
      },
      newId,
    };
  }

  /** Whether the cluster is closed or closing. */
  get closed(): boolean {
    return this.#closed.signal.aborted;
  }

  /** Sends a prompt to a global session or pool and waits for the reply; see `Session.query`. */
  async query<Structured = unknown>(
    name: GlobalName,
    prompt: Prompt,
    options: TurnOptions<Structured> = {},
  ): Promise<Reply<Structured>> {
    return await this.session(name).query(prompt, options);
  }

  /** Sends a prompt to a global session or pool and returns the turn; see `Session.stream`. */
  stream<Structured = unknown>(
    name: GlobalName,
    prompt: Prompt,
    options: TurnOptions<Structured> = {},
  ): Turn<Structured> {
    return this.session(name).stream(prompt, options);
  }

  /** Returns a handle of the global session of this name. Does no I/O. */
  session(name: GlobalName): GlobalSession {
    this.#refuseIfClosed();
    return new GlobalSession(globalNameOf(name), this.#reach);
  }

  /**
   * Returns a handle of the global pool of this name, for its jobs. Does no I/O.
   *
   * @throws CastellanError `INVALID_OPTIONS` if it is not the name of a pool; `CLUSTER_UNAVAILABLE` if the cluster is closed
   * @example
   * const id = await cluster.pool(global("summaries")).enqueue(prompt, { idempotencyKey: document.id });
   */
  pool(name: GlobalName): GlobalPool {
    this.#refuseIfClosed();
    const key = nameKey(globalNameOf(name));
    const pool = poolNameOf(key);
    if (pool !== undefined) return new GlobalPool(pool, key, this.#reach, this.#deps.clock);
    throw invalidOptions("cluster", [{ field: "pool", message: "expected the name of a pool, `global` of a string" }]);
  }

  /**
   * Lists the global sessions that have, or had, an owner, ordered by name.
   *
   * @param options.prefix lists only sessions whose names start with it: `global("support")`
   * @throws CastellanError `DATABASE_UNAVAILABLE`; `CLUSTER_UNAVAILABLE` if the cluster is closed
   */
  async listSessions(options: { readonly prefix?: GlobalName } = {}): Promise<GlobalSessionInfo[]> {
    this.#refuseIfClosed();
    const name = options.prefix === undefined ? undefined : globalNameOf(options.prefix);
    const begin = name === undefined ? keyPrefix(GLOBAL) : nameKey(name).slice(0, -1);
    const [sessions, nodes] = await Promise.all([this.#deps.engine.sessions(begin), this.#deps.engine.nodes()]);
    const some = sessions.filter((session) => {
      const next = nameKey(session.name).charAt(begin.length);
      return name === undefined || next === "," || next === "]";
    });
    return some.map(({ name: session, epoch, boot }) => {
      const node = nodes.find((entry) => entry.boot === boot)?.name;
      return withoutUndefined({ name: session, epoch, node });
    });
  }

  /**
   * Finds global sessions by label, state and name, page by page: all that the database knows, whether a node has them in
   * memory or not. A session is in the database once it has had a turn, or was described. Returns them by name; archived ones
   * only with `state: "archived"`. Asks no node. A page takes the same time however many sessions there are, if it selects none
   * or one label, and no state or `"archived"`.
   *
   * @throws CastellanError `INVALID_OPTIONS`, `DATABASE_UNAVAILABLE`; `CLUSTER_UNAVAILABLE` if the cluster is closed
   * @example
   * const own = await cluster.findSessions({ prefix: global("support"), labels: { user: "ann" } });
   */
  async findSessions(options: GlobalFindOptions = {}): Promise<readonly GlobalFoundSession[]> {
    this.#refuseIfClosed();
    return await findGlobalSessions(this.#deps.engine, options);
  }

  /** Lists the nodes, dead ones included. @throws CastellanError as {@link Cluster.listSessions} */
  async nodes(): Promise<NodeInfo[]> {
    this.#refuseIfClosed();
    const nodes = await this.#deps.engine.nodes();
    return nodes.map(infoOf).toSorted((one, other) => one.name.localeCompare(other.name));
  }

  /** The location of the database, for messages. Contains no password. */
  get location(): string {
    return this.#deps.engine.location;
  }

  /** Asks the database for its release, and so whether it answers. @throws CastellanError `DATABASE_UNAVAILABLE` */
  async version(): Promise<string | undefined> {
    this.#refuseIfClosed();
    return await this.#deps.engine.version?.();
  }

  /**
   * Evens out the load of the nodes by moving sessions, one after the other: first those that have a process and no turn, then
   * those without a process, and only then those in mid-turn, whose turns have thirty seconds to finish. Returns what has moved;
   * nothing if the load is even. Begins no move after four minutes: call it again. Sessions stay on nodes that can host them and that
   * their `affinity` prefers.
   *
   * The load of a node is that of its sessions, relative to its `maxProcesses`; one without a process counts a tenth.
   *
   * @param options.max the most sessions to move. Default 10
   * @throws CastellanError `INVALID_OPTIONS`, `DATABASE_UNAVAILABLE`; `CLUSTER_UNAVAILABLE` if the cluster is closed
   * @example
   * for (const { name, from, to } of await cluster.rebalance({ max: 20 })) console.log(name, from, to);
   */
  async rebalance(options: { readonly max?: number } = {}): Promise<MovedSession[]> {
    this.#refuseIfClosed();
    const { max } = validate(rebalanceSchema, options, "rebalance");
    const nodes = await this.#router.nodes(0);
    const sessions = await this.#deps.engine.sessions(keyPrefix(GLOBAL));
    // Any session of a node stands for the node.
    const keys = new Map(sessions.flatMap(({ boot, name }) => (boot === undefined ? [] : [[boot, nameKey(name)]])));
    return await rebalance(nodes, keys, max, {
      caller: this.#caller,
      clock: this.#deps.clock,
      move: (key, node, activity) => this.#move(key, node, activity),
    });
  }

  /** Moves a session to another node; see `GlobalSession.move`. */
  async move(name: GlobalName, node: string): Promise<void> {
    await this.session(name).move(node);
  }

  /**
   * Erases a global session; see `Supervisor.eraseSession`. Its owner releases it and erases it from the database; the
   * other nodes remove their files of its conversations. `left` in the report names files on nodes that are down.
   *
   * @throws CastellanError as `Supervisor.eraseSession`; `CLUSTER_UNAVAILABLE` if a node that may have files does not
   * answer: call again
   */
  async eraseSession(name: GlobalName, options: Pick<EraseOptions, "memory"> = {}): Promise<ErasureReport> {
    this.#refuseIfClosed();
    const { memory } = validate(eraseSchema, options, "eraseSession");
    const key = nameKey(globalNameOf(name));
    const known = await this.#conversations(key);
    // Before the owner forgets the conversations.
    const before = await this.#eraseFiles(key, known, memory);
    const report = (await this.#caller.call(key, "erase", { memory })) as ErasureReport;
    const later = report.conversations.filter((id) => !known.includes(id));
    const after = later.length > 0 ? await this.#eraseFiles(key, later, memory) : [];
    await this.#deps.engine.forget(key);
    const elsewhere = [...before, ...after];
    return {
      ...report,
      files: elsewhere.reduce((sum, { files }) => sum + files, report.files),
      left: [...report.left, ...elsewhere.flatMap(({ left }) => left)],
    };
  }

  /**
   * Yields the data of a global session as lines of JSON; see `Supervisor.exportSession`. It covers the database and
   * the files of the session's node. Throws `CLUSTER_UNAVAILABLE` if the session moves during the export, or if nobody
   * reads for a minute.
   */
  async *exportSession(name: GlobalName): AsyncGenerator<string, void, undefined> {
    this.#refuseIfClosed();
    const key = nameKey(globalNameOf(name));
    for (let next: string | undefined; ; ) {
      const page = (await this.#caller.call(key, "export", ...(next === undefined ? [] : [next]))) as ExportPage;
      yield* page.lines;
      if (page.next === undefined) return;
      next = page.next;
    }
  }

  /** Closes the connection. Turns continue on their nodes; local callers get `CLUSTER_UNAVAILABLE`. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** As {@link Cluster.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#closed.abort(connectionClosed());
    this.#caller.close(connectionClosed());
    // Rejects the callers of turns that could not be stopped.
    await Promise.all([...this.#turns].map((turn) => turn.interrupt()));
    await this.#deps.transport.close();
    await this.#end();
  }

  /** Whether a local caller knows that the turn was accepted, and not that it has ended. */
  #isAccepted(turnId: string): boolean {
    return this.#lost.has(turnId) || [...this.#turns].some(({ id, state }) => id === turnId && state !== "accepted");
  }

  #remember(turnId: string): void {
    this.#lost.add(turnId);
    const [oldest] = this.#lost;
    if (this.#lost.size > MOST_LOST && oldest !== undefined) this.#lost.delete(oldest);
  }

  /** Stops a turn. A pool's turn may run on any node that hosts the pool, so all of them are asked. */
  async #cancel(key: string, turnId: string): Promise<void> {
    if (this.closed) throw connectionClosed();
    const pool = poolNameOf(key);
    const nodes = pool === undefined ? [] : await this.#router.nodes(Number.POSITIVE_INFINITY);
    const hosts = nodes.filter((node) => node.alive && pool !== undefined && node.hosts.pools.includes(pool));
    if (hosts.length === 0) await this.#caller.call(key, "cancel", turnId);
    else await Promise.any(hosts.map((node) => this.#caller.callAt(destinationOf(node), key, "cancel", turnId)));
  }

  /** Returns the ids of all conversations that the session has had. */
  async #conversations(key: string): Promise<readonly string[]> {
    return (await this.#caller.call(key, "conversations")) as readonly string[];
  }

  /** Has every other node remove its files of these conversations. */
  async #eraseFiles(
    key: string,
    conversations: readonly string[],
    memory: boolean,
  ): Promise<Pick<Removed, "files" | "left">[]> {
    const nodes = (await this.#router.nodes(0)).filter(({ hosts }) => covers(hosts, key));
    return await Promise.all(
      nodes.map(async (node): Promise<Pick<Removed, "files" | "left">> => {
        if (!node.alive) return { files: 0, left: [leftOnDeadNode(node)] };
        const removed = await this.#caller.callAt(destinationOf(node), key, "eraseFiles", conversations, memory);
        const { files, left } = removed as Removed;
        return { files, left: left.map((one) => ({ ...one, node: node.name })) };
      }),
    );
  }

  /**
   * Moves a session. Returns false if it is in mid-turn, unless that was known before.
   *
   * @param activity what it did when the move was planned; left out if it moves in any case
   */
  async #move(key: string, name: string, activity?: SessionActivity): Promise<boolean> {
    const isPatient = activity === "none" || activity === "idle";
    let target = await this.#moveTarget(key, name);
    let delay: number = RETRY.first;
    for (let tries = 1; ; tries++) {
      const owner = await this.#deps.engine.ownerOf(key);
      if (owner?.boot === target.boot) break;
      if (owner?.node.alive === true) {
        const answer = await this.#caller.call(key, "release", ...(isPatient ? ["idle"] : []));
        if (answer === "busy") return false;
      }
      try {
        // The status claims the session, and leaves it without a process.
        await this.#caller.callAt(destinationOf(target), key, activity === "none" ? "status" : "wake");
        break;
      } catch (error) {
        // Another node claimed the session first, or the node joined again and has another boot.
        if (!CastellanError.is(error, "CLUSTER_UNAVAILABLE") || tries === MOVE_TRIES) throw error;
      }
      await pause(this.#deps.clock, delay);
      delay = Math.min(RETRY.most, delay * RETRY.factor);
      this.#refuseIfClosed();
      target = await this.#moveTarget(key, name);
    }
    this.#router.learn(key, target.boot);
    return true;
  }

  async #fork(from: string, to: string): Promise<void> {
    let delay: number = RETRY.first;
    for (let tries = 1; ; tries++) {
      const answer = await this.#caller.call(from, "fork", to);
      if (answer === "forked") return;
      if (answer !== "owned" || tries === MOVE_TRIES) throw hasConversation(to);
      // Its owner has nothing of the name: somebody has only looked.
      await this.#caller.call(to, "release");
      await pause(this.#deps.clock, delay);
      delay = Math.min(RETRY.most, delay * RETRY.factor);
      this.#refuseIfClosed();
    }
  }

  /** @throws CastellanError `INVALID_OPTIONS` if no live node of this name hosts the session */
  async #moveTarget(key: string, name: string): Promise<NodeEntry> {
    const nodes = await this.#router.nodes(0);
    const target = nodes.find((node) => node.name === name && node.alive && !node.draining);
    const problem =
      target === undefined
        ? `no node of this name takes sessions; the nodes are ${nodes.map((node) => node.name).join(", ")}`
        : covers(target.hosts, key)
          ? undefined
          : "it does not host this session";
    if (target === undefined || problem !== undefined) {
      throw invalidOptions("move", [{ field: "node", message: `${JSON.stringify(name)}: ${problem}` }]);
    }
    return target;
  }

  #refuseIfClosed(): void {
    if (this.closed) throw connectionClosed();
  }
}

function connectionClosed(): CastellanError<"CLUSTER_UNAVAILABLE"> {
  const message =
    "The connection to the cluster is closed. Connect again. Turns that were sent before continue on their nodes.";
  return new CastellanError("CLUSTER_UNAVAILABLE", message, { details: { reason: "unreachable" } });
}

function hasConversation(key: string): CastellanError<"SESSION_ALREADY_STARTED"> {
  const name = formatName(nameOfKey(key));
  const message = `Global session ${name} has a conversation, or is in use. Clear it first, or fork to another name.`;
  return new CastellanError("SESSION_ALREADY_STARTED", message, { details: { supervisor: GLOBAL } });
}

function leftOnDeadNode({ name }: NodeEntry): LeftBehind {
  const why = "the node is down; if it has owned the session, its disk may hold files of `conversations`";
  return { what: "files", where: `node ${name}`, why, node: name };
}

function infoOf(node: NodeEntry): NodeInfo {
  const { name, address, release, alive, draining, load, maxProcesses, labels, staleMs, aliveForMs, report } = node;
  const state: NodeInfo["state"] = alive ? (draining ? "draining" : "alive") : "dead";
  const silentForMs = Math.max(0, Math.round(staleMs - aliveForMs));
  return withoutUndefined({
    ...{ name, address, release, state, load, maxProcesses, labels },
    ...{ silentForMs, staleAfterMs: staleMs, report },
  });
}
