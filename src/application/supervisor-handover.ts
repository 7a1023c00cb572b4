import { withDeadline } from "../deadline.ts";
import { publish } from "../events.ts";
import type { HandoverParty, Reach } from "../journal/handover/party.ts";
import type { FarSession } from "../session/far-session.ts";
import type { SessionServer } from "../session/session-server.ts";
import type { FarTurn } from "../session/streams/far-turn.ts";
import type { TurnRecord } from "../session/streams/turn-record.ts";
import type { Elsewhere, HandoverNeeds } from "./elsewhere.ts";
import { HandoverService } from "./handover-service.ts";
import type { LocalSupervisor } from "./local-supervisor.ts";
import { readReach } from "./session-reach.ts";
import { Successor } from "./successor.ts";
import type { Member } from "./tree/session-table.ts";

/** How long idle processes may take to end before the journal changes hands, in milliseconds. */
const IDLE_MS = 3_000;

/**
 * Gives the sessions of a supervisor to the next process of the application, each once its turn is over, and has callers
 * here reach them there.
 */
export class SupervisorHandover implements HandoverParty, Elsewhere {
  readonly #needs: HandoverNeeds;
  readonly #successor: Successor;
  readonly #service: HandoverService;
  readonly #leaveService: () => Promise<void>;
  readonly #leaveHandover: () => void;
  readonly #done: PromiseWithResolvers<void> = Promise.withResolvers();
  #state: "here" | "yielding" | "away" = "here";
  /** Counts the hand-overs, so that what an aborted one began does not end sessions later. */
  #round = 0;

  /** The supervisor must have started. */
  constructor(supervisor: LocalSupervisor, needs: HandoverNeeds) {
    this.#needs = needs;
    const { handover } = needs;
    const { clock, newId, random } = needs.deps;
    this.#service = HandoverService.of(handover, clock, newId);
    const { handler, boot } = this.#service;
    this.#successor = new Successor({ clock, newId, random, handler, boot });
    this.#leaveService = this.#service.add(supervisor);
    this.#leaveHandover = handover.join(this);
    // Another part of the application may have handed the journal over already.
    void handover.over.then(() => this.#done.resolve());
  }

  /** Whether the sessions belong to another process, or are about to. */
  get isAway(): boolean {
    return this.#state !== "here";
  }

  /** Resolves once another process has the journal and all sessions. */
  get over(): Promise<void> {
    return this.#done.promise;
  }

  /** Returns the session in the process that has it, if it has left this one. */
  far(server: SessionServer): FarSession | undefined {
    return this.isAway && server.isSurrendered ? this.#successor.session(server.settings.name) : undefined;
  }

  /** Resolves once no caller here follows a turn of another process. */
  async finished(): Promise<void> {
    await this.#successor.finished();
  }

  async close(): Promise<void> {
    this.#leaveHandover();
    await this.#successor.close();
    await this.#leaveService();
  }

  async prepare(): Promise<void> {
    const { sessions, deps } = this.#needs;
    const ends = [...sessions].map(async ({ server }) => {
      // First, because a session that yields does not count as idle.
      const hibernated = server.hibernate().catch(() => {});
      server.yield();
      await hibernated;
    });
    await withDeadline(deps.clock, IDLE_MS, Promise.all(ends));
  }

  yield(): readonly string[] {
    const { sessions, tree, deliveries } = this.#needs;
    this.#state = "yielding";
    this.#round++;
    tree.away = (server) => this.#surrender(server);
    const kept: string[] = [];
    for (const member of [...sessions]) {
      const { key, server } = member;
      server.yield();
      if (server.isAtRest) this.#surrender(server);
      else kept.push(key);
      deliveries.leave(server.settings.name);
    }
    return kept;
  }

  resume(): void {
    const { sessions, tree, deliveries } = this.#needs;
    const wasAway = this.#state === "away";
    this.#state = "here";
    this.#round++;
    tree.away = undefined;
    this.#successor.home();
    if (wasAway) void deliveries.reopen().catch(() => {});
    void tree.pools.reopen();
    for (const { server } of [...sessions]) if (!server.isSurrendered) server.unyield();
    void tree.revive([...sessions].filter(({ server }) => server.isSurrendered));
  }

  lend(deadlineMs: number, waitedMs: number, returned: (key: string) => Promise<void>): void {
    const { sessions, tree, deliveries, name } = this.#needs;
    const round = this.#round;
    this.#state = "away";
    publish("castellan:supervisor:handover", () => ({ supervisor: name, sessions: sessions.size, waitedMs }));
    for (const { server } of sessions) deliveries.leave(server.settings.name);
    deliveries.stop();
    tree.pools.handOver((pool, prompt, options) => this.#successor.pool(pool).begin(prompt, options));
    for (const member of [...sessions]) {
      if (member.server.isSurrendered) void tree.endProcess(member.server);
      else void this.#end(member, deadlineMs, round).then((isOver) => (isOver ? returned(member.key) : undefined));
    }
  }

  reach(reach: Reach): void {
    this.#successor.reach(readReach(reach));
  }

  /** Ends a session here. Resolves with whether nothing is written for it any more. */
  async #end({ server, key }: Member, deadlineMs: number, round: number): Promise<boolean> {
    const { tree, journal } = this.#needs;
    await server.quiet(deadlineMs);
    if (round !== this.#round) return false;
    this.#surrender(server);
    await tree.endProcess(server);
    await journal.opened(key);
    await journal.writer?.settled().catch(() => {});
    return round === this.#round;
  }

  #surrender(server: SessionServer): void {
    const far = this.#successor.session(server.settings.name);
    const follow = (record: TurnRecord): FarTurn => far.follow(record.id, { known: true, output: record.output });
    server.surrender(follow);
  }
}
