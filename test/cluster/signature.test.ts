import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Nonces } from "../../src/cluster/http/http-nonces.ts";
import { digestOf, Keyring, type SignedRequest } from "../../src/cluster/http/signature.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";

const [ONE, OTHER] = ["one secret of more than 32 characters", "other secret of more than 32 characters"];

const REQUEST: SignedRequest = {
  method: "POST",
  path: "/castellan/v1/turn",
  at: "1000",
  nonce: "nonce-1",
  to: "boot",
  protocol: "1",
  digest: digestOf("{}"),
};

describe("Keyring", () => {
  it("recognises its own signature, and none of a request with a changed field", () => {
    const keyring = new Keyring(ONE);
    const field = fc.constantFrom<keyof SignedRequest>("method", "path", "at", "nonce", "to", "protocol", "digest");
    const signature = keyring.sign(REQUEST);
    expect(keyring.signerOf(REQUEST, signature)).toBeDefined();
    const changed = fc.property(field, fc.string(), (name, value) => {
      fc.pre(value !== REQUEST[name]);
      expect(keyring.signerOf({ ...REQUEST, [name]: value }, signature)).toBeUndefined();
    });
    fc.assert(changed);
  });

  it.each(["", "00", "no hexadecimal digits", "0".repeat(64), "0".repeat(66)])(
    "rejects the signature %j",
    (signature) => {
      expect(new Keyring(ONE).signerOf(REQUEST, signature)).toBeUndefined();
    },
  );

  it("signs with the first secret and accepts signatures of all", () => {
    const both = new Keyring([ONE, OTHER]);
    expect(both.sign(REQUEST)).toBe(new Keyring(ONE).sign(REQUEST));
    expect(both.signerOf(REQUEST, new Keyring(OTHER).sign(REQUEST))).toBeDefined();
    expect(new Keyring(ONE).signerOf(REQUEST, new Keyring(OTHER).sign(REQUEST))).toBeUndefined();
  });

  it("seals an answer with the secret that signed the request", () => {
    const [asker, node] = [new Keyring(OTHER), new Keyring([ONE, OTHER])];
    const answer = { nonce: REQUEST.nonce, status: 200, digest: digestOf("") };
    const key = node.signerOf(REQUEST, asker.sign(REQUEST));
    const seal = node.seal(answer, key);
    expect(asker.isSealed(answer, seal)).toBe(true);
    for (const change of [{ nonce: "nonce-2" }, { status: 401 }, { digest: digestOf("x") }]) {
      expect(asker.isSealed({ ...answer, ...change }, seal)).toBe(false);
    }
    expect(asker.isSealed(answer, node.seal(answer))).toBe(false);
  });

  it.each([["too short"], [[]], [[ONE, "too short"]]])("rejects %j as a secret without showing it", (secret) => {
    expect(() => new Keyring(secret)).toThrow(expect.objectContaining({ code: "INVALID_OPTIONS" }));
    expect(() => new Keyring(secret)).not.toThrow("too short");
  });
});

describe("Nonces", () => {
  it("recognises a nonce for as long as it keeps it, and forgets it later", async () => {
    const clock = new SimulatedClock();
    const nonces = new Nonces(clock, 60_000, 10);
    await clock.advance(59_000);
    expect(nonces.take("a", 1)).toBe("new");
    await clock.advance(60_000);
    expect(nonces.take("a", 1)).toBe("seen");
    await clock.advance(60_000);
    expect(nonces.take("a", 2)).toBe("new");
  });

  it('answers "full" at its limit until it has forgotten nonces', async () => {
    const clock = new SimulatedClock();
    const nonces = new Nonces(clock, 60_000, 2);
    expect(["a", "b", "c", "a"].map((nonce) => nonces.take(nonce, 0))).toEqual(["new", "new", "full", "seen"]);
    await clock.advance(120_000);
    expect(nonces.take("c", 1)).toBe("new");
  });

  it('answers "late" for a signing time whose nonces it has forgotten', async () => {
    const clock = new SimulatedClock();
    const nonces = new Nonces(clock, 60_000, 10);
    expect(nonces.take("a", 1_000)).toBe("new");
    await clock.advance(200_000);
    expect(["a", "b"].map((nonce) => nonces.take(nonce, 1_000))).toEqual(["late", "late"]);
    expect(nonces.take("a", 1_001)).toBe("new");
  });

  it("keeps each nonce long enough, whenever it arrives", () => {
    const times = fc.array(fc.nat(50_000), { minLength: 1, maxLength: 20 });
    const remembers = fc.asyncProperty(times, fc.nat(59_999), async (steps, later) => {
      const clock = new SimulatedClock();
      const nonces = new Nonces(clock, 60_000, 1_000);
      for (const [at, step] of steps.entries()) {
        await clock.advance(step);
        expect(nonces.take(`nonce ${at}`, clock.now())).toBe("new");
      }
      await clock.advance(later);
      expect(nonces.take(`nonce ${steps.length - 1}`, 0)).toBe("seen");
    });
    return fc.assert(remembers, { numRuns: 50 });
  });
});
