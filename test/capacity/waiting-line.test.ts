import fc from "fast-check";
import { expect, test } from "vitest";
import { WaitingLine } from "../../src/capacity/waiting-line.ts";

interface Waiter {
  readonly number: number;
  readonly resumes: boolean;
}

const lineOf = (...resume: boolean[]): WaitingLine<Waiter> => {
  const line = new WaitingLine<Waiter>(({ resumes }) => resumes);
  for (const [number, resumes] of resume.entries()) line.join({ number, resumes });
  return line;
};

const served = (line: WaitingLine<Waiter>): number[] => {
  const numbers: number[] = [];
  for (let next = line.next(); next !== undefined; next = line.next()) numbers.push(next.number);
  return numbers;
};

test.each([
  ["nobody resumes", [false, false, false], [0, 1, 2]],
  ["all resume", [true, true, true], [0, 1, 2]],
  ["one comes late", [true, true, true, false], [3, 0, 1, 2]],
  ["two come late", [true, true, true, false, false], [3, 0, 4, 1, 2]],
  ["one is ahead", [false, true, false, true], [0, 2, 1, 3]],
])("WaitingLine: %s", (_, resume, order) => {
  expect(served(lineOf(...resume))).toEqual(order);
});

test("WaitingLine: passes those that may not go, and keeps their places", () => {
  const line = lineOf(true, false, true, false);
  expect(line.next(({ number }) => number > 1)?.number).toBe(3);
  expect(line.next(() => false)).toBeUndefined();
  expect([line.length, line.count(({ resumes }) => !resumes)]).toEqual([3, 1]);
  expect(served(line)).toEqual([0, 1, 2]);
});

test("WaitingLine: keeps the order of each kind, and lets at most one pass before each that resumes", () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 40 }), (resume) => {
      const order = served(lineOf(...resume));
      const [old, present] = [true, false].map((kind) => order.filter((number) => resume[number] === kind));
      for (const kind of [old, present]) expect(kind).toEqual(kind?.toSorted((one, other) => one - other));
      expect(order.toSorted((one, other) => one - other)).toEqual(resume.map((_, number) => number));
      let passed = 0;
      for (const [at, number] of order.entries()) {
        if (resume[number] === true) passed = 0;
        else if (order.slice(at + 1).some((later) => later < number && resume[later] === true)) passed += 1;
        expect(passed).toBeLessThanOrEqual(1);
      }
    }),
  );
});
