import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, expect, it } from "vitest";
import { MARKER } from "../../src/claude/marker.ts";
import { descendants, readMemory } from "../../src/claude/memory.ts";

describe("descendants", () => {
  it("assigns each process to its nearest marked ancestor", () => {
    const marked = new Map([
      [10, "a"],
      [20, "b"],
    ]);
    const parents = new Map([
      [10, 1],
      [11, 10],
      [12, 11],
      [20, 11],
      [21, 20],
      [30, 1],
    ]);
    expect(Object.fromEntries(descendants(marked, parents))).toEqual({ 10: "a", 11: "a", 12: "a", 20: "b", 21: "b" });
  });

  it("ends on a cycle", () => {
    const circle = new Map([
      [1, 2],
      [2, 1],
    ]);
    expect(descendants(new Map(), circle).size).toBe(0);
  });
});

describe.runIf(process.platform === "linux")("readMemory", () => {
  it("counts a process and its descendants, including those without the marker", async () => {
    const marker = `test/${process.pid}/1/memory`;
    const wait = "process.stdin.resume(); console.log('up')";
    const clean = `require('child_process').spawn(process.execPath, ['-e', ${JSON.stringify(wait)}], { env: {}, stdio: 'inherit' })`;
    const child = spawn(process.execPath, ["-e", clean], {
      env: { [MARKER]: marker },
      stdio: ["pipe", "pipe", "inherit"],
    });
    try {
      await once(child.stdout, "data");
      const both = (await readMemory(new Set([marker, "another/1/1/one"]))).get(marker) ?? 0;
      // Two Node processes, each with more than ten megabytes.
      expect(both).toBeGreaterThan(20 * 2 ** 20);
      expect(both).toBeLessThan(400 * 2 ** 20);
    } finally {
      child.stdin.end();
      await once(child, "close");
    }
    expect((await readMemory(new Set([marker]))).size).toBe(0);
  });
});
