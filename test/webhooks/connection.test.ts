import type { LookupAddress } from "node:dns";
import { expect, test } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { fateOf, retryDelay } from "../../src/webhooks/fate.ts";
import { isLoopback, isPublic } from "../../src/webhooks/network-address.ts";
import { WebhookConnection } from "../../src/webhooks/webhook-connection.ts";
import { type WebhookOptions, webhookSettings } from "../../src/webhooks/webhook-options.ts";
import { Receiver, SECRET } from "./receiver.ts";

/** Posts to a URL whose name resolves to these addresses. */
async function postTo(options: Omit<WebhookOptions, "secret">, ...addresses: readonly string[]) {
  const [settings] = webhookSettings([{ secret: SECRET, ...options }]);
  if (settings === undefined) throw new Error("none");
  const all: LookupAddress[] = addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));
  const asked: string[] = [];
  const connection = new WebhookConnection(settings, systemClock, (name, answer) => {
    asked.push(name);
    answer(null, all);
  });
  const result = await connection.post({}, "{}");
  connection.close();
  return { result, asked };
}

test.each([
  "127.0.0.1",
  "10.1.2.3",
  "192.168.0.1",
  "172.31.0.1",
  "169.254.169.254",
  "100.64.1.1",
  "0.0.0.0",
  "::1",
  "fe80::1",
  "fd00:ec2::254",
  "::ffff:127.0.0.1",
  "::ffff:10.0.0.1",
  "64:ff9b::a00:1",
])("WebhookConnection: does not connect to a public name that resolves to %s", async (address) => {
  await using receiver = await Receiver.open();
  const { port } = new URL(receiver.url);
  const options = { url: `http://hooks.example.com:${port}/`, allowHttp: true };
  const { result, asked } = await postTo(options, address);
  expect(result).toEqual({ problem: "its name resolves to a private address" });
  expect(asked).toEqual(["hooks.example.com"]);
  expect(receiver.requests.length + receiver.forged.length).toBe(0);
});

test("WebhookConnection: connects to a private address if that is allowed, and to loopback by its own names", async () => {
  await using receiver = await Receiver.open();
  const { port } = new URL(receiver.url);
  const url = `http://hooks.example.com:${port}/`;
  // The receiver answers a request without a signature with 401.
  expect((await postTo({ url, allowHttp: true, allowPrivateNetwork: true }, "127.0.0.1")).result).toEqual({
    status: 401,
  });
  expect((await postTo({ url: `http://localhost:${port}/` }, "127.0.0.1")).result).toEqual({ status: 401 });
  expect((await postTo({ url: `http://localhost:${port}/` }, "10.0.0.1")).result).toMatchObject({
    problem: expect.any(String),
  });
  // Of several addresses only the allowed ones count.
  const mixed = await postTo({ url: `http://localhost:${port}/` }, "10.0.0.1", "127.0.0.1");
  expect(mixed.result).toEqual({ status: 401 });
});

test("isPublic, isLoopback: of each kind of address", () => {
  for (const address of ["93.184.216.34", "1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1"]) {
    expect([address, isPublic(address)]).toEqual([address, true]);
  }
  expect(["localhost", "a.localhost", "127.9.9.9", "::1"].every(isLoopback)).toBe(true);
  expect(["localhost.example.com", "128.0.0.1", "::2", "example.com"].some(isLoopback)).toBe(false);
});

test("fateOf: tells apart what was delivered, refused, unreachable and gone", () => {
  const name = (status: number): string => fateOf({ status }).name;
  expect([200, 204, 299].map(name)).toEqual(["delivered", "delivered", "delivered"]);
  expect([301, 307, 400, 401, 404, 500].map(name)).toEqual(Array(6).fill("rejected"));
  expect([408, 429, 502, 503, 504].map(name)).toEqual(Array(5).fill("unreachable"));
  expect(name(410)).toBe("gone");
  expect(fateOf({ problem: "ECONNREFUSED" })).toEqual({ name: "unreachable", problem: "ECONNREFUSED", waitMs: 0 });
  expect(fateOf({ status: 429, retryAfter: "120" })).toMatchObject({ waitMs: 120_000 });
  expect(fateOf({ status: 429, retryAfter: "Wed, 21 Oct 2026 07:28:00 GMT" })).toMatchObject({ waitMs: 0 });
  expect(fateOf({ status: 503, retryAfter: "999999999" })).toMatchObject({ waitMs: 3_600_000 });
});

test("retryDelay: grows from five seconds to an hour, and is at least what the receiver asks", () => {
  const delays = [1, 2, 3, 4, 5, 6, 7, 8, 100].map((failures) => retryDelay(failures, 0, () => 0.5) / 1_000);
  expect(delays).toEqual([5, 15, 45, 135, 405, 1_215, 3_600, 3_600, 3_600]);
  expect(retryDelay(1, 60_000, () => 0.5)).toBe(60_000);
  expect(retryDelay(1, 0, () => 0)).toBe(4_000);
  expect(retryDelay(1, 0, () => 0.999_999)).toBeCloseTo(6_000, 0);
});
