import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { JournalFault } from "../../src/errors.ts";
import { fromText, toText } from "../../src/journal/model/stored-text.ts";
import { faultOf, messageOf, stateOf } from "../../src/journal/postgres/postgres-fault.ts";

describe("faultOf, stateOf and messageOf", () => {
  const cases: readonly (readonly [state: string, fault: JournalFault, why: string])[] = [
    ["08006", "unreachable", "connection failure"],
    ["28P01", "unreachable", "wrong password"],
    ["3D000", "unreachable", "no such database"],
    ["53300", "unreachable", "too many connections"],
    ["57P01", "unreachable", "shut down by an administrator"],
    ["57P03", "unreachable", "is starting"],
    ["25P03", "unreachable", "ended because it stood still in a transaction"],
    ["53100", "no_space", "disk full"],
    ["25006", "read_only", "read-only transaction"],
    ["42P01", "damaged", "a table is not there"],
    ["XX001", "damaged", "data corrupted"],
    ["22P05", "refused", "a character it does not know"],
    ["23502", "refused", "null where there must be something"],
    ["54000", "refused", "too long for an index"],
    ["57014", "failed", "took too long"],
    ["40P01", "failed", "deadlock"],
    ["42501", "denied", "not permitted"],
  ];
  for (const [state, fault, why] of cases) {
    it(`map ${state} to "${fault}": ${why}`, () => {
      expect(faultOf(Object.assign(new Error(why), { code: state, severity: "ERROR" }))).toBe(fault);
    });
  }

  it("map errors of the network, of certificates and of their files, which have no SQLSTATE", () => {
    const of = (fields: object, message = ""): JournalFault => faultOf(Object.assign(new Error(message), fields));
    expect(of({}, "Connection terminated unexpectedly")).toBe("unreachable");
    expect(of({ code: "ECONNREFUSED", syscall: "connect" })).toBe("unreachable");
    expect(of({ code: "ENOENT", syscall: "connect" })).toBe("unreachable");
    expect(of({ code: "ENOENT", syscall: "open" })).toBe("untrusted");
    for (const code of [
      "SELF_SIGNED_CERT_IN_CHAIN",
      "DEPTH_ZERO_SELF_SIGNED_CERT",
      "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
      "CERT_HAS_EXPIRED",
      "ERR_TLS_CERT_ALTNAME_INVALID",
      "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED",
    ]) {
      expect(of({ code })).toBe("untrusted");
    }
    expect(of({}, "The server does not support SSL connections")).toBe("untrusted");
    // The cause of an error of Castellan's own.
    expect(faultOf(undefined)).toBe("unreachable");
  });

  it("find no state in errors of the network", () => {
    expect(stateOf(Object.assign(new Error("reset"), { code: "ECONNRESET" }))).toBeUndefined();
    expect(stateOf(Object.assign(new Error("full"), { code: "53100", severity: "ERROR" }))).toBe("53100");
  });

  it("describe an error without a message by its code", () => {
    expect(messageOf(Object.assign(new AggregateError([]), { code: "ECONNREFUSED" }))).toBe("ECONNREFUSED");
    expect(messageOf(new Error("gone"))).toBe("gone");
  });
});

describe("toText and fromText", () => {
  const difficult = fc.constantFrom("\0", "␐", "␐0000", "\uD83D", "\uDE00", "😀", "0", "d83d");
  const unit = fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code));
  const anyText = fc.array(fc.oneof(difficult, unit)).map((parts) => parts.join(""));

  it("round-trip any text through one that PostgreSQL can store", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(fromText(toText(text))).toBe(text);
        expect(toText(text).isWellFormed()).toBe(true);
        expect(toText(text)).not.toContain("\0");
      }),
    );
  });

  it("leave a storable text unchanged", () => {
    const plain = `["user","\\ud83d",42] 'é' 😀`;
    expect(toText(plain)).toBe(plain);
  });
});
