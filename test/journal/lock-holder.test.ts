import { expect, it } from "vitest";
import { holderIn } from "../../src/journal/sqlite/file-lock.ts";

const LOCKS = `
1: POSIX  ADVISORY  WRITE 11 00:2f:77 0 EOF
2: FLOCK  ADVISORY  WRITE 12 00:2f:77 1073741824 EOF
3: POSIX  ADVISORY  READ 13 00:2f:77 1073741826 1073742335
4: POSIX  ADVISORY  WRITE 14 00:2f:78 1073741824 1073742335
5: POSIX  ADVISORY  WRITE 15 00:2f:77 1073741824 1073742335
5: -> POSIX  ADVISORY  WRITE 16 00:2f:77 1073741824 1073742335
`;

it("holderIn: returns the pid that holds SQLite's write lock on the inode", () => {
  expect(holderIn(LOCKS, 77)).toBe(15);
  expect(holderIn(LOCKS, 78)).toBe(14);
  expect(holderIn(LOCKS, 79)).toBeUndefined();
  expect(holderIn("", 77)).toBeUndefined();
});

it("holderIn: returns undefined for a holder in another container", () => {
  expect(holderIn(LOCKS.replace(" 15 ", " 0 "), 77)).toBeUndefined();
});
