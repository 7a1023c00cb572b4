import type { Options as SdkOptions } from "@anthropic-ai/claude-agent-sdk";
import { CastellanError } from "../../errors.ts";
import { didYouMean, formatName, nameKey, nameOfKey, nameProblem, nearMisses, type SessionName } from "../../names.ts";
import type { Pool } from "../../pool/pool.ts";
import { invalidOptions } from "../../session/options/validation.ts";
import { type Session, serverOf } from "../../session/session.ts";
import type { SessionServer } from "../../session/session-server.ts";

/** A session and who holds it. */
export interface Registration {
  readonly session: Session;
  /** The name of the supervisor. */
  readonly supervisor: string;
  /** Things that only one session at a time can use, with what they are for messages. */
  readonly exclusive: ReadonlyMap<unknown, string>;
}

/** A template and who holds it. */
export interface RegisteredTemplate {
  /** The name of the supervisor. */
  readonly supervisor: string;
  /** Has the session of this name come to life. */
  find(name: SessionName): Session | undefined;
}

/** A pool and who holds it. */
export interface RegisteredPool {
  /** The name of the supervisor. */
  readonly supervisor: string;
  readonly pool: Pool;
}

/** What stands under the process-wide symbol; shared by all copies of this package in the process. */
interface Shared {
  readonly sessions: Map<string, Registration>;
  readonly exclusive: Map<unknown, string>;
  readonly templates: Map<string, RegisteredTemplate>;
  readonly pools: Map<string, RegisteredPool>;
  supervisors: number;
}

const SHARED = Symbol.for("castellan.registry.2");

/**
 * The sessions of this process by name. There is one in a process, also if this package is loaded twice.
 */
export class SessionRegistry {
  readonly #shared: Shared;

  constructor() {
    const existing = Reflect.get(globalThis, SHARED) as Shared | undefined;
    const [sessions, exclusive, templates, pools] = [new Map(), new Map(), new Map(), new Map()];
    this.#shared = existing ?? { sessions, exclusive, templates, pools, supervisors: 0 };
    Reflect.set(globalThis, SHARED, this.#shared);
  }

  /** A name for a supervisor that was given none. */
  nextSupervisorName(): string {
    this.#shared.supervisors += 1;
    return `supervisor-${this.#shared.supervisors}`;
  }

  /** How many sessions of each supervisor, by the name under which it writes its journal, are in which state. */
  states(): Map<string, Map<string, number>> {
    return this.#counted((server) => [server.visibleState]);
  }

  /** How many sessions of each supervisor have something wrong with the MCP server of each name. */
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
   * Takes the name for a session.
   *
   * @throws CastellanError `SESSION_ALREADY_STARTED`, `INVALID_OPTIONS` if it would share what cannot be shared
   */
  register(registration: Registration): void {
    const { sessions, exclusive } = this.#shared;
    const { name } = registration.session;
    const key = nameKey(name);
    const holder = sessions.get(key);
    if (typeof name === "string") this.#refuseIfPool(name);
    if (holder !== undefined) {
      const { supervisor } = holder;
      const message = `There already is a session ${formatName(name)}; it belongs to ${supervisor}. Choose another name, or end that session first.`;
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

  /** The name of the supervisor that has a session of this name. */
  holderOf(name: SessionName): string | undefined {
    return this.#shared.sessions.get(nameKey(name))?.supervisor;
  }

  /** Gives the name back, if it is still this registration's. */
  unregister(registration: Registration): void {
    const { sessions, exclusive } = this.#shared;
    const key = nameKey(registration.session.name);
    if (sessions.get(key) !== registration) return;
    sessions.delete(key);
    for (const thing of registration.exclusive.keys()) exclusive.delete(thing);
  }

  /**
   * Puts a registration of the same session in the place of the one that there is.
   *
   * @throws CastellanError `INVALID_OPTIONS` if it would share what cannot be shared; then the first one stays
   */
  exchange(before: Registration, after: Registration): void {
    this.unregister(before);
    try {
      this.register(after);
    } catch (error) {
      this.register(before);
      throw error;
    }
  }

  /**
   * Takes all names that begin with this one, but for those of sessions that are there.
   *
   * @returns gives them back
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
   * @returns gives it back
   * @throws CastellanError `SESSION_ALREADY_STARTED` if it is another pool's, a template's or a session's
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

  /** The pool of this name, of whichever supervisor. */
  pool(name: string): Pool | undefined {
    return this.#shared.pools.get(name)?.pool;
  }

  /** The error that there is no pool of this name, in this process or in the supervisor named. */
  missingPool(name: string, supervisor?: string): CastellanError<"POOL_NOT_FOUND"> {
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
   * The session of this name, of whichever supervisor.
   *
   * @throws CastellanError `SESSION_NOT_FOUND`, `INVALID_OPTIONS` if it is no name
   */
  find(name: SessionName): Session {
    const { sessions, templates } = this.#shared;
    const present = sessions.get(nameKey(name))?.session;
    if (present !== undefined) return present;
    const first: unknown = Array.isArray(name) ? name[0] : undefined;
    const found = typeof first === "string" ? templates.get(first)?.find(name) : undefined;
    if (found === undefined) throw this.missing(name);
    return found;
  }

  /** The error that there is no such session, in this process or in the supervisor named; or that this is no name. */
  missing(name: SessionName, supervisor?: string): CastellanError<"SESSION_NOT_FOUND" | "INVALID_OPTIONS"> {
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
      ? "It is the name of a pool: ask it with `query` or `stream`, or lend a member of it with `checkout`"
      : known.length === 0
        ? supervisor === undefined
          ? "There are none; start a supervisor first"
          : "It has none; add it with `startSession`"
        : near.length > 0
          ? `Did you mean ${near.join(" or ")}?`
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
  const message = `There already is a ${what} ${JSON.stringify(name)}; it belongs to ${supervisor}. Choose another name, or end that one first.`;
  throw new CastellanError("SESSION_ALREADY_STARTED", message, { details: { supervisor } });
}

export const registry: SessionRegistry = new SessionRegistry();

/**
 * What of a session's options no other session may use at the same time, with the field it stands in.
 *
 * An in-process MCP server speaks to one process at a time: a second one would find it without tools, and nobody would
 * say so.
 */
export function exclusiveOf(options: SdkOptions): Map<unknown, string> {
  const exclusive = new Map<unknown, string>();
  for (const [name, server] of Object.entries(options.mcpServers ?? {})) {
    if ("instance" in server) exclusive.set(server.instance, `mcpServers.${name}`);
  }
  return exclusive;
}
