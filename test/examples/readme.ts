import { claudeStubs } from "castellan/testing";
import { expect, test, vi } from "vitest";

test("readme.ts: asks a session and a session of a template", async () => {
  using claude = claudeStubs();
  claude.install();
  claude.stub("reviewer", "It divides by three.");
  claude.stub(["support", 42], (prompt) => `You said: ${prompt}`);
  const log = vi.spyOn(console, "log").mockImplementation(() => {});
  const write = vi.spyOn(process.stdout, "write").mockImplementation(() => true);
  try {
    // The example is a script, which runs when it is imported.
    await import("../../examples/readme.ts");
    expect(log.mock.calls).toEqual([["It divides by three.", 0.01]]);
    expect(write.mock.calls.map(([piece]) => String(piece)).join("")).toContain("You said: Where is my parcel?");
  } finally {
    write.mockRestore();
    log.mockRestore();
  }
});
