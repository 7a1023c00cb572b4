import { describe, expect, it } from "vitest";
import { mayReach, requireScope, requireWholeReach, viewOf } from "../../src/server/access/reach.ts";
import type { Caller, Scope } from "../../src/server/http/caller.ts";

function caller(init: Partial<Omit<Caller, "scopes">> & { scopes?: readonly Scope[] } = {}): Caller {
  return { id: "c", ...init, scopes: new Set(init.scopes ?? ["read"]) };
}

describe("mayReach", () => {
  it("lets a caller without limits reach everything", () => {
    expect(mayReach(caller(), ["support", 1], undefined)).toBe(true);
  });

  it("compares a prefix by parts and types", () => {
    const support = caller({ prefix: "support" });
    expect(mayReach(support, "support", {})).toBe(true);
    expect(mayReach(support, ["support", 42], {})).toBe(true);
    expect(mayReach(support, "support-internal", {})).toBe(false);
    expect(mayReach(caller({ prefix: ["support", 42] }), ["support", "42"], {})).toBe(false);
    expect(mayReach(caller({ prefix: ["support", 42] }), "support", {})).toBe(false);
  });

  it("ignores the first part of a global name", () => {
    expect(mayReach(caller({ prefix: "support" }), ["global", "support", 42], {})).toBe(true);
    expect(mayReach(caller({ prefix: "support" }), ["global", "other", 42], {})).toBe(false);
    expect(mayReach(caller({ prefix: "global" }), ["global", "support"], {})).toBe(false);
  });

  it("wants all labels of the caller, as own labels of the session", () => {
    const ann = caller({ labels: { user: "ann", team: "a" } });
    expect(mayReach(ann, "a", { user: "ann", team: "a", more: "x" })).toBe(true);
    expect(mayReach(ann, "a", { user: "ann" })).toBe(false);
    expect(mayReach(ann, "a", undefined)).toBe(false);
    expect(mayReach(caller({ labels: { constructor: "x" } }), "a", {})).toBe(false);
  });
});

describe("requireScope", () => {
  it("refuses a caller without the scope, and names the scope", () => {
    expect(() => requireScope(caller({ scopes: ["read", "talk"] }), "talk")).not.toThrow();
    expect(() => requireScope(caller({ scopes: ["operate"] }), "read")).toThrow("`read`");
  });
});

describe("requireWholeReach", () => {
  it("refuses a caller who reaches only some sessions", () => {
    expect(() => requireWholeReach(caller())).not.toThrow();
    expect(() => requireWholeReach(caller({ prefix: "a" }))).toThrow("all sessions");
    expect(() => requireWholeReach(caller({ labels: {} }))).toThrow("all sessions");
  });
});

describe("viewOf", () => {
  it("shows details of the machine only to operators of everything", () => {
    expect(viewOf(caller({ scopes: ["operate"] }))).toBe("operator");
    expect(viewOf(caller({ scopes: ["operate"], prefix: "a" }))).toBe("user");
    expect(viewOf(caller({ scopes: ["talk"] }))).toBe("user");
    expect(viewOf(undefined)).toBe("user");
  });
});
