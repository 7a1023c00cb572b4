import { describe, expect, it } from "vitest";
import { releaseProblem } from "../../src/claude/oldest-release.ts";

describe("releaseProblem", () => {
  it.each(["2.1.248", "2.1.330", "2.2.0", "3.0.0", "2.10.1", "2.1.248 (Claude Code)", "unknown", undefined])(
    "accepts %s",
    (version) => {
      expect(releaseProblem(version)).toBeUndefined();
    },
  );

  it.each(["2.1.247", "2.1.99", "2.0.999", "1.9.999", "2.1.247-beta.1"])("rejects %s", (version) => {
    expect(releaseProblem(version)).toContain(`Claude Code ${version} is older than 2.1.248`);
  });
});
