import { describe, expect, it } from "vitest";
import { accessLine } from "../../src/server/access/access-log.ts";
import { hostOf, isAllowedHost, isAllowedOrigin, isLoopback } from "../../src/server/access/hosts.ts";
import { RateLimit } from "../../src/server/access/rate-limit.ts";

describe("isLoopback", () => {
  it.each(["127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost", "LOCALHOST"])("%s is", (host) => {
    expect(isLoopback(host)).toBe(true);
  });

  it.each(["0.0.0.0", "::", "10.0.0.1", "example.com", "localhost.example.com", "127.0.0.1.example.com", ""])(
    "%s is not",
    (host) => {
      expect(isLoopback(host)).toBe(false);
    },
  );
});

describe("isAllowedHost", () => {
  it("takes the loopback names with any port, and the named hosts", () => {
    for (const host of [
      "127.0.0.1:80",
      "localhost",
      "[::1]:8080",
      "castellan.example.com:443",
      "CASTELLAN.example.com",
    ]) {
      expect(isAllowedHost(host, ["castellan.example.com"]), host).toBe(true);
    }
  });

  it("refuses the name of a page that rebinds, and what is no host", () => {
    for (const host of ["evil.example", "evil.example:8080", "x@127.0.0.1", "127.0.0.1/x", "", null, "a b"]) {
      expect(isAllowedHost(host, ["castellan.example.com"]), String(host)).toBe(false);
    }
    expect(hostOf("evil.example#127.0.0.1")).not.toBe("127.0.0.1");
  });
});

describe("isAllowedOrigin", () => {
  it("takes the server's own pages, also behind a proxy that ends TLS, and the named origins", () => {
    expect(isAllowedOrigin("http://127.0.0.1:8080", "127.0.0.1:8080", [])).toBe(true);
    expect(isAllowedOrigin("https://castellan.example.com", "castellan.example.com", [])).toBe(true);
    expect(isAllowedOrigin("https://app.example.com", "castellan.example.com", ["https://app.example.com"])).toBe(true);
  });

  it("refuses others, another port, and pages without an origin", () => {
    for (const origin of ["http://127.0.0.1:3000", "https://evil.example", "null", "", "file://"]) {
      expect(isAllowedOrigin(origin, "127.0.0.1:8080", ["https://app.example.com"]), origin).toBe(false);
    }
    expect(isAllowedOrigin("null", null, [])).toBe(false);
  });
});

describe("RateLimit", () => {
  it("allows a burst, then one request per interval, for each caller alone", () => {
    const limit = new RateLimit({ requests: 3, perMs: 3_000 });
    expect([0, 0, 0].map(() => limit.take("a", 0))).toEqual([0, 0, 0]);
    expect(limit.take("a", 0)).toBe(1_000);
    expect(limit.take("b", 0)).toBe(0);
    expect(limit.take("a", 400)).toBe(600);
    expect(limit.take("a", 1_000)).toBe(0);
    expect(limit.take("a", 1_000)).toBe(1_000);
    expect([0, 0, 0, 0].map(() => limit.take("a", 1_000_000) > 0)).toEqual([false, false, false, true]);
  });

  it("remembers a bounded number of callers, those that asked last", () => {
    const limit = new RateLimit({ requests: 1, perMs: 1_000_000_000 });
    limit.take("first", 0);
    for (let n = 0; n < 10_000; n++) {
      limit.take(`caller ${n}`, 0);
      expect(limit.take("first", 0)).toBeGreaterThan(0);
    }
    expect(limit.take("caller 0", 0)).toBe(0);
  });
});

describe("accessLine", () => {
  it("has no query, and no control characters", () => {
    const record = {
      requestId: "req_1",
      method: "GET",
      path: "/a\u001b[31m",
      status: 200,
      caller: undefined,
      durationMs: 1.6,
    };
    expect(accessLine(record)).toBe("GET /a\\u001b[31m 200 2ms caller=- request=req_1");
    expect(accessLine({ ...record, path: `/${"x".repeat(1_000)}`, caller: "token:1" }).length).toBeLessThan(400);
  });
});
