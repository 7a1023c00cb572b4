import { describe, expect, it } from "vitest";
import { CastellanError } from "../../src/errors.ts";
import { httpError } from "../../src/server/http/http-error.ts";
import { RequestError } from "../../src/server/http/request-error.ts";

const PARTIAL = { turnId: "t", partialText: "", toolUses: [] };

describe("httpError", () => {
  it("gives each kind of error its status, type and retry advice", () => {
    const full = new CastellanError("MAILBOX_FULL", "session a has 100 turns.", { details: { limit: 100 } });
    expect(httpError(full, "operator", 0)).toEqual({
      status: 429,
      type: "rate_limit_error",
      code: "MAILBOX_FULL",
      message: "session a has 100 turns.",
      headers: { "x-should-retry": "true", "retry-after": "1" },
    });
    const quarantined = new CastellanError("SESSION_QUARANTINED", "gone", { details: { lastExits: [] } });
    expect(httpError(quarantined, "operator", 0)).toMatchObject({
      status: 503,
      type: "overloaded_error",
      headers: { "x-should-retry": "false" },
    });
  });

  it("tells users nothing of paths and other sessions", () => {
    const near = new CastellanError("SESSION_NOT_FOUND", "no session `a`; did you mean `secret`?", {
      details: { nearMisses: ["secret"] },
    });
    for (const view of ["user", "operator"] as const) expect(httpError(near, view, 0).message).not.toContain("secret");
    const disk = new CastellanError("JOURNAL_UNAVAILABLE", "/var/lib/x is full", { details: { reason: "no_space" } });
    expect(httpError(disk, "user", 0).message).not.toContain("/var");
    expect(httpError(disk, "operator", 0).message).toContain("/var");
    expect(httpError(new Error("key sk-123"), "operator", 0)).toMatchObject({ status: 500, code: "INTERNAL" });
    expect(httpError(new Error("key sk-123"), "operator", 0).message).not.toContain("sk-123");
  });

  it("keeps the problems of an invalid request", () => {
    const problems = [{ field: "limit", message: "expected a number" }];
    const invalid = new CastellanError("INVALID_OPTIONS", "findSessions: `limit`: expected a number.", {
      details: { problems },
    });
    expect(httpError(invalid, "user", 0)).toMatchObject({ status: 400, problems, message: invalid.message });
  });

  it("does not advise to send again what took effect, or what may have", () => {
    const retry = (error: CastellanError) => httpError(error, "user", 0).headers["x-should-retry"];
    const journal = (applied?: boolean) =>
      new CastellanError("JOURNAL_UNAVAILABLE", "x", {
        details: { reason: "failed", ...(applied !== undefined && { applied }) },
      });
    expect(retry(journal(false))).toBe("true");
    expect(retry(journal())).toBe("true");
    expect(retry(journal(true))).toBe("false");
    const cluster = (reason: "uncertain" | "no_node") =>
      new CastellanError("CLUSTER_UNAVAILABLE", "x", { details: { reason } });
    expect(retry(cluster("no_node"))).toBe("true");
    expect(retry(cluster("uncertain"))).toBe("false");
    const overload = new CastellanError("TURN_FAILED", "x", { details: { ...PARTIAL, class: "overload" } });
    expect(retry(overload)).toBe("false");
  });

  it("sends the time until a usage limit resets, in seconds rounded up", () => {
    const quota = new CastellanError("TURN_FAILED", "x", { details: { ...PARTIAL, class: "quota", retryAt: 61_500 } });
    expect(httpError(quota, "user", 60_000)).toMatchObject({ status: 429, headers: { "retry-after": "2" } });
    expect(httpError(quota, "user", 90_000)).toMatchObject({ headers: { "retry-after": "0" } });
  });

  it("keeps a refusal's own message, and its headers", () => {
    const wrong = new RequestError("METHOD_NOT_ALLOWED", "Only GET is allowed here.", { allow: ["GET", "HEAD"] });
    expect(httpError(wrong, "user", 0)).toMatchObject({
      status: 405,
      message: "Only GET is allowed here.",
      headers: { allow: "GET, HEAD" },
    });
    const limited = new RequestError("RATE_LIMITED", "Too many requests.", { retryAfterMs: 2_500 });
    expect(httpError(limited, "user", 0).headers).toEqual({ "x-should-retry": "true", "retry-after": "3" });
  });
});
