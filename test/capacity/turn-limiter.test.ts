import fc from "fast-check";
import { expect, test } from "vitest";
import { TurnLimiter, TurnPermit, TurnScope } from "../../src/capacity/turn-limiter.ts";

test("TurnLimiter: exceeds no limit, delays no turn below it, and serves all, for any order of events", () => {
  const action = fc.record({ who: fc.nat(7), does: fc.constantFrom("take", "release") });
  const limits = fc.record({
    total: fc.option(fc.integer({ min: 1, max: 4 })),
    perKey: fc.option(fc.integer({ min: 1, max: 3 })),
  });
  fc.assert(
    fc.property(limits, fc.array(action, { maxLength: 80 }), ({ total, perKey }, actions) => {
      const line = new TurnLimiter({ total: total ?? undefined, perKey: perKey ?? undefined });
      const key = (who: number): string => `key ${who % 3}`;
      const places = Array.from(
        { length: 8 },
        (_, who) => new TurnPermit(line, { key: key(who), resumes: who % 2 === 0, admitted: () => {} }),
      );
      const wanting = new Set<number>();
      const check = (): void => {
        const running = places.flatMap((place, who) => (wanting.has(who) && place.take() ? [who] : []));
        expect(line.running).toBe(running.length);
        expect(running.length).toBeLessThanOrEqual(total ?? 8);
        for (const one of ["key 0", "key 1", "key 2"]) {
          const of = running.filter((who) => key(who) === one).length;
          expect(of).toBeLessThanOrEqual(perKey ?? 8);
        }
        for (const who of wanting) if (!running.includes(who)) expect(line.limitOf(key(who))).toBeDefined();
      };
      for (const { who, does } of actions) {
        if (does === "take") {
          wanting.add(who);
          places[who]?.take();
        } else {
          wanting.delete(who);
          places[who]?.release();
        }
        check();
      }
      for (let left = wanting.size; left > 0; left--) {
        const next = [...wanting].find((who) => places[who]?.take());
        expect(next).toBeDefined();
        wanting.delete(next ?? -1);
        places[next ?? -1]?.release();
        check();
      }
      expect([line.running, line.waiting]).toEqual([0, 0]);
    }),
  );
});

test("TurnLimiter: puts a turn of the same session at the end of the line", () => {
  const line = new TurnLimiter({ total: 1 });
  const order: string[] = [];
  const [a, b, c] = ["a", "b", "c"].map(
    (name) => new TurnPermit(line, { key: "", resumes: false, admitted: () => order.push(name) }),
  );
  expect([a?.take(), b?.take(), c?.take()]).toEqual([true, false, false]);
  a?.release();
  expect(a?.take()).toBe(false);
  b?.release();
  c?.release();
  expect(a?.take()).toBe(true);
  expect(line.waiting).toBe(0);
});

test("TurnLimiter.within: limits the turns of a scope beside all others, and counts them", () => {
  const line = new TurnLimiter({ total: 3 });
  const scope = new TurnScope();
  let changes = 0;
  scope.changed = () => void changes++;
  scope.limit = 1;
  scope.whole = 8;
  const within = line.within(scope);
  const permit = (of: TurnLimiter | typeof within) =>
    new TurnPermit(of, { key: "k", resumes: false, admitted: () => {} });
  const [a, b, c] = [permit(within), permit(within), permit(within)];
  const [x, y] = [permit(line), permit(line)];
  expect([a.take(), b.take(), x.take()]).toEqual([true, false, true]);
  expect([scope.running, scope.waiting, line.running, within.running, within.waiting]).toEqual([1, 1, 2, 1, 1]);
  // The limit that people know.
  expect(b.limit).toBe(8);
  scope.limit = 2;
  line.admit();
  expect([b.take(), y.take(), c.take()]).toEqual([true, false, false]);
  expect([y.limit, scope.running, scope.waiting]).toEqual([3, 2, 1]);
  // Those of other sessions pass the one whose scope is full.
  scope.limit = 0;
  a.release();
  expect([c.take(), y.take(), scope.running]).toEqual([false, true, 1]);
  c.release();
  expect([scope.waiting, changes > 0]).toEqual([0, true]);
});
