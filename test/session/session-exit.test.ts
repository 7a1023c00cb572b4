import { describe, expect, it } from "vitest";
import { CastellanError, type ExitClass, type ExitRecord } from "../../src/errors.ts";
import { childExitOf, exitOfError } from "../../src/session/process/session-exit.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";

const exitOf = (kind: ExitClass): ExitRecord => ({ class: kind, message: "it ended", at: 7 });

/** What supervision does about each exit class. */
const DISPOSITIONS: Record<Exclude<ExitClass, "done">, "count" | "free" | "quarantine"> = {
  crash: "count",
  stalled: "count",
  out_of_memory: "count",
  bad_config: "quarantine",
  auth: "quarantine",
  conversation_missing: "quarantine",
  conversation_exists: "quarantine",
  quota: "free",
  overload: "free",
};

describe("childExitOf", () => {
  it.each(Object.entries(DISPOSITIONS))("gives an exit of class %s the disposition %s", (kind, disposition) => {
    const exit = exitOf(kind as ExitClass);
    expect(childExitOf(exit)).toEqual({ reason: "abnormal", disposition, cause: exit });
  });

  it("treats a requested end as normal, so a transient session stays down", () => {
    expect(childExitOf(exitOf("done"))).toEqual({ reason: "normal", cause: exitOf("done") });
  });
});

describe("exitOfError", () => {
  const clock = new SimulatedClock();

  it.each(["START_FAILED", "CLAUDE_NOT_FOUND"] as const)("returns the exit in the details of %s", (code) => {
    const exit = exitOf("auth");
    expect(exitOfError(new CastellanError(code, "no", { details: { exit } }), clock)).toBe(exit);
  });

  it.each(["EMFILE", "ENOSPC", "EIO"])("classifies %s, which may pass, as an overload", (code) => {
    const error = Object.assign(new Error(`${code}: no`), { code });
    expect(exitOfError(error, clock)).toMatchObject({ class: "overload", message: `${code}: no` });
  });

  it.each([
    ["unreachable", "overload"],
    ["no_space", "overload"],
    ["busy", "overload"],
    ["failed", "overload"],
    ["read_only", "crash"],
    ["damaged", "crash"],
    ["foreign", "crash"],
    ["refused", "crash"],
  ] as const)("classifies a journal that is %s as %s", (reason, kind) => {
    const error = new CastellanError("JOURNAL_UNAVAILABLE", "no", { details: { reason } });
    expect(exitOfError(error, clock).class).toBe(kind);
  });

  it("classifies any other error as a crash, now", async () => {
    await clock.advance(42);
    expect(exitOfError(new TypeError("x is undefined"), clock)).toEqual({
      class: "crash",
      message: "x is undefined",
      at: 42,
    });
    expect(exitOfError("words", clock)).toMatchObject({ class: "crash", message: "words" });
    expect(exitOfError(new CastellanError("SESSION_STOPPED", "stopped"), clock)).toMatchObject({ class: "crash" });
  });
});
