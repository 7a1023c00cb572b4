import fc from "fast-check";
import { expect, test } from "vitest";
import { missingMembers, removableIn } from "../../src/pool/pool-size.ts";

test.each([
  [{ min: 4, max: 4, usable: 4, pending: 0, waiting: 9 }, 0],
  [{ min: 4, max: 4, usable: 3, pending: 0, waiting: 0 }, 1],
  [{ min: 1, max: 4, usable: 1, pending: 0, waiting: 0 }, 0],
  [{ min: 1, max: 4, usable: 1, pending: 0, waiting: 2 }, 2],
  [{ min: 1, max: 4, usable: 1, pending: 0, waiting: 9 }, 3],
  // Starting members serve waiting callers.
  [{ min: 1, max: 4, usable: 2, pending: 2, waiting: 2 }, 0],
  [{ min: 1, max: 4, usable: 2, pending: 1, waiting: 2 }, 1],
  [{ min: 0, max: 2, usable: 0, pending: 0, waiting: 1 }, 1],
  // The pool was resized to fewer members.
  [{ min: 1, max: 1, usable: 3, pending: 0, waiting: 5 }, 0],
])("missingMembers(): of %j is %d", (size, expected) => {
  expect(missingMembers(size)).toBe(expected);
});

test.each([
  [{ min: 1, max: 2, usable: 3, waiting: 1 }, 0, 0],
  [{ min: 1, max: 2, usable: 1, waiting: 0 }, 99, undefined],
  [{ min: 1, max: 2, usable: 2, waiting: 0 }, 40, 60],
  [{ min: 1, max: 2, usable: 2, waiting: 0 }, 100, 0],
  [{ min: 1, max: 2, usable: 2, waiting: 1 }, 100, 1],
])("removableIn(): of %j for a member that has been free for %d of 100 ms is %s", (size, freeMs, expected) => {
  expect(removableIn(size, freeMs, 100)).toBe(expected);
});

test("missingMembers() and removableIn(): stay within min and max, and remove no member that was just added", () => {
  const anySize = fc
    .record({ min: fc.nat(9), more: fc.nat(9), usable: fc.nat(20), pending: fc.nat(9), waiting: fc.nat(30) })
    .map(({ more, ...size }) => ({ ...size, max: Math.max(1, size.min + more) }));
  fc.assert(
    fc.property(anySize, (size) => {
      const after = size.usable + missingMembers(size);
      expect(after).toBeGreaterThanOrEqual(size.min);
      expect(after).toBeLessThanOrEqual(Math.max(size.max, size.usable));
      if (after > size.usable) expect(removableIn({ ...size, usable: after }, 0, 100)).not.toBe(0);
    }),
  );
});
