import { afterEach, describe, expect, it, vi } from "vitest";
import { CastellanError, type ErrorCode } from "../src/errors.ts";

afterEach(() => {
  vi.resetModules();
});

const full = new CastellanError("MAILBOX_FULL", 'session "a" is full', { details: { limit: 3 } });

describe("CastellanError", () => {
  it("is an Error with a code, a message, details and the name that logs show", () => {
    expect(full).toBeInstanceOf(Error);
    expect(full).toMatchObject({ code: "MAILBOX_FULL", message: 'session "a" is full', details: { limit: 3 } });
    expect(String(full)).toBe('CastellanError: session "a" is full');
    expect(full.stack).toContain("errors.test.ts");
  });

  it("keeps its cause, and has no cause property without one", () => {
    const cause = new Error("below");
    expect(new CastellanError("SESSION_STOPPED", "stopped", { cause }).cause).toBe(cause);
    expect("cause" in full).toBe(false);
    expect("cause" in new CastellanError("SESSION_STOPPED", "stopped", { cause: undefined })).toBe(false);
  });

  it("has empty details when its code carries none", () => {
    expect(new CastellanError("SESSION_BUSY", "busy").details).toEqual({});
  });

  it("matches by code", () => {
    expect(CastellanError.is(full)).toBe(true);
    expect(CastellanError.is(full, "MAILBOX_FULL")).toBe(true);
    expect(CastellanError.is(full, "SESSION_BUSY")).toBe(false);
  });

  it("narrows the details to those of its code", () => {
    const error: unknown = full;
    const limit = CastellanError.is(error, "MAILBOX_FULL") ? error.details.limit : undefined;
    expect(limit).toBe(3);
  });

  it.each<[unknown]>([
    [new Error("MAILBOX_FULL")],
    [Object.assign(new Error("x"), { code: "MAILBOX_FULL", name: "CastellanError" })],
    [{ code: "MAILBOX_FULL" }],
    ["MAILBOX_FULL"],
    [null],
    [undefined],
    [() => {}],
  ])("does not match %j", (value) => {
    expect(CastellanError.is(value)).toBe(false);
    expect(value instanceof CastellanError).toBe(false);
  });

  it("recognises errors of a second copy of the package, in both directions", async () => {
    vi.resetModules();
    const copy = await import("../src/errors.ts");
    expect(copy.CastellanError).not.toBe(CastellanError);
    const code: ErrorCode = "SESSION_BUSY";
    const foreign = new copy.CastellanError(code, "busy");
    expect(foreign instanceof CastellanError).toBe(true);
    expect(CastellanError.is(foreign, code)).toBe(true);
    expect(copy.CastellanError.is(full, "MAILBOX_FULL")).toBe(true);
  });
});
