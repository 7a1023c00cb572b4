import { describe, expect, it } from "vitest";
import {
  classOfFault,
  isOutOfFiles,
  isTemporary,
  isTemporaryInWords,
  opensNoFile,
} from "../../src/claude/passing-fault.ts";

const failed = (code: string): Error => Object.assign(new Error(`${code}: it failed`), { code });

describe("classOfFault() and isTemporary()", () => {
  it.each(["EMFILE", "ENFILE", "EAGAIN", "ENOMEM", "ENOSPC", "EDQUOT", "EBUSY", "EIO", "ENOTEMPTY"])(
    "treat %s as temporary",
    (code) => {
      expect(isTemporary(failed(code))).toBe(true);
      expect(classOfFault(failed(code))).toBe("overload");
    },
  );

  it.each(["ENOENT", "EACCES", "EPERM", "ENOTDIR", "EROFS", "E2BIG", "ENAMETOOLONG"])(
    "treat %s as bad_config",
    (code) => {
      expect(classOfFault(failed(code))).toBe("bad_config");
    },
  );

  it("treat other errors as bad_config", () => {
    for (const error of [new Error("EMFILE"), "EMFILE", undefined, null, { code: "EMFILE" }]) {
      expect(classOfFault(error)).toBe("bad_config");
    }
  });

  it("find a code in words", () => {
    expect(isTemporaryInWords("the volume holding /tmp is full (ENOSPC). Free space on it.")).toBe(true);
    expect(isTemporaryInWords("EMFILE: too many open files, mkdir '/tmp/x'")).toBe(true);
    expect(isTemporaryInWords("EACCES: permission denied, mkdir '/tmp/x'")).toBe(false);
    expect(isTemporaryInWords("It is UNSAFEIO, says nobody")).toBe(false);
  });
});

it("opensNoFile(): is false while descriptors are left; isOutOfFiles() knows EMFILE", () => {
  expect(opensNoFile()).toBe(false);
  expect(isOutOfFiles(failed("EMFILE"))).toBe(true);
  expect(isOutOfFiles(failed("ENOSPC"))).toBe(false);
});
