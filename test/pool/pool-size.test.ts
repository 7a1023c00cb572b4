import fc from "fast-check";
import { expect, test } from "vitest";
import { leavesIn, missingMembers } from "../../src/pool/pool-size.ts";

test.each([
  [{ min: 4, max: 4, fit: 4, coming: 0, waiting: 9 }, 0],
  [{ min: 4, max: 4, fit: 3, coming: 0, waiting: 0 }, 1],
  [{ min: 1, max: 4, fit: 1, coming: 0, waiting: 0 }, 0],
  [{ min: 1, max: 4, fit: 1, coming: 0, waiting: 2 }, 2],
  [{ min: 1, max: 4, fit: 1, coming: 0, waiting: 9 }, 3],
  // Those who wait are served by what is coming.
  [{ min: 1, max: 4, fit: 2, coming: 2, waiting: 2 }, 0],
  [{ min: 1, max: 4, fit: 2, coming: 1, waiting: 2 }, 1],
  [{ min: 0, max: 2, fit: 0, coming: 0, waiting: 1 }, 1],
  // It has been made smaller.
  [{ min: 1, max: 1, fit: 3, coming: 0, waiting: 5 }, 0],
])("of %j %d are missing", (size, expected) => {
  expect(missingMembers(size)).toBe(expected);
});

test.each([
  [{ min: 1, max: 2, fit: 3, waiting: 1 }, 0, 0],
  [{ min: 1, max: 2, fit: 1, waiting: 0 }, 99, undefined],
  [{ min: 1, max: 2, fit: 2, waiting: 0 }, 40, 60],
  [{ min: 1, max: 2, fit: 2, waiting: 0 }, 100, 0],
  [{ min: 1, max: 2, fit: 2, waiting: 1 }, 100, 1],
])("of %j one that has been free for %d of 100 ms leaves in %s", (size, freeMs, expected) => {
  expect(leavesIn(size, freeMs, 100)).toBe(expected);
});

test("a pool never grows above its most, never stays below its least, and does not add what it would take out", () => {
  const anySize = fc
    .record({ min: fc.nat(9), more: fc.nat(9), fit: fc.nat(20), coming: fc.nat(9), waiting: fc.nat(30) })
    .map(({ more, ...size }) => ({ ...size, max: Math.max(1, size.min + more) }));
  fc.assert(
    fc.property(anySize, (size) => {
      const after = size.fit + missingMembers(size);
      expect(after).toBeGreaterThanOrEqual(size.min);
      expect(after).toBeLessThanOrEqual(Math.max(size.max, size.fit));
      if (after > size.fit) expect(leavesIn({ ...size, fit: after }, 0, 100)).not.toBe(0);
    }),
  );
});
