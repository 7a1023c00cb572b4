import { expect, test } from "vitest";
import { CastellanError } from "../../src/errors.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import type { Change } from "../../src/journal/model/change.ts";
import type { Journal } from "../../src/journal/model/journal.ts";
import { type JobMember, SharedJobRunner } from "../../src/pool/shared-job-runner.ts";
import { SharedJobs } from "../../src/pool/shared-jobs.ts";
import type { SupervisorJournal } from "../../src/session/persistence/supervisor-journal.ts";
import { SimulatedClock } from "../../src/testing/index.ts";
import { node } from "../cluster/engine-conformance.ts";
import { Chance } from "../cluster/simulated-chance.ts";
import { SimulatedEngine } from "../cluster/simulated-engine.ts";

const POOL = '["global","crew"]';
const JOBS = 24;

/** The shared database: an engine, and a journal that takes a batch only from the owner of its session. */
class Database {
  readonly clock = new SimulatedClock();
  readonly engine = new SimulatedEngine(() => this.clock.now());
  readonly journal: Journal = memoryJournal();
  readonly chance: Chance;
  #number = 0;

  constructor(seed: string) {
    this.chance = new Chance(seed);
  }

  /** Applies changes atomically. */
  async write(boot: string, session: string, changes: readonly Change[]): Promise<void> {
    const owner = this.engine.ownerOf(session);
    if (session !== POOL && owner?.boot !== boot) throw new CastellanError("NOT_OWNER", `${boot} lost ${session}`);
    if (!this.engine.nodes().some((one) => one.boot === boot)) throw new CastellanError("NOT_OWNER", `${boot} is dead`);
    for (const change of changes) {
      if (change.type === "job_added" && (await this.journal.job(change.job.id)) === undefined) {
        this.engine.addJob(POOL, change.job.id, 0, change.job.dueAt);
      }
      if (change.type === "job_dropped" && (await this.journal.job(change.job)) !== undefined)
        this.engine.dropJob(change.job);
    }
    await this.journal.write({ number: ++this.#number, changes, durable: true });
  }
}

/** A node with a runner. It may be slow, stand still, or die. */
class Node {
  readonly boot: string;
  readonly jobs: SharedJobs;
  readonly runner: SharedJobRunner;
  readonly #database: Database;
  /** Resolves once the node goes on. */
  #going: PromiseWithResolvers<void> | undefined;
  #dead = false;
  /** How often each job was begun, over all nodes, and where its turn is. */
  readonly #begun: Map<string, number>;

  constructor(boot: string, database: Database, begun: Map<string, number>) {
    this.boot = boot;
    this.#database = database;
    this.#begun = begun;
    const { engine, clock } = database;
    engine.join(node(boot, { staleMs: 5_000 }));
    const write = async (changes: readonly Change[], { session = POOL }: { session?: string } = {}): Promise<void> =>
      await this.#slowly(() => database.write(boot, session, changes));
    const journal = {
      journal: {
        ...({} as Journal),
        job: (id: string) => this.#slowly(() => database.journal.job(id)),
        turn: (id: string) => this.#slowly(() => database.journal.turn(id)),
        unfinishedTurns: (keys: readonly string[]) => this.#slowly(() => database.journal.unfinishedTurns(keys)),
      },
      writer: { write, record: write, note: (changes: readonly Change[]) => void write(changes).catch(() => {}) },
    } as SupervisorJournal;
    this.runner = new SharedJobRunner({
      who: "crew",
      clock,
      journal,
      limit: () => 2,
      reserve: () => this.#slowly(async () => engine.reserveJob(boot, POOL)),
      member: (index) => this.#member(index),
      tend: () => this.jobs.endCancelled(),
    });
    this.jobs = new SharedJobs({
      name: "crew",
      key: POOL,
      clock,
      newId: () => "unused",
      journal,
      verbatimPrompts: () => true,
      limit: () => 1_000,
      count: () => this.#slowly(async () => engine.countJobs(POOL)),
      memberKeys: async () => [],
      added: () => this.runner.update(),
    });
    this.runner.begin();
    this.#beat();
  }

  get isDead(): boolean {
    return this.#dead;
  }

  kill(): void {
    this.#dead = true;
    this.runner.close();
  }

  freeze(ms: number): void {
    const going = Promise.withResolvers<void>();
    this.#going = going;
    this.#database.clock.schedule(ms, () => going.resolve());
  }

  #beat(): void {
    const { engine, clock } = this.#database;
    if (this.#dead) return;
    clock.schedule(1_000, () => {
      void this.#slowly(async () => {
        // A node that was declared dead takes nothing more.
        if (!engine.renew(this.boot, { load: 0, draining: false })) this.kill();
      }).then(() => this.#beat());
    });
  }

  async #member(index: number): Promise<JobMember | undefined> {
    const { engine, journal } = this.#database;
    const key = `["global","crew",${index}]`;
    const claim = await this.#slowly(async () => engine.claim(this.boot, key));
    if (!claim.taken) return undefined;
    const left = await this.#slowly(() => journal.unfinishedTurns([key]));
    // What a former owner has left runs here, as with any global session.
    for (const { id } of left) void this.#end(id, key);
    if (left.length > 0) return undefined;
    return {
      key,
      timeoutMs: undefined,
      take: async ({ id }) => {
        this.#begun.set(id, (this.#begun.get(id) ?? 0) + 1);
        return { result: this.#end(id, key), left: false };
      },
    };
  }

  /** Ends a turn after a while, if the node still owns its session. */
  async #end(id: string, key: string): Promise<void> {
    const { clock, chance } = this.#database;
    await new Promise<void>((resolve) => clock.schedule(chance.between(1, 900), resolve));
    const end: Change = { type: "turn_ended", turn: id, state: "completed", at: clock.now(), outcome: {} };
    await this.#slowly(() => this.#database.write(this.boot, key, [end])).catch(() => {});
  }

  /** Does something after a while, if the node still lives. The answer takes a while, too. */
  async #slowly<Value>(work: () => Promise<Value>): Promise<Value> {
    await this.#wait();
    const value = await work();
    await this.#wait();
    return value;
  }

  async #wait(): Promise<void> {
    const { clock, chance } = this.#database;
    await new Promise<void>((resolve) => clock.schedule(chance.between(0, 60), resolve));
    await this.#going?.promise;
    // Nothing of a dead process goes on.
    if (this.#dead) await new Promise<void>(() => {});
  }
}

async function scenario(seed: string): Promise<void> {
  const database = new Database(seed);
  const { clock, chance, journal } = database;
  await journal.open({ id: "all", pid: 1, host: "h", startedAt: 0 });
  const begun = new Map<string, number>();
  const nodes = ["a", "b", "c"].map((boot) => new Node(boot, database, begun));
  const [first, second] = nodes;
  if (first === undefined || second === undefined) throw new Error("there are three nodes");
  const ids = new Set<string>();
  const cancelled = new Set<string>();
  for (let n = 0; n < JOBS; n++) {
    clock.schedule(chance.between(0, 4_000), () => {
      // Two callers give the same job at once, to different nodes.
      for (const at of [first, second]) {
        void at.jobs.enqueue(`job ${n}`, { idempotencyKey: `k${n}` }).then(
          (id) => {
            ids.add(id);
            if (!chance.happens(0.15)) return;
            cancelled.add(id);
            void second.jobs.cancel(id).catch(() => {});
          },
          () => {},
        );
      }
    });
  }
  const victim = chance.happens(0.5) ? first : nodes[2];
  clock.schedule(chance.between(500, 4_000), () => victim?.kill());
  clock.schedule(chance.between(500, 4_000), () => second.freeze(chance.between(100, 12_000)));
  // A fresh node comes, so that the jobs of the others go on.
  clock.schedule(20_000, () => void nodes.push(new Node("d", database, begun)));
  await clock.advance(120_000);
  for (const id of ids) {
    const turn = await journal.turn(id);
    expect(await journal.job(id), `${seed}: ${id} still waits`).toBeUndefined();
    expect(turn, `${seed}: ${id} is lost`).toBeDefined();
    if (turn?.session === POOL) {
      expect(cancelled.has(id), `${seed}: ${id} was cancelled by nobody`).toBe(true);
      expect([turn.state, begun.get(id)], seed).toEqual(["cancelled", undefined]);
    } else {
      // A node that died between the write and the start leaves the turn to the member's next owner.
      expect(begun.get(id) ?? 0, `${seed}: ${id}`).toBeLessThanOrEqual(1);
      const owner = database.engine.ownerOf(turn?.session ?? "");
      const isLeft = owner === undefined || nodes.find(({ boot }) => boot === owner.boot)?.isDead !== false;
      expect(turn?.state === "completed" || isLeft, `${seed}: ${id} is ${turn?.state}`).toBe(true);
    }
  }
  for (const one of nodes) one.kill();
}

test("jobs on several nodes run once each, whatever dies, stands still or is cancelled meanwhile", async () => {
  const seeds = Number(process.env["SHARED_JOB_SEEDS"] ?? 60);
  for (let seed = 1; seed <= seeds; seed++) await scenario(`jobs ${seed}`);
});

test("arrived(): waits until the member's session knows the turn that the journal has", async () => {
  const database = new Database("arrival");
  const { clock, journal } = database;
  await journal.open({ id: "all", pid: 1, host: "h", startedAt: 0 });
  const begun = new Map<string, number>();
  const only = new Node("a", database, begun);
  const enqueued = only.jobs.enqueue("job", { idempotencyKey: "k" });
  let isEnqueued = false;
  void enqueued.then(() => {
    isEnqueued = true;
  });
  while (!isEnqueued) await clock.advance(1);
  const turnId = await enqueued;
  while ((await journal.turn(turnId)) === undefined) await clock.advance(1);
  expect(begun.get(turnId)).toBeUndefined();
  let known: number | undefined;
  void only.runner.arrived(turnId).then(() => {
    known = begun.get(turnId);
  });
  await clock.advance(1_000);
  expect(known).toBe(1);
  await only.runner.arrived("another");
  only.kill();
});
