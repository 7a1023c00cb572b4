import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ChildExit, Disposition } from "../../src/supervision/child-spec.ts";
import type { ChildSupervisor } from "../../src/supervision/supervisor.ts";
import { settle } from "../supervision/simulated-clock.ts";
import { Stage } from "../supervision/stage.ts";
import { pick, SupervisorTree, workersOf } from "../supervision/supervisor-tree.ts";
import { anyExit, anyFlatTeam, anyTeam, type Team } from "../supervision/tree.ts";

type Call = "terminateChild" | "restartChild" | "deleteChild" | "recycleChild";

/**
 * A step that may happen at any moment, also in the middle of starts and stops. `at` and `child` index into the
 * candidates.
 */
type Step =
  | { readonly type: "exit"; readonly at: number; readonly exit: ChildExit }
  | { readonly type: "fail"; readonly at: number; readonly how: Disposition }
  | { readonly type: "hold"; readonly at: number; readonly what: "holdStart" | "holdStop" }
  | { readonly type: "release"; readonly at: number }
  | { readonly type: "advance"; readonly ms: number }
  | { readonly type: "call"; readonly call: Call; readonly at: number; readonly child: number };

const at = fc.nat();
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ type: fc.constant("exit"), at, exit: anyExit }),
  fc.record({
    type: fc.constant("exit"),
    at,
    exit: fc.constant<ChildExit>({ reason: "abnormal", disposition: "free" }),
  }),
  fc.record({ type: fc.constant("fail"), at, how: fc.constantFrom("count", "free", "quarantine") }),
  fc.record({ type: fc.constant("hold"), at, what: fc.constantFrom("holdStart", "holdStop") }),
  fc.record({ type: fc.constant("release"), at }),
  fc.record({ type: fc.constant("advance"), ms: fc.constantFrom(1, 100, 1_000, 30_000) }),
  fc.record({
    type: fc.constant("call"),
    call: fc.constantFrom<Call[]>("terminateChild", "restartChild", "deleteChild", "recycleChild"),
    at,
    child: fc.nat(),
  }),
);

/** A tree that takes steps without waiting until it is at rest. */
class Chaos {
  readonly #stage: Stage = new Stage({ shutdown: "infinity" });
  readonly #tree: SupervisorTree = new SupervisorTree(this.#stage);
  readonly #team: Team;
  readonly #held: Map<string, () => void> = new Map();
  readonly #calls: Promise<unknown>[] = [];
  #unsettled = 0;

  constructor(team: Team) {
    this.#team = team;
  }

  async open(): Promise<void> {
    await this.#tree.start(this.#team);
  }

  async take(step: Step): Promise<void> {
    const workers = workersOf(this.#team.children).map(({ id }) => id);
    switch (step.type) {
      case "exit":
        pick(
          [...this.#stage.alive.values()].flatMap((actors) => [...actors]),
          step.at,
        )?.exit(step.exit);
        break;
      case "fail":
        this.#stage.failNext(pick(workers, step.at) ?? "", { disposition: step.how });
        break;
      case "hold":
        this.#hold(step.what, pick(workers, step.at) ?? "");
        break;
      case "release":
        this.#release(pick([...this.#held.keys()], step.at));
        break;
      case "advance":
        await this.#stage.clock.advance(step.ms);
        break;
      case "call":
        this.#call(step);
        break;
    }
    // Some steps run before any effect of the last step, some in the middle of its effects.
    await (step.type === "call" ? Promise.resolve() : settle());
    for (const [id, actors] of this.#stage.instances) expect(actors, `incarnations of ${id}`).toBeLessThanOrEqual(1);
  }

  /** Releases every held start and stop. The tree must come to rest, and then end. */
  async close(): Promise<void> {
    const top = this.#tree.supervisors.get("r");
    for (const id of [...this.#held.keys()]) this.#release(id);
    await this.#stage.clock.advance(600_000);
    expect(this.#unsettled).toBe(0);
    for (const info of top?.whichChildren() ?? [])
      expect(["running", "terminated", "quarantined"]).toContain(info.state);
    await top?.stop();
    await Promise.all(this.#calls);
    expect(this.#stage.playing).toEqual([]);
    expect(this.#stage.clock.timers).toBe(0);
  }

  /** Stops the tree in the middle of everything, and releases held starts and stops only afterwards. */
  async stopNow(): Promise<void> {
    const top = this.#tree.supervisors.get("r");
    const stops = [top?.stop(), top?.stop()];
    await settle();
    for (const id of [...this.#held.keys()]) {
      this.#release(id);
      await settle();
    }
    await Promise.all(stops);
    await Promise.all(this.#calls);
    expect(this.#stage.playing).toEqual([]);
    expect(this.#stage.clock.timers).toBe(0);
  }

  #hold(what: "holdStart" | "holdStop", worker: string): void {
    const key = `${what} ${worker}`;
    if (!this.#held.has(key)) this.#held.set(key, this.#stage[what](worker));
  }

  #release(key: string | undefined): void {
    if (key === undefined) return;
    this.#held.get(key)?.();
    this.#held.delete(key);
  }

  #call({ call, at, child }: Step & { type: "call" }): void {
    const home: ChildSupervisor | undefined = pick([...this.#tree.supervisors.values()], at);
    const id = pick(home?.whichChildren() ?? [], child)?.id;
    if (home === undefined || id === undefined) return;
    this.#unsettled += 1;
    const settled = home[call](id).then(
      () => {},
      () => {},
    );
    this.#calls.push(
      settled.then(() => {
        this.#unsettled -= 1;
      }),
    );
  }
}

async function run(team: Team, steps: readonly Step[]): Promise<Chaos> {
  const chaos = new Chaos(team);
  await chaos.open();
  for (const step of steps) await chaos.take(step);
  return chaos;
}

/** `PROPERTY_RUNS=100000` runs more for a soak. */
const numRuns = Number(process.env["PROPERTY_RUNS"] ?? 500);
const steps = fc.array(step, { minLength: 5, maxLength: 60 });
const team = fc.oneof(anyTeam, anyFlatTeam);

describe("ChildSupervisor amid random starts, stops and crashes", { timeout: 20_000 + numRuns * 20 }, () => {
  it("never runs a child twice, answers every call, comes to rest and ends", async () => {
    await fc.assert(
      fc.asyncProperty(team, steps, async (plan, happenings) => (await run(plan, happenings)).close()),
      { numRuns },
    );
  });

  it("stops at any moment and leaves no child behind", async () => {
    await fc.assert(
      fc.asyncProperty(team, steps, async (plan, happenings) => (await run(plan, happenings)).stopNow()),
      { numRuns },
    );
  });
});
