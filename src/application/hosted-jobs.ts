import type { Clock } from "../clock.ts";
import type { HostNode } from "../cluster/session-host.ts";
import { nameKey } from "../names.ts";
import { MemberRevival } from "../pool/member-revival.ts";
import type { PoolSettings } from "../pool/pool-options.ts";
import { type JobMember, SharedJobRunner } from "../pool/shared-job-runner.ts";
import { SharedJobs } from "../pool/shared-jobs.ts";
import { GLOBAL } from "../session/options/global-name.ts";
import { serverOf } from "../session/session.ts";
import type { SessionServer } from "../session/session-server.ts";
import type { LocalSupervisor } from "./local-supervisor.ts";

/** What the jobs of a global pool need of one run of a node. */
export interface HostedJobsDeps {
  readonly name: string;
  readonly clock: Clock;
  readonly newId: () => string;
  /** Hosts the run's global sessions, and so the members that run jobs. */
  readonly supervisor: LocalSupervisor;
  readonly node: HostNode;
  /** Returns the pool's settings now. */
  settings(): PoolSettings | undefined;
}

/**
 * The jobs of a global pool on one run of a node. They run in global sessions, `global([name, index])`, of which the node claims
 * as many as it needs. A dead node's members and their turns go to other nodes, as those of any global session.
 */
export class HostedJobs {
  readonly jobs: SharedJobs;
  readonly #deps: HostedJobsDeps;
  readonly #runner: SharedJobRunner;
  readonly #revival: MemberRevival;

  constructor(deps: HostedJobsDeps) {
    const { name, clock, newId, supervisor, node, settings } = deps;
    const key = nameKey([GLOBAL, name]);
    this.#deps = deps;
    this.#revival = new MemberRevival(clock);
    const { journal } = supervisor;
    this.#runner = new SharedJobRunner({
      who: `pool ${JSON.stringify(name)}`,
      clock,
      journal,
      limit: () => settings()?.max ?? 0,
      reserve: () => node.reserveJob(key),
      member: (index) => this.#member(index),
      tend: async () => {
        this.#revive();
        await this.jobs.endCancelled();
      },
    });
    this.jobs = new SharedJobs({
      name,
      key,
      clock,
      newId,
      journal,
      verbatimPrompts: () =>
        settings()?.sessions(0).verbatimPrompts ?? supervisor.settings.defaults.verbatimPrompts ?? true,
      limit: () => settings()?.jobLimit ?? 0,
      count: () => node.countJobs(key),
      memberKeys: () => node.sessionKeys(`${key.slice(0, -1)},`),
      added: () => this.#runner.update(),
    });
  }

  /** See {@link SharedJobRunner.arrived}. */
  async arrived(id: string): Promise<void> {
    await this.#runner.arrived(id);
  }

  /** Runs jobs from now on. */
  begin(): void {
    this.#runner.begin();
  }

  /** Takes no more jobs. Turns that run are the sessions' own. */
  close(): void {
    this.#runner.close();
    this.#revival.cancel();
  }

  async #member(index: number): Promise<JobMember | undefined> {
    const { name, node, settings } = this.#deps;
    const key = nameKey([GLOBAL, name, index]);
    if (!(await node.claim(key))) return undefined;
    const server = this.#server(index);
    // Reads the session from the journal, with turns that a former owner has left.
    await server.fromJournal(async () => {});
    const { budget } = server;
    const isSpent = budget !== undefined && budget.spentUsd >= budget.limitUsd;
    if (!server.hasNoTurns || isUnusable(server) || isSpent) return undefined;
    // Somebody may have asked the member directly, or used its conversation before.
    if (settings()?.fresh !== false && !server.forgetting.isDone) await server.forgetting.startAfresh();
    if (!server.hasNoTurns || isUnusable(server)) return undefined;
    return {
      key,
      timeoutMs: server.settings.timeout,
      take: async (entry, prompt) => {
        const now = this.#server(index);
        // A session that has just been created has read it.
        return (await now.turnHere(entry.id)) ?? now.take(entry, prompt);
      },
    };
  }

  #server(index: number): SessionServer {
    const server = serverOf(this.#deps.supervisor.session([GLOBAL, this.#deps.name, index]));
    if (server === undefined) throw new Error("the session belongs to another copy of this package");
    return server;
  }

  /** Restarts a quarantined member later: it may owe a turn, which continues then. */
  #revive(): void {
    const { name, supervisor } = this.#deps;
    const quarantined = (): { readonly name: readonly [string, ...(string | number)[]] | string } | undefined =>
      supervisor.finding.list({ prefix: [GLOBAL, name] }).find(({ state }) => state === "quarantined");
    if (quarantined() === undefined) return;
    this.#revival.schedule(() => {
      const session = quarantined()?.name;
      if (session !== undefined) void this.#restart(session).catch(() => {});
    });
  }

  async #restart(session: Parameters<LocalSupervisor["restartSession"]>[0]): Promise<void> {
    const { supervisor } = this.#deps;
    await supervisor.restartSession(session);
    // Its next process takes its turns from the journal.
    await supervisor.session(session).wake();
  }
}

function isUnusable({ state: { name } }: SessionServer): boolean {
  return name === "quarantined" || name === "stopped";
}
