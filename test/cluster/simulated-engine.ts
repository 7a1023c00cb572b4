import type {
  Claim,
  DescribedSession,
  EngineFindQuery,
  NameHolder,
  NodeDescription,
  NodeEntry,
  NodeState,
  OwnedSession,
  SessionOwnership,
} from "../../src/cluster/protocol/engine.ts";
import { CastellanError } from "../../src/errors.ts";
import type { SessionDescription } from "../../src/journal/model/session-entry.ts";
import { compareKeys, isListed } from "../../src/journal/model/session-list.ts";
import { keyPrefix, nameOfKey } from "../../src/names.ts";
import { GLOBAL } from "../../src/session/options/global-name.ts";
import { type SimulatedChange, SimulatedJournal } from "./simulated-journal.ts";

interface NodeRow {
  readonly description: NodeDescription;
  state: NodeState;
  heardAt: number;
  ended: boolean;
}

interface SessionRow {
  owner: string | undefined;
  epoch: number;
}

interface SimulatedJob {
  readonly key: string;
  readonly id: string;
  readonly pooled: boolean;
  readonly priority: number;
  readonly dueAt: number;
  reservedBy: string | undefined;
  reservedUntil: number;
}

/**
 * The state of an engine, and its journal. Each method is one step that takes effect at once. `SimulatedEnginePort`
 * adds the network.
 */
export class SimulatedEngine {
  readonly journal = new SimulatedJournal();
  readonly #now: () => number;
  readonly #fenced: boolean;
  readonly #nodes = new Map<string, NodeRow>();
  readonly #sessions = new Map<string, SessionRow>();
  /** The last number that each run of a node wrote per session. A repeated write has no effect. */
  readonly #numbers = new Map<string, number>();
  readonly #described = new Map<string, SessionDescription>();
  readonly #jobs: SimulatedJob[] = [];
  readonly #listeners = new Set<() => void>();
  /** The highest epoch of forgotten sessions. */
  #forgotten = 0;
  #ahead = 0;

  /** @param fenced whether writes check the owner; only a mutant does not */
  constructor(now: () => number, fenced = true) {
    this.#now = now;
    this.#fenced = fenced;
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  /** Sets its clock forward. */
  jump(ms: number): void {
    this.#ahead += ms;
  }

  join(description: NodeDescription): NameHolder | undefined {
    // An ended node does not come back.
    if (this.#nodes.get(description.boot)?.ended === true) return undefined;
    for (const node of this.#nodes.values()) {
      const { boot, name, address, staleMs } = node.description;
      if (name !== description.name || boot === description.boot || !this.#isAlive(node)) continue;
      return { boot, address, renewedAt: node.heardAt, aliveForMs: node.heardAt + staleMs - this.#clock };
    }
    const state = { load: 0, draining: false };
    this.#nodes.set(description.boot, { description, state, heardAt: this.#clock, ended: false });
    return undefined;
  }

  renew(boot: string, state: NodeState): boolean {
    const node = this.#nodes.get(boot);
    if (node === undefined || node.ended) return false;
    node.heardAt = this.#clock;
    node.state = state;
    return true;
  }

  leave(boot: string): void {
    const node = this.#nodes.get(boot);
    if (node === undefined || node.ended) return;
    node.ended = true;
    this.#tell();
  }

  claim(boot: string, key: string): Claim {
    const claimant = this.#nodes.get(boot);
    const session = this.#sessions.get(key) ?? { owner: undefined, epoch: this.#forgotten };
    const owner = session.owner === undefined ? undefined : this.#nodes.get(session.owner);
    const isOwn = session.owner === boot;
    if (claimant === undefined || !this.#isAlive(claimant) || (claimant.state.draining && !isOwn)) {
      return { taken: false, owner: undefined };
    }
    if (isOwn) return { taken: true, epoch: session.epoch };
    if (owner !== undefined && this.#isAlive(owner)) return { taken: false, owner: this.ownerOf(key) };
    if (owner !== undefined && !owner.ended) {
      owner.ended = true;
      this.#tell();
    }
    session.owner = boot;
    session.epoch++;
    this.#sessions.set(key, session);
    return { taken: true, epoch: session.epoch };
  }

  release(boot: string, key: string, epoch: number): void {
    const session = this.#sessions.get(key);
    if (session === undefined || session.owner !== boot || session.epoch !== epoch) return;
    session.owner = undefined;
    this.#tell();
  }

  forget(key: string): void {
    const session = this.#sessions.get(key);
    if (session === undefined || this.ownerOf(key) !== undefined) return;
    this.#sessions.delete(key);
    this.#forgotten = Math.max(this.#forgotten, session.epoch);
  }

  ownerOf(key: string): SessionOwnership | undefined {
    const session = this.#sessions.get(key);
    const node = session?.owner === undefined ? undefined : this.#nodes.get(session.owner);
    if (session === undefined || node === undefined || node.ended) return undefined;
    return { boot: node.description.boot, epoch: session.epoch, node: this.#entryOf(node) };
  }

  nodes(): readonly NodeEntry[] {
    return [...this.#nodes.values()].filter(({ ended }) => !ended).map((node) => this.#entryOf(node));
  }

  unattended(wanted: readonly string[], limit: number): readonly string[] {
    const asked = this.journal.turns.filter(({ state }) => state === "queued" || state === "running");
    const due = this.#jobs.filter(({ dueAt, pooled }) => !pooled && dueAt <= this.#clock + 60_000);
    const open = [...asked.map(({ session }) => session), ...due.map(({ key }) => key)];
    const keys = new Set([...open.filter((key) => this.#isGlobal(key)), ...wanted]);
    return [...keys].filter((key) => this.ownerOf(key)?.node.alive !== true).slice(0, limit);
  }

  sessions(prefix: string): readonly OwnedSession[] {
    const known = [...this.#sessions].filter(([key]) => key.startsWith(prefix));
    return known
      .toSorted(([one], [other]) => (one < other ? -1 : 1))
      .map(([key, { epoch }]) => {
        const owner = this.ownerOf(key);
        return { name: nameOfKey(key), epoch, boot: owner?.node.alive === true ? owner.boot : undefined };
      });
  }

  /** The sessions that were described, see {@link SimulatedEngine.describe}. */
  findSessions({ owned, ...query }: EngineFindQuery): readonly DescribedSession[] {
    const listed = [...this.#described].filter(([key, description]) => {
      const entry = { key, description, supervisor: "", conversationId: "", memory: {}, savedAt: 0 };
      const isOwned = this.ownerOf(key)?.node.alive === true;
      return isListed(query, entry) && (owned === undefined || owned === isOwned);
    });
    return listed
      .toSorted(([one], [other]) => compareKeys(one, other))
      .slice(0, query.limit)
      .map(([key, description]) => {
        const owner = this.ownerOf(key);
        const boot = owner?.node.alive === true ? owner.boot : undefined;
        return { name: nameOfKey(key), description, epoch: this.#sessions.get(key)?.epoch, boot };
      });
  }

  /** Records the session in the journal, with its description. */
  describe(key: string, description: SessionDescription): void {
    this.#described.set(key, description);
  }

  reserveJob(boot: string, key: string): string | undefined {
    const node = this.#nodes.get(boot);
    if (node === undefined || !this.#isAlive(node) || node.state.draining) return undefined;
    const isFree = ({ reservedBy, reservedUntil }: SimulatedJob): boolean => {
      const holder = this.#nodes.get(reservedBy ?? "");
      return holder === undefined || !this.#isAlive(holder) || reservedUntil <= this.#clock;
    };
    const due = this.#jobs.filter((job) => job.key === key && job.dueAt <= this.#clock && isFree(job));
    const [job] = due.toSorted((one, other) => other.priority - one.priority);
    if (job !== undefined) Object.assign(job, { reservedBy: boot, reservedUntil: this.#clock + 30_000 });
    return job?.id;
  }

  countJobs(key: string): number {
    return this.#jobs.filter((job) => job.key === key).length;
  }

  /** Adds a waiting job of a pool, or a schedule of a session. */
  addJob(key: string, id: string, priority: number, dueAt: number, pooled = true): void {
    this.#jobs.push({ key, id, pooled, priority, dueAt, reservedBy: undefined, reservedUntil: 0 });
  }

  dropJob(id: string): void {
    this.#jobs.splice(
      this.#jobs.findIndex((job) => job.id === id),
      1,
    );
  }

  listen(changed: () => void): () => void {
    const listener = (): void => changed();
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Whether this run of a node owns the session under this epoch. */
  isOwner(boot: string, key: string, epoch: number): boolean {
    const owner = this.ownerOf(key);
    return owner?.boot === boot && owner.epoch === epoch;
  }

  /**
   * Writes a change if the writer owns the session. `number` counts the writes of one run of a node for one session.
   *
   * @throws CastellanError `NOT_OWNER`
   */
  write(boot: string, key: string, epoch: number, number: number, change: SimulatedChange): void {
    const owned = this.isOwner(boot, key, epoch);
    if (this.#fenced && !owned) {
      throw new CastellanError("NOT_OWNER", `${boot} does not own ${key} under epoch ${epoch}.`);
    }
    const writer = `${boot} ${key} ${epoch}`;
    if (number <= (this.#numbers.get(writer) ?? 0)) return;
    this.#numbers.set(writer, number);
    this.journal.write({ at: this.#now(), boot, key, epoch, change, owned });
  }

  get #clock(): number {
    return this.#now() + this.#ahead;
  }

  #isGlobal(key: string): boolean {
    return key.startsWith(keyPrefix(GLOBAL)) || this.#sessions.has(key);
  }

  #isAlive({ ended, heardAt, description }: NodeRow): boolean {
    return !ended && this.#clock - heardAt < description.staleMs;
  }

  #entryOf(node: NodeRow): NodeEntry {
    const { description, state, heardAt } = node;
    const aliveForMs = heardAt + description.staleMs - this.#clock;
    return { ...description, ...state, alive: this.#isAlive(node), aliveForMs };
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
