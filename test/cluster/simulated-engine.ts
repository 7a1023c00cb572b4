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
import { type HistoryNode, SimulatedHistory } from "./simulated-history.ts";
import { type SimulatedChange, SimulatedJournal, type StoredJournal } from "./simulated-journal.ts";
import { MissingWrites, type NumberedChange, type Writer } from "./simulated-writes.ts";

interface NodeRow {
  readonly description: NodeDescription;
  state: NodeState;
  heardAt: number;
  ended: boolean;
  /** The last era for which it has written again what was missing. */
  era: number;
}

interface SessionRow {
  owner: string | undefined;
  epoch: number;
  era: number;
}

/** Everything that the database stores. */
export interface StoredEngine {
  readonly nodes: readonly (readonly [string, Readonly<NodeRow>])[];
  readonly sessions: readonly (readonly [string, Readonly<SessionRow>])[];
  readonly numbers: readonly (readonly [string, number])[];
  readonly history: SimulatedHistory["stored"];
  readonly journal: StoredJournal;
}

/** A defect of the engine, to show that a property detects it. */
export interface EngineMutation {
  /** It does not check the owner of a write. */
  readonly unfenced?: boolean;
  /** It allows claims at once after a failover. */
  readonly hasty?: boolean;
  /** It counts again what a node writes again. */
  readonly recounts?: boolean;
}

/** Step of an epoch at the first claim in an era; see `history-statements.ts`. */
const EPOCHS_OF_AN_ERA = 1_000;

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
  readonly #mutation: EngineMutation;
  readonly #history: SimulatedHistory;
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

  constructor(now: () => number, mutation: EngineMutation = {}) {
    this.#now = now;
    this.#mutation = mutation;
    this.#history = new SimulatedHistory(mutation.hasty !== true);
  }

  /** Rises with each failover that somebody has noticed. */
  get era(): number {
    return this.#history.era;
  }

  get stored(): StoredEngine {
    const rows = <Row extends object>(all: Map<string, Row>) => [...all].map(([id, row]) => [id, { ...row }] as const);
    return {
      ...{ nodes: rows(this.#nodes), sessions: rows(this.#sessions), numbers: [...this.#numbers] },
      ...{ history: this.#history.stored, journal: this.journal.stored },
    };
  }

  /** Fails over to a replica that lacks what was written since. */
  failOver({ nodes, sessions, numbers, history, journal }: StoredEngine): void {
    for (const kept of [this.#nodes, this.#sessions, this.#numbers]) kept.clear();
    for (const [boot, node] of nodes) this.#nodes.set(boot, { ...node });
    for (const [key, session] of sessions) this.#sessions.set(key, { ...session });
    for (const [writer, number] of numbers) this.#numbers.set(writer, number);
    this.#history.failOver(history);
    this.journal.failOver(journal);
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  /** Sets its clock forward. */
  jump(ms: number): void {
    this.#ahead += ms;
  }

  join(description: NodeDescription): NameHolder | undefined {
    this.#detect();
    // An ended node does not come back.
    if (this.#nodes.get(description.boot)?.ended === true) return undefined;
    for (const node of this.#nodes.values()) {
      const { boot, name, address, staleMs } = node.description;
      if (name !== description.name || boot === description.boot || !this.#isAlive(node)) continue;
      return { boot, address, renewedAt: node.heardAt, aliveForMs: node.heardAt + staleMs - this.#clock };
    }
    this.#insert(description, this.#history.era);
    this.#endWait();
    return undefined;
  }

  /** @param joined the node, which a database that has lost it inserts again */
  renew(boot: string, state: NodeState, joined?: NodeDescription): boolean {
    this.#detect();
    if (joined !== undefined && !this.#nodes.has(boot)) this.#insert(joined, 0);
    const node = this.#nodes.get(boot);
    if (node === undefined || node.ended) return false;
    node.heardAt = this.#clock;
    node.state = state;
    return true;
  }

  /** The node has written again what was missing in this era. */
  caughtUp(boot: string, era: number): void {
    const node = this.#nodes.get(boot);
    if (node !== undefined) node.era = era;
    this.#endWait();
  }

  /** A run has ended, and everything of it is written again. */
  restored(boots: readonly string[]): void {
    for (const boot of boots) {
      const node = this.#nodes.get(boot);
      if (node !== undefined) node.ended = true;
    }
    this.#endWait();
  }

  leave(boot: string): void {
    const node = this.#nodes.get(boot);
    if (node === undefined || node.ended) return;
    node.ended = true;
    this.#tell();
  }

  claim(boot: string, key: string): Claim {
    this.#detect();
    const claimant = this.#nodes.get(boot);
    const { era } = this.#history;
    const session = this.#sessions.get(key) ?? { owner: undefined, epoch: this.#forgotten, era };
    if (!this.#history.mayClaim(this.#clock)) {
      const living = this.ownerOf(key);
      return { taken: false, owner: living?.node.alive === true ? living : undefined };
    }
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
    session.epoch += session.era < era ? EPOCHS_OF_AN_ERA : 1;
    session.era = era;
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
   * @throws CastellanError `NOT_OWNER`; `MissingWrites` if the engine lacks earlier writes, or the claim
   */
  write(boot: string, key: string, epoch: number, number: number, change: SimulatedChange): void {
    const owned = this.isOwner(boot, key, epoch);
    const last = this.lastNumber({ boot, key, epoch });
    if (this.#mutation.unfenced !== true) {
      if ((this.#sessions.get(key)?.epoch ?? 0) < epoch || (owned && number > last + 1)) throw new MissingWrites();
      if (!owned) throw notOwner(boot, key, epoch);
    }
    if (number <= last) return;
    this.#numbers.set(`${boot} ${key} ${epoch}`, number);
    this.journal.write({ at: this.#now(), boot, key, epoch, change, owned, again: false });
  }

  lastNumber({ boot, key, epoch }: Writer): number {
    return this.#numbers.get(`${boot} ${key} ${epoch}`) ?? 0;
  }

  /**
   * Writes again what it lacks, and records the claim again.
   *
   * @param joined the node, which a database that has lost it inserts again
   * @throws CastellanError `NOT_OWNER` if another node has claimed the session since
   */
  writeAgain(
    { boot, key, epoch }: Writer,
    changes: readonly NumberedChange[],
    stillOwned: boolean,
    joined?: NodeDescription,
  ): void {
    this.#detect();
    const last = this.lastNumber({ boot, key, epoch });
    const { era } = this.#history;
    if (!stillOwned && this.#history.mayClaim(this.#clock)) {
      this.#history.begin(this.#historyNodes, this.#clock);
    }
    const session = this.#sessions.get(key) ?? { owner: undefined, epoch: 0, era };
    const isOther = session.owner !== undefined && session.owner !== boot;
    if (session.epoch > epoch || (session.epoch === epoch && isOther)) throw notOwner(boot, key, epoch);
    if (stillOwned && joined !== undefined && !this.#nodes.has(boot)) this.#insert(joined, 0);
    if (stillOwned && this.#nodes.get(boot)?.ended !== false) throw notOwner(boot, key, epoch);
    this.#sessions.set(key, { ...session, owner: stillOwned ? boot : undefined, epoch });
    for (const { number, change } of changes) {
      if (number <= last && this.#mutation.recounts !== true) continue;
      this.journal.write({ at: this.#now(), boot, key, epoch, change, owned: true, again: true });
    }
    this.#numbers.set(`${boot} ${key} ${epoch}`, Math.max(last, changes.at(-1)?.number ?? 0));
  }

  #insert(description: NodeDescription, era: number): void {
    const present = this.#nodes.get(description.boot);
    // An ended node does not come back.
    if (present?.ended === true) return;
    const state = { load: 0, draining: false };
    this.#nodes.set(description.boot, { description, state, heardAt: this.#clock, ended: false, era });
  }

  get #historyNodes(): readonly HistoryNode[] {
    return [...this.#nodes.values()].map((node) => ({ ...node, staleMs: node.description.staleMs }));
  }

  #detect(): void {
    this.#history.detect(this.#historyNodes, this.#clock);
  }

  #endWait(): void {
    this.#history.endWait(this.#historyNodes, this.#clock);
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

function notOwner(boot: string, key: string, epoch: number): CastellanError<"NOT_OWNER"> {
  return new CastellanError("NOT_OWNER", `${boot} does not own ${key} under epoch ${epoch}.`);
}
