import { z } from "zod";
import { type Clock, pause } from "../clock.ts";
import { CastellanError } from "../errors.ts";
import { withoutUndefined } from "../fields.ts";
import { keyPrefix, nameKey, type SessionName } from "../names.ts";
import { GLOBAL, type GlobalName, globalNameOf } from "../session/options/global-name.ts";
import type { Prompt } from "../session/options/prompt.ts";
import type { TurnOptions } from "../session/options/turn-options.ts";
import { invalidOptions, validate } from "../session/options/validation.ts";
import type { EraseOptions, ErasureReport, LeftBehind, Removed } from "../session/persistence/erasure.ts";
import type { SessionEvent } from "../session/status/session-event.ts";
import type { Reply } from "../session/streams/reply.ts";
import type { Turn } from "../session/streams/turn.ts";
import { Caller } from "./caller.ts";
import { type GlobalReach, GlobalSession } from "./global-session.ts";
import { GlobalTurn } from "./global-turn.ts";
import { covers, poolNameOf } from "./placement.ts";
import type { Engine, NodeEntry } from "./protocol/engine.ts";
import type { ExportPage } from "./protocol/frames.ts";
import { type Transport, Unreachable } from "./protocol/transport.ts";
import { destinationOf, Router } from "./router.ts";

/** A node as lists show it. */
export interface NodeInfo {
  readonly name: string;
  readonly address: string;
  /** The release of Castellan that it runs. */
  readonly release: string;
  /** `draining`: it takes no more sessions. `dead`: it has not been heard of for its `staleAfter`. */
  readonly state: "alive" | "draining" | "dead";
  /** How many processes its global sessions have, and how many wait for one. */
  readonly load: number;
  readonly maxProcesses?: number;
  readonly labels: Readonly<Record<string, string>>;
}

/** A global session as lists show it. */
export interface GlobalSessionInfo {
  readonly name: SessionName;
  /** The name of the node that has it; left out if none does at this moment. */
  readonly node?: string;
  /** How often it has had another owner. */
  readonly epoch: number;
}

export interface ClusterDeps {
  readonly engine: Engine;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly newId: () => string;
  /** A number from 0 to below 1, for jitter. */
  readonly random: () => number;
  readonly patienceMs: number;
}

const eraseSchema = z.strictObject({ memory: z.boolean().default(false) });

/** How long an events stream that broke waits before it is looked for again. */
const EVENTS_RETRY_MS = 200;

/** Of how many turns it is remembered that they are lost. */
const MOST_LOST = 10_000;

/** How often a session is sent to the node that it is to move to, if another one is faster. */
const MOVE_TRIES = 5;

/**
 * Several machines, seen from one of them, or from a client that hosts nothing: asks global sessions and pools by name, wherever
 * they are.
 */
export class Cluster implements AsyncDisposable {
  readonly #deps: ClusterDeps;
  readonly #router: Router;
  readonly #caller: Caller;
  readonly #reach: GlobalReach;
  readonly #end: () => Promise<void>;
  readonly #closed = new AbortController();
  /** Turns that have not ended for their callers here. */
  readonly #turns = new Set<GlobalTurn>();
  /** Turns that the database has lost after they were accepted. */
  readonly #lost = new Set<string>();
  #closing: Promise<void> | undefined;

  /** Made by a supervisor, or by `connect`. `end` lets go of what it stands on. */
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
        // The one who has asked it may not have found out yet that it is lost.
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
      events: (key) => this.#events(key),
      move: (key, node) => this.#move(key, node),
      eraseElsewhere: async (key) => {
        await this.#eraseFiles(key, await this.#conversations(key), false);
      },
      newId,
    };
  }

  /** Whether it has been closed, or is about to be. */
  get closed(): boolean {
    return this.#closed.signal.aborted;
  }

  /** Asks a global session or pool, and waits for the answer; see `Session.query`. */
  async query<Structured = unknown>(
    name: GlobalName,
    prompt: Prompt,
    options: TurnOptions<Structured> = {},
  ): Promise<Reply<Structured>> {
    return await this.session(name).query(prompt, options);
  }

  /** Asks a global session or pool and returns the turn, to be read while it runs; see `Session.stream`. */
  stream<Structured = unknown>(
    name: GlobalName,
    prompt: Prompt,
    options: TurnOptions<Structured> = {},
  ): Turn<Structured> {
    return this.session(name).stream(prompt, options);
  }

  /** A handle of the global session of this name, wherever it is. Asks nobody. */
  session(name: GlobalName): GlobalSession {
    this.#refuseIfClosed();
    return new GlobalSession(globalNameOf(name), this.#reach);
  }

  /**
   * The global sessions that have, or had, a node, in the order of their names.
   *
   * @param options.prefix only those whose names begin so: `global("support")`
   * @throws CastellanError `DATABASE_UNAVAILABLE`, `CLUSTER_UNAVAILABLE` if it has been closed
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

  /** The nodes that there are, and those that have not been heard of lately. @throws CastellanError as {@link Cluster.listSessions} */
  async nodes(): Promise<NodeInfo[]> {
    this.#refuseIfClosed();
    const nodes = await this.#deps.engine.nodes();
    return nodes.map(infoOf).toSorted((one, other) => one.name.localeCompare(other.name));
  }

  /** Has another node go on with a session; see `GlobalSession.move`. */
  async move(name: GlobalName, node: string): Promise<void> {
    await this.session(name).move(node);
  }

  /**
   * Erases what is known of a global session, see `Supervisor.eraseSession`: on the node that has it, which gives it up, in the
   * database, and the files that its conversations have left on other nodes. What nodes have that are not there stands in `left`.
   *
   * @throws CastellanError as `Supervisor.eraseSession`; `CLUSTER_UNAVAILABLE` if a node that may have files of it does not answer, in
   * which case it can be called again
   */
  async eraseSession(name: GlobalName, options: Pick<EraseOptions, "memory"> = {}): Promise<ErasureReport> {
    this.#refuseIfClosed();
    const { memory } = validate(eraseSchema, options, "eraseSession");
    const key = nameKey(globalNameOf(name));
    const known = await this.#conversations(key);
    // Before the only one who knows of them knows nothing any more.
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
   * What is known of a global session, as lines of JSON, see `Supervisor.exportSession`: what the database has, and the files of the
   * node that has the session. It throws `CLUSTER_UNAVAILABLE` if the session moves meanwhile, or nobody has read for a minute.
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

  /** Ends it for its callers: their turns go on where they are, and end here with `CLUSTER_UNAVAILABLE`. */
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
    // What cannot be stopped any more ends here for those who wait for it.
    await Promise.all([...this.#turns].map((turn) => turn.interrupt()));
    await this.#deps.transport.close();
    await this.#end();
  }

  /** Whether somebody here has been told of a turn that it is accepted, and not that it has ended. */
  #isAccepted(turnId: string): boolean {
    return this.#lost.has(turnId) || [...this.#turns].some(({ id, state }) => id === turnId && state !== "accepted");
  }

  #remember(turnId: string): void {
    this.#lost.add(turnId);
    const [oldest] = this.#lost;
    if (this.#lost.size > MOST_LOST && oldest !== undefined) this.#lost.delete(oldest);
  }

  /** Stops a turn where it is. That of a pool is on one of several nodes, and nobody but its caller knows on which. */
  async #cancel(key: string, turnId: string): Promise<void> {
    if (this.closed) throw connectionClosed();
    const pool = poolNameOf(key);
    const nodes = pool === undefined ? [] : await this.#router.nodes(Number.POSITIVE_INFINITY);
    const hosts = nodes.filter((node) => node.alive && pool !== undefined && node.hosts.pools.includes(pool));
    if (hosts.length === 0) await this.#caller.call(key, "cancel", turnId);
    else await Promise.any(hosts.map((node) => this.#caller.callAt(destinationOf(node), key, "cancel", turnId)));
  }

  async *#events(key: string): AsyncGenerator<SessionEvent, void, undefined> {
    const { transport, clock } = this.#deps;
    const leaving = new AbortController();
    const signal = AbortSignal.any([this.#closed.signal, leaving.signal]);
    try {
      while (!signal.aborted) {
        try {
          const { to } = await this.#router.locate(key);
          // Whatever a node tells of its session is one of its events.
          for await (const event of transport.events(to, key, signal)) yield event as SessionEvent;
          this.#router.forget(key, to.boot);
        } catch (error) {
          if (signal.aborted) return;
          if (!(error instanceof Unreachable) && !CastellanError.is(error)) throw error;
        }
        await pause(clock, EVENTS_RETRY_MS, { signal });
      }
    } finally {
      leaving.abort();
    }
  }

  /** The ids of all conversations that a session has had. */
  async #conversations(key: string): Promise<readonly string[]> {
    return (await this.#caller.call(key, "conversations")) as readonly string[];
  }

  /** What other nodes have kept of conversations of a session, that of each removed by itself. */
  async #eraseFiles(
    key: string,
    conversations: readonly string[],
    memory: boolean,
  ): Promise<Pick<Removed, "files" | "left">[]> {
    const nodes = (await this.#router.nodes(0)).filter(({ hosts }) => covers(hosts, key));
    return await Promise.all(
      nodes.map(async (node): Promise<Pick<Removed, "files" | "left">> => {
        if (!node.alive) return { files: 0, left: [unheard(node)] };
        const removed = await this.#caller.callAt(destinationOf(node), key, "eraseFiles", conversations, memory);
        const { files, left } = removed as Removed;
        return { files, left: left.map((one) => ({ ...one, node: node.name })) };
      }),
    );
  }

  async #move(key: string, name: string): Promise<void> {
    const nodes = await this.#router.nodes(0);
    const target = nodes.find((node) => node.name === name && node.alive && !node.draining);
    const problem =
      target === undefined
        ? `there is no node of this name that takes sessions; there are ${nodes.map((node) => node.name).join(", ")}`
        : covers(target.hosts, key)
          ? undefined
          : "it does not host this session";
    if (target === undefined || problem !== undefined) {
      throw invalidOptions("move", [{ field: "node", message: `${JSON.stringify(name)}: ${problem}` }]);
    }
    for (let tries = 1; ; tries++) {
      const owner = await this.#deps.engine.ownerOf(key);
      if (owner?.boot === target.boot) break;
      if (owner?.node.alive === true) await this.#caller.call(key, "release");
      try {
        await this.#caller.callAt(destinationOf(target), key, "wake");
        break;
      } catch (error) {
        // Another node that saw it without an owner has been faster.
        const taken = CastellanError.is(error, "CLUSTER_UNAVAILABLE") && error.details.reason === "no_node";
        if (!taken || tries === MOVE_TRIES) throw error;
      }
    }
    this.#router.learn(key, target.boot);
  }

  #refuseIfClosed(): void {
    if (this.closed) throw connectionClosed();
  }
}

function connectionClosed(): CastellanError<"CLUSTER_UNAVAILABLE"> {
  const message =
    "This process' connection to the cluster has been closed; connect again. What was asked of sessions before goes on where they are.";
  return new CastellanError("CLUSTER_UNAVAILABLE", message, { details: { reason: "unreachable" } });
}

function unheard({ name }: NodeEntry): LeftBehind {
  const why = "the node has not been heard of; if it has had the session, its disk may have files of `conversations`";
  return { what: "files", where: `node ${name}`, why, node: name };
}

function infoOf({ name, address, release, alive, draining, load, maxProcesses, labels }: NodeEntry): NodeInfo {
  const state = alive ? (draining ? "draining" : "alive") : "dead";
  return withoutUndefined({ name, address, release, state, load, maxProcesses, labels });
}
