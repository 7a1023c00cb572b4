import { describe, expect, it } from "vitest";
import { childSettings } from "../../src/supervision/child-settings.ts";
import { supervisorSettings } from "../../src/supervision/supervisor-settings.ts";
import { Stage } from "./stage.ts";

/** What somebody without types may pass. */
function untyped<T>(json: string): T {
  return JSON.parse(json) as T;
}

describe("the options of a supervisor", () => {
  it("have defaults", () => {
    expect(supervisorSettings({})).toEqual({
      strategy: "one_for_one",
      intensity: { maxRestarts: 3, maxSeconds: 5 },
      onMaxRestarts: "quarantine",
      autoShutdown: "never",
      maxChildren: Number.POSITIVE_INFINITY,
      onStartFailure: "continue",
      backoff: { base: 100, factor: 2, max: 30_000, jitter: 0.2 },
    });
  });

  it.each([
    ["strategy", '{"strategy":"one_for_none"}'],
    ["onMaxRestarts", '{"onMaxRestarts":"shrug"}'],
    ["autoShutdown", '{"autoShutdown":"sometimes"}'],
    ["onStartFailure", '{"onStartFailure":"retry"}'],
    ["maxRestarts", '{"maxRestarts":-1}'],
    ["maxRestarts", '{"maxRestarts":1.5}'],
    ["maxSeconds", '{"maxSeconds":0}'],
    ["maxSeconds", '{"maxSeconds":"5"}'],
    ["maxChildren", '{"maxChildren":-1}'],
    ["backoff.base", '{"backoff":{"base":0}}'],
    ["backoff.factor", '{"backoff":{"factor":0.5}}'],
    ["backoff.max", '{"backoff":{"max":-1}}'],
    ["backoff.jitter", '{"backoff":{"jitter":1}}'],
  ])("are refused by name: %s in %s", (option, json) => {
    expect(() => supervisorSettings(untyped(json))).toThrow(
      expect.objectContaining({ code: "INVALID_OPTIONS", message: expect.stringContaining(option) }),
    );
  });
});

describe("a child spec", () => {
  it.each([
    ["id", { id: "" }],
    ["restart", untyped<object>('{"restart":"always"}')],
    ["type", untyped<object>('{"type":"boss"}')],
    ["shutdown", { shutdown: -1 }],
    ["shutdown", { shutdown: Number.NaN }],
    ["shutdown", untyped<object>('{"shutdown":"5s"}')],
    ["significant", untyped<object>('{"significant":"yes"}')],
    ["start", { start: untyped<() => never>("null") }],
  ])("is refused by name: %s", (field, change) => {
    expect(() => childSettings({ ...new Stage().spec("a"), ...change }, "never")).toThrow(
      expect.objectContaining({ code: "INVALID_OPTIONS", message: expect.stringContaining(field) }),
    );
  });
});

describe("maxChildren", () => {
  it("bounds the children at the start and later, running or not", async () => {
    const stage = new Stage();
    await expect(stage.supervise(stage.specs("a", "b"), { maxChildren: 1 })).rejects.toMatchObject({
      code: "MAX_CHILDREN",
    });
    expect(stage.take()).toEqual([]);
    const supervisor = await stage.supervise(stage.specs("a"), { maxChildren: 1 });
    await supervisor.terminateChild("a");
    await expect(supervisor.startChild(stage.spec("b"))).rejects.toMatchObject({
      code: "MAX_CHILDREN",
      message: expect.stringContaining("child b"),
    });
    await supervisor.deleteChild("a");
    await supervisor.startChild(stage.spec("b"));
    expect(stage.playing).toEqual(["b"]);
  });
});
