import type { Options as SdkOptions } from "@anthropic-ai/claude-agent-sdk";
import { CastellanError } from "../../errors.ts";
import { didYouMean, formatName, nameKey, nameOfKey, nameProblem, nearMisses, type SessionName } from "../../names.ts";
import type { Pool } from "../../pool/pool.ts";
import { invalidOptions } from "../../session/options/validation.ts";
import { type Session, serverOf } from "../../session/session.ts";
import type { SessionServer } from "../../session/session-server.ts";

/** A session and its supervisor. */
export interface Registration {
  readonly session: Session;
  /** The name of the supervisor. */
  readonly supervisor: string;
  /** Values that only one session at a time can use, each with its option, for messages. */
  readonly exclusive: ReadonlyMap<unknown, string>;
}

/** A template and its supervisor. */
export interface RegisteredTemplate {
  /** The name of the supervisor. */
  readonly supervisor: string;
  /** Creates the session of this name. */
  find(name: SessionName): Session | undefined;
}

/** A pool and its supervisor. */
export interface RegisteredPool {
  /** The name of the supervisor. */
  readonly supervisor: string;
  readonly pool: Pool;
}

/** The state behind the process-wide symbol, shared by all copies of this package. */
interface Shared {
  readonly sessions: Map<string, Registration>;
  readonly exclusive: Map<unknown, string>;
  readonly templates: Map<string, RegisteredTemplate>;
  readonly pools: Map<string, RegisteredPool>;
  supervisors: number;
}

const SHARED = Symbol.for("castellan.registry.2");

/** The sessions of this process by name. There is one registry per process, even if this package is loaded twice. */
export class SessionRegistry {
  readonly #shared: Shared;

  constructor() {
    const existing = Reflect.get(globalThis, SHARED) as Shared | undefined;
    const [sessions, exclusive, templates, pools] = [new Map(), new Map(), new Map(), new Map()];
    this.#shared = existing ?? { sessions, exclusive, templates, pools, supervisors: 0 };
    Reflect.set(globalThis, SHARED, this.#shared);
  }

  /** Returns a name for an unnamed supervisor. */
  nextSupervisorName(): string {
    this.#shared.supervisors += 1;
    return `supervisor-${this.#shared.supervisors}`;
  }

  /** Counts the sessions by state, for each supervisor by its name in the journal. */
  states(): Map<string, Map<string, number>> {
    return this.#counted((server) => [server.visibleState]);
  }

  /** Counts the sessions with a fault of an MCP server, by the server's name, for each supervisor. */
  faultyServers(): Map<string, Map<string, number>> {
    return this.#counted((server) => server.faultyServers);
  }

  #counted(of: (server: SessionServer) => readonly string[]): Map<string, Map<string, number>> {
    const counts = new Map<string, Map<string, number>>();
    for (const { session } of this.#shared.sessions.values()) {
      const server = serverOf(session);
      if (server === undefined) continue;
      const { supervisor } = server;
      const mine = counts.get(supervisor) ?? new Map<string, number>();
      for (const what of of(server)) mine.set(what, (mine.get(what) ?? 0) + 1);
      counts.set(supervisor, mine);
    }
    return counts;
  }

  /**
   * Takes a name for a session.
   *
   * @throws CastellanError `SESSION_ALREADY_STARTED`; `INVALID_OPTIONS` if another session uses an exclusive value
   */
  register(registration: Registration): void {
    const { sessions, exclusive } = this.#shared;
    const { name } = registration.session;
    const key = nameKey(name);
    const holder = sessions.get(key);
    if (typeof name === "string") this.#refuseIfPool(name);
    if (holder !== undefined) {
      const { supervisor } = holder;
      const message = `Session ${formatName(name)} already exists, in ${supervisor}. Choose another name, or terminate that session first.`;
      throw new CastellanError("SESSION_ALREADY_STARTED", message, { details: { supervisor } });
    }
    for (const [thing, what] of registration.exclusive) {
      const user = exclusive.get(thing);
      if (user === undefined) continue;
      const problem = {
        field: what,
        message: `is already in use by session ${formatName(nameOfKey(user))}; only one session at a time can use it`,
      };
      throw invalidOptions(`session ${formatName(name)}`, [problem]);
    }
    sessions.set(key, registration);
    for (const thing of registration.exclusive.keys()) exclusive.set(thing, key);
  }

  /** Returns the name of the supervisor that has a session of this name. */
  holderOf(name: SessionName): string | undefined {
    return this.#shared.sessions.get(nameKey(name))?.supervisor;
  }

  /** Releases a name, if it still belongs to this registration. */
  unregister(registration: Registration): void {
    const { sessions, exclusive } = this.#shared;
    const key = nameKey(registration.session.name);
    if (sessions.get(key) !== registration) return;
    sessions.delete(key);
    for (const thing of registration.exclusive.keys()) exclusive.delete(thing);
  }

  /**
   * Replaces the registration of a session.
   *
   * @throws CastellanError `INVALID_OPTIONS` if another session uses an exclusive value; the first registration then stays
   */
  replace(before: Registration, after: Registration): void {
    this.unregister(before);
    try {
      this.register(after);
    } catch (error) {
      this.register(before);
      throw error;
    }
  }

  /**
   * Takes all names that begin with this one and have no session yet.
   *
   * @returns a function that releases them
   * @throws CastellanError `SESSION_ALREADY_STARTED` if another template has them
   */
  registerTemplate(name: string, template: RegisteredTemplate): () => void {
    const { templates } = this.#shared;
    this.#refuseIfPool(name);
    refuseIfHeld("template", name, templates.get(name));
    templates.set(name, template);
    return () => {
      if (templates.get(name) === template) templates.delete(name);
    };
  }

  /**
   * Takes a name for a pool.
   *
   * @returns a function that releases it
   * @throws CastellanError `SESSION_ALREADY_STARTED` if another pool, a template or a session has it
   */
  registerPool(name: string, pool: RegisteredPool): () => void {
    const { sessions, templates, pools } = this.#shared;
    refuseIfHeld("session", name, sessions.get(nameKey(name)));
    refuseIfHeld("template", name, templates.get(name));
    this.#refuseIfPool(name);
    pools.set(name, pool);
    return () => {
      if (pools.get(name) === pool) pools.delete(name);
    };
  }

  /** Returns the pool of this name, in any supervisor of the process. */
  pool(name: string): Pool | undefined {
    return this.#shared.pools.get(name)?.pool;
  }

  /** Returns the error for a missing pool, in this process or in the given supervisor. */
  poolNotFound(name: string, supervisor?: string): CastellanError<"POOL_NOT_FOUND"> {
    const known = [...this.#shared.pools].filter(
      ([, pool]) => supervisor === undefined || pool.supervisor === supervisor,
    );
    const near = nearMisses(
      name,
      known.map(([pool]) => pool),
    );
    const where = supervisor === undefined ? "in this process" : `in ${supervisor}`;
    const message = `There is no pool ${JSON.stringify(name)} ${where}${didYouMean(near) || "."}`;
    return new CastellanError("POOL_NOT_FOUND", message, { details: { nearMisses: near } });
  }

  #refuseIfPool(name: string): void {
    refuseIfHeld("pool", name, this.#shared.pools.get(name));
  }

  /**
   * Returns the session of this name, in any supervisor of the process. A template creates it if needed.
   *
   * @throws CastellanError `SESSION_NOT_FOUND`, `INVALID_OPTIONS` if this is no name
   */
  find(name: SessionName): Session {
    const { sessions, templates } = this.#shared;
    const present = sessions.get(nameKey(name))?.session;
    if (present !== undefined) return present;
    const first: unknown = Array.isArray(name) ? name[0] : undefined;
    const found = typeof first === "string" ? templates.get(first)?.find(name) : undefined;
    if (found === undefined) throw this.notFound(name);
    return found;
  }

  /** Returns the error for a missing session, in this process or in the given supervisor, or for an invalid name. */
  notFound(name: SessionName, supervisor?: string): CastellanError<"SESSION_NOT_FOUND" | "INVALID_OPTIONS"> {
    const problem = nameProblem(name);
    if (problem !== undefined)
      return invalidOptions("session name", [{ field: "name", message: `this is ${problem}` }]);
    const known = [...this.#shared.sessions]
      .filter(([, registration]) => supervisor === undefined || registration.supervisor === supervisor)
      .map(([key]) => key);
    const near = nearMisses(nameKey(name), known);
    const where = supervisor === undefined ? "in this process" : `in ${supervisor}`;
    const isPool = typeof name === "string" && this.pool(name) !== undefined;
    const hint = isPool
      ? "It is the name of a pool: call `query` or `stream` with it, or lend a member with `checkout`"
      : known.length === 0
        ? supervisor === undefined
          ? "There are no sessions; start a supervisor first"
          : "It has no sessions; add one with `startSession`"
        : near.length > 0
          ? `Did you mean ${near.join(" or ")}?`
          : known.length === 1
            ? `The only one is ${known[0]}`
            : `There are ${known.length}: ${known.slice(0, 5).join(", ")}${known.length > 5 ? ", …" : ""}`;
    const details = { nearMisses: near };
    return new CastellanError("SESSION_NOT_FOUND", `There is no session ${formatName(name)} ${where}. ${hint}`, {
      details,
    });
  }
}

/** @throws CastellanError `SESSION_ALREADY_STARTED` if there is a holder */
function refuseIfHeld(what: string, name: string, holder: { readonly supervisor: string } | undefined): void {
  if (holder === undefined) return;
  const { supervisor } = holder;
  const message = `A ${what} ${JSON.stringify(name)} already exists, in ${supervisor}. Choose another name, or remove that one first.`;
  throw new CastellanError("SESSION_ALREADY_STARTED", message, { details: { supervisor } });
}

export const registry: SessionRegistry = new SessionRegistry();

/**
 * Returns the values in a session's options that no other session may use at the same time, each with its option.
 *
 * An in-process MCP server serves one process at a time: a second process would find no tools there, without an error.
 */
export function exclusiveOf(options: SdkOptions): ReadonlyMap<unknown, string> {
  const exclusive = new Map<unknown, string>();
  for (const [name, server] of Object.entries(options.mcpServers ?? {})) {
    if ("instance" in server) exclusive.set(server.instance, `mcpServers.${name}`);
  }
  return exclusive.size === 0 ? NOTHING : exclusive;
}

const NOTHING: ReadonlyMap<unknown, string> = new Map();
