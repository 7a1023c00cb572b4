import type { Spares } from "../../capacity/spares.ts";
import type { Clock } from "../../clock.ts";
import { CastellanError } from "../../errors.ts";
import { keyPrefix, nameOfKey, type SessionName } from "../../names.ts";
import type { Joining } from "../../pool/member.ts";
import { Pool } from "../../pool/pool.ts";
import { PoolServer } from "../../pool/pool-server.ts";
import type { PoolStatus } from "../../pool/pool-status.ts";
import type { Prompt } from "../../session/options/prompt.ts";
import type { SessionSettings } from "../../session/options/session-settings.ts";
import { shapeOf } from "../../session/options/session-settings.ts";
import type { TurnOptions } from "../../session/options/turn-options.ts";
import type { SessionServer } from "../../session/session-server.ts";
import type { FarTurn } from "../../session/streams/far-turn.ts";
import { registry } from "../names/registry.ts";
import type { PoolPlan, SessionPlan } from "../options/child-options.ts";
import type { Branch } from "./branch.ts";
import type { Member, SessionTable } from "./session-table.ts";

/** What the pools of a tree need of it. */
export interface PoolsDeps {
  readonly clock: Clock;
  readonly random: () => number;
  readonly newId: () => string;
  readonly sessions: SessionTable;
  readonly spares: Spares;
  /** The name of the supervisor. */
  readonly supervisor: string;
  terminate(server: SessionServer): Promise<void>;
}

/** A pool of the tree. */
interface PoolEntry {
  plan: PoolPlan;
  readonly server: PoolServer;
  readonly pool: Pool;
  readonly unregister: () => void;
}

export class Pools {
  readonly #deps: PoolsDeps;
  readonly #entries = new Map<string, PoolEntry>();

  constructor(deps: PoolsDeps) {
    this.#deps = deps;
  }

  find(id: string): Pool | undefined {
    return this.#entries.get(id)?.pool;
  }

  server(id: string): PoolServer | undefined {
    return this.#entries.get(id)?.server;
  }

  /** The statuses of all pools. */
  get statuses(): PoolStatus[] {
    return [...this.#entries.values()].map(({ server }) => server.status);
  }

  /** The members of all pools. */
  get members(): Member[] {
    const servers = [...this.#entries.values()].flatMap(({ server }) => server.servers);
    return servers.flatMap(({ settings }) => this.#deps.sessions.find(settings.name) ?? []);
  }

  /** Takes the names of a pool and of its first members. @throws CastellanError `SESSION_ALREADY_STARTED`, `INVALID_OPTIONS` */
  add(plan: PoolPlan, branch: Branch): void {
    const { id, settings } = plan;
    const { clock, random, newId, sessions, spares, supervisor, terminate } = this.#deps;
    const planOf = (index: number): SessionPlan => (this.#entries.get(id)?.plan ?? plan).member(index);
    const server = new PoolServer(settings, {
      clock,
      random,
      newId,
      journal: sessions.journal,
      settings: (index) => planOf(index).settings,
      add: (index) => {
        const member = planOf(index);
        return this.#addMember(branch, member, sessions.add(member.settings));
      },
      remove: terminate,
      reconfigure: (session, settings) => sessions.reconfigure(session, settings),
      holds: (session) => sessions.holds(session),
    });
    const pool = new Pool(server);
    const unregister = registry.registerPool(id, { supervisor, pool });
    this.#entries.set(id, { plan, server, pool, unregister });
    try {
      server.open();
    } catch (error) {
      this.#release(server);
      this.remove(id);
      throw error;
    }
    spares.expect(shapeOf(planOf(0).settings));
  }

  /** Starts a pool's members once the tree has started. */
  async begin(id: string): Promise<void> {
    // Unfinished turns that cannot be read now wait until their member exists again.
    const keys = await this.#deps.sessions.unfinished(keyPrefix(id)).catch((): string[] => []);
    const indexes = keys.flatMap((key) => indexOf(nameOfKey(key)) ?? []);
    this.#entries.get(id)?.server.begin(indexes);
  }

  /** Returns the settings of a current or former member with this name. @throws CastellanError `INVALID_OPTIONS` */
  settingsOf(name: SessionName): SessionSettings | undefined {
    const index = indexOf(name);
    const entry = typeof name === "string" || index === undefined ? undefined : this.#entries.get(name[0]);
    return index === undefined ? undefined : entry?.plan.member(index).settings;
  }

  /** Updates a pool after an event of one of its members. */
  memberChanged(id: string): void {
    this.#entries.get(id)?.server.update();
  }

  /** Applies a changed plan. The reconciliation itself changes the options of the members. */
  revise(plan: PoolPlan): void {
    const entry = this.#entries.get(plan.id);
    if (entry === undefined) return;
    entry.plan = plan;
    entry.server.revise(plan.settings);
  }

  /** Releases a pool's name and stops its lending. Its members stay until they are terminated. */
  remove(id: string): void {
    const entry = this.#entries.get(id);
    entry?.unregister();
    entry?.server.close(new CastellanError("SESSION_STOPPED", `The pool ${JSON.stringify(id)} has been removed.`));
    this.#entries.delete(id);
  }

  /** Stops all lending. */
  stopLending(reason: CastellanError): void {
    for (const { server } of this.#entries.values()) server.close(reason);
  }

  /** Hands all pools over to the next process of the application, where `far` starts their turns. */
  handOver(far: (pool: string, prompt: Prompt, options: TurnOptions) => FarTurn): void {
    for (const [id, { server }] of this.#entries) {
      const message = `${server.who} now belongs to the next process of the application, which lends its members.`;
      const reason = new CastellanError("SUPERVISOR_STOPPED", message);
      server.handOver((prompt, options) => far(id, prompt, options), reason);
    }
  }

  /** Lends again, because the pools have come back. */
  reopen(): void {
    for (const { server } of this.#entries.values()) server.reopen();
  }

  /** Releases all names. */
  close(): void {
    for (const [id, { server }] of [...this.#entries]) {
      this.#release(server);
      this.remove(id);
    }
  }

  #release({ servers }: PoolServer): void {
    for (const server of servers) {
      server.close("supervisor");
      this.#deps.sessions.release(server);
    }
  }

  #addMember(branch: Branch, plan: SessionPlan, member: Member): Joining {
    const { sessions } = this.#deps;
    const { server, owner } = member;
    const begin = async (restored: () => void): Promise<void> => {
      try {
        const [failed] = await sessions.restore(sessions.holds(server) ? [member] : []);
        if (failed !== undefined) throw failed.error;
        // A loan shows what follows the last event before it.
        await server.reading.lastWhenKnown();
        restored();
        // Its owner may have terminated it in the meantime.
        if (sessions.holds(server)) await branch.add(plan);
      } catch (error) {
        server.close("session");
        sessions.release(server);
        throw error;
      }
    };
    return { server, owner, begin };
  }
}

/** Returns the index in the name of a pool's member, if it is one. */
function indexOf(name: SessionName): number | undefined {
  const [, index, ...rest] = typeof name === "string" ? [] : name;
  return typeof index === "number" && Number.isInteger(index) && index >= 0 && rest.length === 0 ? index : undefined;
}
