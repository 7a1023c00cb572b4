import fc from "fast-check";
import { expect, test } from "vitest";
import { TurnLimiter, TurnPermit, TurnScope } from "../../src/capacity/turn-limiter.ts";
import { type TurnDemand, turnShare } from "../../src/cluster/protocol/turn-share.ts";
import { SharedTurns } from "../../src/cluster/shared-turns.ts";
import { SimulatedClock } from "../../src/testing/simulated-clock.ts";

const BEAT_MS = 1_000;

test.each<
  [
    what: string,
    limit: number,
    wanted: number,
    running: number,
    others: [wanted: number, held: number][],
    share: [limit: number, held: number],
  ]
>([
  ["all that it wants, if there is enough", 4, 3, 0, [], [3, 3]],
  ["no more than the limit", 4, 9, 0, [], [4, 4]],
  ["what the others do not hold", 4, 4, 0, [[3, 3]], [1, 1]],
  ["an equal part, if all want more", 4, 9, 4, [[9, 0]], [2, 4]],
  [
    "the rest of those that want less",
    8,
    9,
    0,
    [
      [1, 1],
      [2, 2],
    ],
    [5, 5],
  ],
  ["nothing while the others hold all, and what it runs", 2, 5, 0, [[2, 2]], [0, 0]],
])("turnShare gives a node %s", (_, limit, wanted, running, others, [allowed, held]) => {
  const nodes = others.map(([wants, holds], n): TurnDemand => ({ boot: `other ${n}`, wanted: wants, held: holds }));
  expect(turnShare(limit, { boot: "own", wanted, held: running }, running, nodes)).toEqual({ limit: allowed, held });
});

/** A cluster whose nodes divide a limit, with turns that wait and run on each. */
class Turns {
  readonly clock = new SimulatedClock();
  readonly rows = new Map<string, { wanted: number; held: number }>();
  readonly nodes: {
    readonly boot: string;
    readonly scope: TurnScope;
    readonly shared: SharedTurns;
    readonly line: TurnLimiter;
  }[] = [];
  readonly permits = new Map<number, { permit: TurnPermit; node: number }>();
  down = false;
  asked = 0;

  constructor(limit: number, count: number) {
    for (let n = 0; n < count; n++) {
      const boot = `node ${n}`;
      const [line, scope] = [new TurnLimiter(), new TurnScope()];
      const share = async (most: number, wanted: number, running: number) => {
        this.asked += 1;
        await Promise.resolve();
        if (this.down) throw new Error("the database is away");
        const own = this.rows.get(boot) ?? { wanted: 0, held: 0 };
        const others = [...this.rows]
          .filter(([other]) => other !== boot)
          .map(([other, row]) => ({ boot: other, ...row }));
        const given = turnShare(most, { boot, ...own, wanted }, running, others);
        this.rows.set(boot, { wanted, held: given.held });
        return given;
      };
      this.nodes.push({
        boot,
        scope,
        line,
        shared: new SharedTurns({ limit, scope, limiter: line, clock: this.clock, beatMs: BEAT_MS, share }),
      });
    }
  }

  begin(id: number, at: number): void {
    const node = this.nodes[at];
    if (node === undefined || this.permits.has(id)) return;
    const permit = new TurnPermit(node.line.within(node.scope), { key: "k", resumes: false, admitted: () => {} });
    this.permits.set(id, { permit, node: at });
    permit.take();
  }

  end(id: number): void {
    this.permits.get(id)?.permit.release();
    this.permits.delete(id);
  }

  get running(): number {
    return this.nodes.reduce((sum, { scope }) => sum + scope.running, 0);
  }
}

test("SharedTurns: lets a turn run once its node has a share, and returns the share within a beat of its end", async () => {
  const turns = new Turns(2, 2);
  turns.begin(1, 0);
  turns.begin(2, 0);
  await turns.clock.advance(0);
  expect([turns.running, turns.rows.get("node 0")?.held]).toEqual([2, 2]);
  turns.begin(3, 1);
  await turns.clock.advance(500);
  expect([turns.running, turns.nodes[1]?.scope.running]).toEqual([2, 0]);
  turns.end(1);
  await turns.clock.advance(BEAT_MS + 200);
  expect([turns.running, turns.nodes[1]?.scope.running]).toEqual([2, 1]);
  turns.end(2);
  turns.end(3);
  await turns.clock.advance(2 * BEAT_MS);
  expect([...turns.rows.values()].map(({ held }) => held)).toEqual([0, 0]);
  const { asked } = turns;
  await turns.clock.advance(60_000);
  // An idle cluster asks nothing.
  expect(turns.asked).toBe(asked);
  for (const { shared } of turns.nodes) shared.close();
  expect(turns.clock.timers).toBe(0);
});

test("SharedTurns: returns what a node does not need while its turns come and go faster than it beats", async () => {
  const turns = new Turns(4, 2);
  for (let id = 1; id <= 4; id++) turns.begin(id, 0);
  await turns.clock.advance(0);
  expect(turns.nodes[0]?.scope.running).toBe(4);
  for (let id = 1; id <= 4; id++) turns.end(id);
  turns.begin(100, 1);
  for (let id = 5; id < 30; id++) {
    turns.begin(id, 0);
    await turns.clock.advance(BEAT_MS / 10);
    turns.end(id);
  }
  expect(turns.nodes[1]?.scope.running).toBe(1);
  for (const { shared } of turns.nodes) shared.close();
});

test("SharedTurns: nodes that want more than there is come to equal parts, however long their queues are", async () => {
  const turns = new Turns(4, 2);
  for (let id = 0; id < 40; id++) turns.begin(id, 0);
  await turns.clock.advance(0);
  expect(turns.nodes[0]?.scope.running).toBe(4);
  for (let id = 100; id < 110; id++) turns.begin(id, 1);
  await turns.clock.advance(2 * BEAT_MS);
  for (let round = 0; round < 6; round++) {
    const running = [...turns.permits].find(([, { permit, node }]) => node === 0 && permit.take());
    if (running !== undefined) turns.end(running[0]);
    await turns.clock.advance(500);
    expect(turns.running).toBeLessThanOrEqual(4);
  }
  expect(turns.nodes.map(({ scope }) => scope.running)).toEqual([2, 2]);
});

test("SharedTurns: all nodes together never exceed the limit, and no turn waits while there is room", async () => {
  const step = fc.record({
    does: fc.constantFrom("begin", "end", "wait", "down", "up"),
    id: fc.nat(20),
    node: fc.nat(2),
    ms: fc.nat(1_500),
  });
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 5 }), fc.array(step, { maxLength: 60 }), async (limit, steps) => {
      const turns = new Turns(limit, 3);
      for (const { does, id, node, ms } of steps) {
        if (does === "begin") turns.begin(id, node);
        else if (does === "end") turns.end(id);
        else if (does === "wait") await turns.clock.advance(ms);
        else turns.down = does === "down";
        expect(turns.running).toBeLessThanOrEqual(limit);
      }
      turns.down = false;
      await turns.clock.advance(5 * BEAT_MS);
      expect(turns.running).toBe(Math.min(limit, turns.permits.size));
    }),
    { numRuns: 100 },
  );
});
