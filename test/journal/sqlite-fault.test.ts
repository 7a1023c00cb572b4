import { describe, expect, it } from "vitest";
import { CastellanError } from "../../src/errors.ts";
import { faultOf, isUncertain, UncertainCommit, unavailable } from "../../src/journal/sqlite/sqlite-fault.ts";

function sqliteError(errcode: number): Error {
  return Object.assign(new Error("something"), { code: "ERR_SQLITE_ERROR", errcode });
}

function systemError(code: string): Error {
  return Object.assign(new Error("something"), { code });
}

describe("faultOf and unavailable", () => {
  it.each([
    ["SQLITE_ERROR", sqliteError(1), "failed"],
    ["SQLITE_BUSY", sqliteError(5), "busy"],
    ["SQLITE_BUSY_RECOVERY", sqliteError(261), "busy"],
    ["SQLITE_READONLY", sqliteError(8), "read_only"],
    ["SQLITE_READONLY_DIRECTORY", sqliteError(1544), "read_only"],
    ["SQLITE_IOERR", sqliteError(10), "failed"],
    ["SQLITE_IOERR_SHMSIZE", sqliteError(4874), "no_space"],
    ["SQLITE_CORRUPT", sqliteError(11), "damaged"],
    ["SQLITE_CORRUPT_INDEX", sqliteError(779), "damaged"],
    ["SQLITE_FULL", sqliteError(13), "no_space"],
    ["SQLITE_CANTOPEN", sqliteError(14), "unreachable"],
    ["SQLITE_TOOBIG", sqliteError(18), "refused"],
    ["SQLITE_CONSTRAINT_NOTNULL", sqliteError(1299), "refused"],
    ["SQLITE_NOTADB", sqliteError(26), "damaged"],
    ["EROFS", systemError("EROFS"), "read_only"],
    ["ENOSPC", systemError("ENOSPC"), "no_space"],
    ["ENOTDIR", systemError("ENOTDIR"), "unreachable"],
    ["EMFILE", systemError("EMFILE"), "failed"],
    ["a value of the wrong type", new TypeError("something"), "refused"],
    ["what is no error", "something", "failed"],
    ["a commit", new UncertainCommit(sqliteError(778)), "failed"],
  ] as const)("map %s", (_, error, fault) => {
    expect(faultOf(error)).toBe(fault);
    const mapped = unavailable("/a.db", error);
    expect([mapped.code, mapped.details]).toEqual(["JOURNAL_UNAVAILABLE", { reason: fault }]);
    expect(mapped.message).toContain("The journal /a.db cannot be used");
    expect(mapped.message).toContain("something");
  });

  it("return an error of Castellan's own unchanged", () => {
    const error = new CastellanError("NOT_OWNER", "Somebody else's.");
    expect(unavailable("/a.db", error)).toBe(error);
  });
});

describe("isUncertain", () => {
  it("is false only for errors that prove that the commit was not written", () => {
    expect([5, 8, 13, 266, 778, 1034, 7, 11].map((code) => [code, isUncertain(sqliteError(code))])).toEqual([
      [5, false],
      [8, false],
      [13, false],
      [266, true],
      [778, true],
      [1034, true],
      [7, true],
      [11, true],
    ]);
    expect(isUncertain(new Error("something"))).toBe(true);
  });
});
