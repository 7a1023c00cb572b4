import { describe, expect, it } from "vitest";
import { classOfFault, isOutOfFiles, opensNoFile, passes, passesInWords } from "../../src/claude/passing-fault.ts";

const failed = (code: string): Error => Object.assign(new Error(`${code}: it failed`), { code });

describe("an error of the system", () => {
  it.each(["EMFILE", "ENFILE", "EAGAIN", "ENOMEM", "ENOSPC", "EDQUOT", "EBUSY", "EIO", "ENOTEMPTY"])(
    "%s may be gone at the next try",
    (code) => {
      expect(passes(failed(code))).toBe(true);
      expect(classOfFault(failed(code))).toBe("overload");
    },
  );

  it.each(["ENOENT", "EACCES", "EPERM", "ENOTDIR", "EROFS", "E2BIG", "ENAMETOOLONG"])("%s has to be mended", (code) => {
    expect(classOfFault(failed(code))).toBe("bad_config");
  });

  it("of another kind has to be mended", () => {
    for (const error of [new Error("EMFILE"), "EMFILE", undefined, null, { code: "EMFILE" }]) {
      expect(classOfFault(error)).toBe("bad_config");
    }
  });

  it("is found in words", () => {
    expect(passesInWords("the volume holding /tmp is full (ENOSPC). Free space on it.")).toBe(true);
    expect(passesInWords("EMFILE: too many open files, mkdir '/tmp/x'")).toBe(true);
    expect(passesInWords("EACCES: permission denied, mkdir '/tmp/x'")).toBe(false);
    expect(passesInWords("It is UNSAFEIO, says nobody")).toBe(false);
  });
});

it("files can be opened, unless the system says that there are too many", () => {
  expect(opensNoFile()).toBe(false);
  expect(isOutOfFiles(failed("EMFILE"))).toBe(true);
  expect(isOutOfFiles(failed("ENOSPC"))).toBe(false);
});
