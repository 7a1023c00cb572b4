import { describe, expect, it } from "vitest";
import { hostMemory } from "../../src/cli/checks/host-memory.ts";

const GB = 1024 ** 3;

describe("hostMemory()", () => {
  it("warns on a small machine, and says how to start the host", () => {
    const { verdict, message } = hostMemory(2 * GB, ["--enable-source-maps"]);
    expect(verdict).toBe("warning");
    expect(message).toContain("2.0 GB");
    expect(message).toContain("NODE_OPTIONS=--max-semi-space-size=8");
  });

  it.each(["--max-semi-space-size=16", "--max_semi_space_size=16", "--optimize-for-size"])("accepts %s", (flag) => {
    expect(hostMemory(2 * GB, [flag])).toMatchObject({ verdict: "ok" });
  });

  it("does not take another flag for a bound", () => {
    expect(hostMemory(2 * GB, ["--max-old-space-size=512"])).toMatchObject({ verdict: "warning" });
  });

  it("accepts a machine with 4 GB or more", () => {
    expect(hostMemory(4 * GB, [])).toMatchObject({ verdict: "ok" });
    expect(hostMemory(4 * GB - 1, [])).toMatchObject({ verdict: "warning" });
  });
});
