import { describe, expect, it } from "vitest";
import { mergeConfig } from "../../src/config/merge-config.ts";
import { globalName } from "../../src/session/options/global-name.ts";

const layer = (config: Record<string, unknown>, layer?: string) => ({
  config,
  location: { file: "castellan.config.ts", ...(layer === undefined ? {} : { layer }) },
});

describe("layers of a configuration", () => {
  it("replace options one by one, those of `defaults`, `capacity` and templates too, and lists as a whole", () => {
    const { config } = mergeConfig([
      layer({
        maxRestarts: 3,
        maxSeconds: 5,
        defaults: { model: "a", allowedTools: ["Read", "Bash"], env: { A: "1" } },
        capacity: { maxProcesses: 2, spares: 1 },
        children: [{ template: "t", sessions: { model: "a", maxTurns: 1 } }],
      }),
      layer({
        maxSeconds: 9,
        defaults: { allowedTools: ["Grep"], env: { B: "2" } },
        capacity: { spares: 0 },
        children: [{ template: "t", sessions: { model: "b" } }],
      }),
    ]);
    expect(config).toEqual({
      maxRestarts: 3,
      maxSeconds: 9,
      defaults: { model: "a", allowedTools: ["Grep"], env: { B: "2" } },
      capacity: { maxProcesses: 2, spares: 0 },
      children: [{ template: "t", sessions: { model: "b", maxTurns: 1 } }],
    });
  });

  it("put children of one name over each other at every level, in the order of the lower one, and new ones behind", () => {
    const { config } = mergeConfig([
      layer({
        children: [
          { name: "a", model: "1" },
          { name: ["a", 1], model: "1" },
          { name: "below", children: [{ name: "c", model: "1" }] },
          { pool: "a", size: 1 },
        ],
      }),
      layer({
        children: [
          { name: "new" },
          { name: ["a", 1], model: "2" },
          { pool: "a", size: 4 },
          { name: "below", children: [{ name: "d" }, { name: "c", maxTurns: 3 }] },
        ],
      }),
    ]);
    expect(config).toEqual({
      children: [
        { name: "a", model: "1" },
        { name: ["a", 1], model: "2" },
        { name: "below", children: [{ name: "c", model: "1", maxTurns: 3 }, { name: "d" }] },
        { pool: "a", size: 4 },
        { name: "new" },
      ],
    });
  });

  it("puts children of one global name over each other, and none of another name", () => {
    const [one, two] = [globalName("one"), globalName(["two", 1])];
    const { config } = mergeConfig([
      layer({ children: [{ template: one }, { name: two, model: "a" }, { name: "one" }] }),
      layer(
        { children: [{ name: globalName(["two", 1]), model: "b" }, { template: globalName("three") }] },
        "production",
      ),
    ]);
    expect(config["children"]).toEqual([
      { template: one },
      { name: two, model: "b" },
      { name: "one" },
      { template: globalName("three") },
    ]);
  });

  it("keeps functions and instances, and records each field's location", () => {
    const hook = (): void => {};
    const signal = new AbortController();
    const { config, locations } = mergeConfig([
      layer({ logger: console, defaults: { stderr: hook, model: { env: "MODEL" } } }),
      layer({ defaults: { abortController: signal } }, "production"),
    ]);
    const defaults = config["defaults"] as object;
    expect(defaults).toEqual({ stderr: hook, model: { env: "MODEL" }, abortController: signal });
    expect(config["logger"]).toBe(console);
    expect(Object.fromEntries(locations.get(defaults) ?? [])).toEqual({
      stderr: { file: "castellan.config.ts" },
      model: { file: "castellan.config.ts", variable: "MODEL" },
      abortController: { file: "castellan.config.ts", layer: "production" },
    });
  });
});
