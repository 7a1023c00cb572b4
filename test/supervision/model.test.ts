import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CastellanError } from "../../src/errors.ts";
import type { ChildExit, Disposition, Restart } from "../../src/supervision/child-spec.ts";
import type { ChildSupervisor } from "../../src/supervision/supervisor.ts";
import { Model } from "./model.ts";
import { World } from "./model-world.ts";
import { settle } from "./simulated-clock.ts";
import { Stage } from "./stage.ts";
import { pick, SupervisorTree, workersOf } from "./supervisor-tree.ts";
import { anyExit, anyRestart, anyTeam, type Plan, type Team } from "./tree.ts";

type Call = "terminateChild" | "restartChild" | "deleteChild" | "recycleChild";

/** A step that a tree takes. `at` and `child` index into the candidates of that moment. */
type Step =
  | { readonly type: "exit"; readonly at: number; readonly exit: ChildExit }
  | { readonly type: "fail"; readonly at: number; readonly how: Disposition[] }
  | { readonly type: "advance"; readonly ms: number }
  | { readonly type: "add"; readonly at: number; readonly fresh: boolean; readonly restart: Restart }
  | { readonly type: "call"; readonly call: Call; readonly at: number; readonly child: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ type: fc.constant("exit"), at: fc.nat(), exit: anyExit }) },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant("fail"),
      at: fc.nat(),
      how: fc.array(fc.constantFrom("count", "count", "free", "quarantine"), { minLength: 1, maxLength: 3 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ type: fc.constant("advance"), ms: fc.constantFrom(50, 100, 450, 1_000, 6_000, 40_000) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant("add"), at: fc.nat(), fresh: fc.boolean(), restart: anyRestart }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant("call"),
      call: fc.constantFrom<Call[]>("terminateChild", "restartChild", "deleteChild", "recycleChild", "recycleChild"),
      at: fc.nat(),
      child: fc.nat(),
    }),
  },
);

/** A tree and its model, stepped together and compared after each step. */
class Pair {
  readonly #stage: Stage = new Stage();
  readonly #world: World = new World();
  readonly #tree: SupervisorTree = new SupervisorTree(this.#stage);
  readonly #model: Model;
  readonly #team: Team;
  readonly #calls: Promise<string>[] = [];
  readonly #added: Plan[] = [];

  constructor(team: Team) {
    this.#team = team;
    this.#model = new Model("r", team, this.#world, () => {});
  }

  get lost(): boolean {
    return this.#world.lost;
  }

  async open(): Promise<void> {
    await this.#tree.start(this.#team);
    this.#model.open();
    this.#compare();
  }

  async take(step: Step): Promise<void> {
    switch (step.type) {
      case "exit":
        await this.#exit(step.at, step.exit);
        break;
      case "fail":
        this.#fail(step.at, step.how);
        break;
      case "advance":
        await this.#stage.clock.advance(step.ms);
        this.#world.advance(step.ms);
        break;
      case "add":
        await this.#add(step);
        break;
      case "call":
        await this.#call(step);
        break;
    }
    this.#compare();
  }

  async close(): Promise<void> {
    if (!this.lost) this.#model.stop();
    await this.#tree.supervisors.get("r")?.stop();
    this.#compare();
    expect(this.#stage.playing).toEqual([]);
    expect(this.#stage.clock.timers).toBe(0);
    await Promise.all(this.#calls);
  }

  async #exit(at: number, exit: ChildExit): Promise<void> {
    const homes = this.#model.running().flatMap((home) => home.workers().map((id) => ({ home, id })));
    const picked = pick(homes, at);
    if (picked === undefined) return;
    picked.home.workerExits(picked.id, exit);
    await this.#stage.exit(picked.id, exit);
  }

  #fail(at: number, how: readonly Disposition[]): void {
    // See the note on significant children in tree.ts.
    const plan = pick([...workersOf(this.#team.children), ...this.#added], at);
    if (plan === undefined || (plan.significant && plan.restart === "temporary")) return;
    this.#world.failures.set(plan.id, [...(this.#world.failures.get(plan.id) ?? []), ...how]);
    this.#stage.failNext(plan.id, ...how.map((disposition) => ({ disposition })));
  }

  async #add({ at, fresh, restart }: Step & { type: "add" }): Promise<void> {
    const home = pick(this.#model.running(), at);
    if (home === undefined) return;
    const known = pick(home.show(), at)?.split(" ")[0];
    const id = fresh || known === undefined ? `${home.id}.new${this.#added.length}` : known;
    const plan: Plan = { id, restart, significant: false, inner: undefined };
    if (id !== known) this.#added.push(plan);
    await this.#expectCall(home.startChild(plan), this.#real(home).startChild(this.#tree.spec(plan)));
  }

  async #call({ call, at, child }: Step & { type: "call" }): Promise<void> {
    const home = pick(this.#model.running(), at);
    if (home === undefined) return;
    const ids = home.show().map((line) => line.split(" ")[0] ?? "");
    const id = pick([...ids, ...ids, "nobody"], child) ?? "nobody";
    await this.#expectCall(home[call](id), this.#real(home)[call](id));
  }

  /** Compares the outcome of a call. `undefined` means that it is pending. */
  async #expectCall(expected: string | undefined, call: Promise<unknown>): Promise<void> {
    let seen: string | undefined;
    const outcome = call.then(
      () => "ok",
      (error: unknown) => outcomeOf(error),
    );
    this.#calls.push(outcome);
    void outcome.then((value) => {
      seen = value;
    });
    await settle();
    if (this.lost) return;
    expect(seen).toBe(expected);
  }

  #compare(): void {
    if (this.lost) return;
    const { overlapped, tied, log: expected } = this.#world;
    const log = this.#stage.take();
    Object.assign(this.#world, { overlapped: false, tied: false, log: [] });
    if (tied) expect(log.toSorted()).toEqual(expected.toSorted());
    else if (overlapped) expect(Object.groupBy(log, homeOf)).toEqual(Object.groupBy(expected, homeOf));
    else expect(log).toEqual(expected);
    for (const home of this.#model.running()) {
      const shown = this.#real(home)
        .whichChildren()
        .map(({ id, state, restarts }) => `${id} ${state} ${restarts}`);
      expect(shown).toEqual(home.show());
    }
    expect(this.#stage.playing).toEqual(
      this.#model
        .running()
        .flatMap((home) => home.workers())
        .toSorted(),
    );
  }

  #real(home: Model): ChildSupervisor {
    const supervisor = this.#tree.supervisors.get(home.id);
    if (supervisor === undefined) throw new Error(`${home.id} is not up`);
    return supervisor;
  }
}

/** Returns the supervisor that a line of the log is about: the parent of the id in it. */
function homeOf(line: string): string {
  return line.slice(line.indexOf(" ") + 1, line.lastIndexOf("."));
}

/** Returns the code of an error. An aborted start has the code of a failed one; only the message tells them apart. */
function outcomeOf(error: unknown): string {
  if (!CastellanError.is(error)) return "?";
  return error.message.endsWith("was cancelled") ? "cancelled" : error.code;
}

/** `PROPERTY_RUNS=100000` runs more for a soak. */
const numRuns = Number(process.env["PROPERTY_RUNS"] ?? 1_000);

describe("ChildSupervisor beside its model", () => {
  it("agrees on running children, order of starts and stops, and quarantines", {
    timeout: 20_000 + numRuns * 20,
  }, async () => {
    await fc.assert(
      fc.asyncProperty(anyTeam, fc.array(step, { minLength: 5, maxLength: 40 }), async (team, steps) => {
        const pair = new Pair(team);
        await pair.open();
        for (const step of steps) if (!pair.lost) await pair.take(step);
        await pair.close();
      }),
      { numRuns },
    );
  });
});
