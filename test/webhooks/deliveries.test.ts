import { expect, test } from "vitest";
import { on } from "../../src/events.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import { logEvents } from "../../src/telemetry/log.ts";
import { METRICS } from "../../src/telemetry/otel.ts";
import { eventually, ticks } from "../session-on-fake/scene.ts";
import { measured } from "../telemetry/measured.ts";
import { EventSource } from "./event-source.ts";
import { OLD_SECRET, Receiver, SECRET } from "./receiver.ts";
import { scaledClock } from "./scaled-clock.ts";

const clock = scaledClock(100);

/** Three seconds of the machine, so that no answer is too late on a busy one. */
const timeout = "5m";

/** Waits until nothing is left in the journal. */
async function done({ journal }: EventSource): Promise<void> {
  while ((await journal.deliveries({ limit: 1 })).length > 0) await ticks(1);
}

test("Webhooks: a receiver gets each event once, in order, signed, with nothing of its contents", async () => {
  await using receiver = await Receiver.open();
  await using source = await EventSource.open(
    memoryJournal(),
    [{ url: receiver.url, secret: SECRET, id: "e", timeout }],
    clock,
  );
  await source.append('"a"', { body: { v: 1, state: "completed", structured: { secret: "answer" } } });
  await source.append('"a"', { type: "text", body: { v: 1, text: "the answer" } });
  const error = { code: "TURN_FAILED", message: "/home/me: no credit", class: "billing" };
  await source.append('"a"', { body: { v: 1, state: "failed", error } });
  const asked = {
    v: 1,
    id: "p1",
    tool: "Bash",
    input: { command: "rm" },
    suggestions: [],
    expiresAt: 1_700_000_000_000,
  };
  await source.append('"a"', { type: "approval_requested", body: asked });
  await source.append('"a"', { type: "approval_settled", body: { v: 1, id: "p1", tool: "Bash", outcome: "denied" } });
  await receiver.until(() => receiver.requests.length === 4);
  const shown = receiver.requests.map(({ type, data }) => ({ type, ...data }));
  expect(shown).toEqual([
    { type: "turn.completed", session: "a", event: 1, turnId: "turn 1", state: "completed" },
    {
      type: "turn.failed",
      session: "a",
      event: 3,
      turnId: "turn 3",
      state: "failed",
      error: { code: "TURN_FAILED", message: "The assistant is not available at the moment. Please try again later." },
    },
    {
      type: "approval.requested",
      session: "a",
      event: 4,
      turnId: "turn 4",
      approvalId: "p1",
      tool: "Bash",
      expiresAt: "2023-11-14T22:13:20.000Z",
    },
    {
      type: "approval.answered",
      session: "a",
      event: 5,
      turnId: "turn 5",
      approvalId: "p1",
      tool: "Bash",
      outcome: "denied",
    },
  ]);
  expect(receiver.forged).toEqual([]);
  await done(source);
  expect(receiver.ids).toHaveLength(4);
  expect(source.webhooks.list()).toMatchObject([{ id: "e", state: "ready", delivered: 4, dropped: 0 }]);
  expect(JSON.stringify(source.webhooks.list())).not.toContain("in-the-query");
});

test.each([500, 404, 301, 503, 429, "lost", "never"] as const)(
  "Webhooks: an event that is answered with %s is sent again under the same id, before later ones",
  async (answer) => {
    await using receiver = await Receiver.open();
    const options = { url: receiver.url, secret: SECRET, timeout: answer === "never" ? "1m" : timeout };
    await using source = await EventSource.open(memoryJournal(), [options], clock);
    receiver.answer = () => (receiver.requests.length <= 3 ? answer : 200);
    await source.append('"a"');
    await source.append('"a"');
    await receiver.until(() => receiver.confirmed.length === 2);
    const [first, second] = receiver.ids;
    expect(receiver.requests.map(({ id }) => id)).toEqual([first, first, first, first, second]);
    await done(source);
  },
);

test("Webhooks: each secret signs, so that a receiver can replace one by another", async () => {
  await using receiver = await Receiver.open(OLD_SECRET);
  await using source = await EventSource.open(
    memoryJournal(),
    [{ url: receiver.url, secret: [SECRET, OLD_SECRET], timeout }],
    clock,
  );
  await source.append('"a"');
  await receiver.until(() => receiver.confirmed.length === 1);
  expect(receiver.forged).toEqual([]);
});

test("Webhooks: an endpoint that answers 410 gets nothing until it is retried, also by later events", async () => {
  await using receiver = await Receiver.open();
  await using source = await EventSource.open(
    memoryJournal(),
    [{ url: receiver.url, secret: SECRET, id: "e", timeout }],
    clock,
  );
  receiver.answer = () => 410;
  await source.append('"a"');
  await eventually(() => source.webhooks.list()[0]?.state === "disabled");
  await source.append('"b"');
  receiver.answer = () => 200;
  expect(await source.webhooks.test("e")).toMatchObject({ delivered: true, status: 200 });
  expect(receiver.requests.map(({ type }) => type)).toEqual(["turn.completed", "webhook.test"]);
  expect(source.webhooks.list()).toMatchObject([
    { state: "disabled", pendingSessions: 2, lastFailure: { status: 410 } },
  ]);
  expect(source.warnings).toEqual([expect.stringContaining("is disabled: it answered 410")]);
  source.webhooks.retry("e");
  await receiver.until(() => receiver.confirmed.length === 3);
  await done(source);
  expect(source.webhooks.list()).toMatchObject([{ state: "ready", delivered: 2, pendingSessions: 0 }]);
  expect(() => source.webhooks.retry("f")).toThrow("there is no webhook");
});

test("Webhooks: an event that is too old is dropped, which is told, and the next one follows", async () => {
  await using receiver = await Receiver.open();
  const options = { url: receiver.url, secret: SECRET, id: "e", maxAge: "1h", timeout };
  await using source = await EventSource.open(memoryJournal(), [options], clock);
  const drops: unknown[] = [];
  const leave = on("castellan:webhook:drop", (drop) => void drops.push(drop));
  const { stop, points } = measured();
  const lines: object[] = [];
  const silence = logEvents({ info: () => {}, warn: (fields) => lines.push(fields) });
  receiver.answer = ({ data }) => (data["event"] === 1 ? 500 : 200);
  await source.append('"a"', { at: Date.now() - 3_601_000 });
  await source.append('"a"');
  await receiver.until(() => receiver.confirmed.length === 1);
  expect(drops).toEqual([{ endpoint: "e", session: "a", reason: "expired", event: 1 }]);
  // As of an endpoint that cannot be reached.
  await receiver.down();
  await source.append('"b"', { at: Date.now() - 3_601_000 });
  await eventually(() => drops.length === 2);
  leave();
  const mine = { "castellan.webhook.id": "e" };
  expect(await points(METRICS.webhookDrops)).toEqual([
    { ...mine, "castellan.webhook.drop.reason": "expired", value: 2 },
  ]);
  expect(await points(METRICS.webhookRequests)).toEqual([
    { ...mine, "castellan.webhook.outcome": "rejected", value: 1 },
    { ...mine, "castellan.webhook.outcome": "delivered", value: 1 },
    { ...mine, "castellan.webhook.outcome": "unreachable", value: 1 },
  ]);
  expect(lines).toEqual(drops);
  stop();
  silence();
  expect(source.webhooks.list()).toMatchObject([{ dropped: 2 }]);
  expect(source.warnings[0]).toContain("events could not be delivered in time");
});

test("Webhooks: events that the journal deletes before they are delivered are told", async () => {
  await using receiver = await Receiver.open();
  await using source = await EventSource.open(
    memoryJournal(),
    [{ url: receiver.url, secret: SECRET, id: "e", timeout }],
    clock,
  );
  await receiver.down();
  for (let n = 0; n < 5; n++) await source.append('"a"');
  await eventually(() => source.webhooks.list()[0]?.state === "failing");
  const events = { since: 0, perSession: 2, bytesPerSession: Number.POSITIVE_INFINITY };
  await source.journal.prune({ endedSince: 0, turnsPerSession: 10, events });
  const drops: unknown[] = [];
  const leave = on("castellan:webhook:drop", (drop) => void drops.push(drop));
  await receiver.up();
  await receiver.until(() => receiver.requests.some(({ data }) => data["event"] === 5));
  leave();
  // Of the deleted ones, it gets at most those that were in memory.
  const numbers = receiver.events.map(({ data }) => data["event"]);
  expect(numbers[0]).toBe(1);
  expect(numbers.slice(-2)).toEqual([4, 5]);
  expect(drops).toEqual([{ endpoint: "e", session: "a", reason: "pruned", event: 4 }]);
});

test("Webhooks: an endpoint that does not answer delays no other, and gets eight requests at a time", async () => {
  await using slow = await Receiver.open();
  await using quick = await Receiver.open();
  slow.answer = () => "never";
  const endpoints = [slow, quick].map(({ url }, n) => ({ url, secret: SECRET, id: `e${n}`, timeout }));
  await using source = await EventSource.open(memoryJournal(), endpoints, clock);
  const names = Array.from({ length: 60 }, (_, n) => JSON.stringify(["user", n]));
  await Promise.all(names.map((name) => source.append(name)));
  await quick.until(() => quick.confirmed.length === names.length);
  const [one] = source.webhooks.list();
  // The others wait in the journal.
  expect(one).toMatchObject({ pendingSessions: 40, morePending: true, delivered: 0 });
  expect(slow.requests.length).toBeLessThanOrEqual(16);
  slow.answer = () => 200;
  source.webhooks.retry("e0");
  await slow.until(() => new Set(slow.confirmed).size === names.length);
  await done(source);
});

test("Webhooks: sessions whose event is always rejected leave room for others", async () => {
  await using receiver = await Receiver.open();
  receiver.answer = ({ data }) => (String(data["session"]).startsWith("bad") ? 400 : 200);
  const endpoints = [{ url: receiver.url, secret: SECRET, id: "e", timeout }];
  await using source = await EventSource.open(memoryJournal(), endpoints, clock);
  await Promise.all(Array.from({ length: 40 }, (_, n) => source.append(JSON.stringify(`bad ${n}`))));
  await source.append('"good"');
  await receiver.until(() => receiver.confirmed.length === 1);
  expect(source.webhooks.list()).toMatchObject([{ state: "ready", morePending: expect.any(Boolean) }]);
});

test("Webhooks: labels and prefixes choose the sessions", async () => {
  await using receiver = await Receiver.open();
  const where = { url: receiver.url, secret: SECRET, timeout };
  const endpoints = [
    { ...where, id: "prefix", prefix: ["user"] as const },
    { ...where, id: "labels", labels: { tier: "gold" } },
    { ...where, id: "types", types: ["turn.failed"] as const },
  ];
  await using source = await EventSource.open(memoryJournal(), endpoints, clock);
  const saved = { supervisor: "application", conversationId: "c", memory: {}, savedAt: 1 };
  await source.writer.write([
    { type: "session_saved", session: { key: '"other"', ...saved } },
    { type: "session_described", session: '"other"', description: { labels: { tier: "gold", a: "b" } } },
  ]);
  await source.append('["user",1]');
  await source.append('"other"');
  await source.append('"users"', { body: { v: 1, state: "failed" } });
  await receiver.until(() => receiver.requests.length === 3);
  await done(source);
  expect(receiver.requests.map(({ data }) => data["session"]).toSorted()).toEqual(["other", ["user", 1], "users"]);
});

test("Webhooks: a session that is forgotten has nothing undelivered, and one of its name begins anew", async () => {
  await using receiver = await Receiver.open();
  const journal = memoryJournal();
  await using source = await EventSource.open(
    journal,
    [{ url: receiver.url, secret: SECRET, id: "e", timeout }],
    clock,
  );
  await receiver.down();
  for (let n = 0; n < 3; n++) await source.append('"a"', { at: 1 + Date.now() });
  source.deliveries.leave('"a"');
  await source.writer.write([{ type: "session_forgotten", session: '"a"' }]);
  expect(await journal.deliveries({ limit: 9 })).toEqual([]);
  await receiver.up();
  source.webhooks.retry("e");
  // Its events have the numbers from 1 again.
  await source.append('"a"', { number: 1, turn: "again" });
  await receiver.until(() => receiver.confirmed.length === 1);
  await done(source);
  expect(receiver.requests.map(({ data }) => data["turnId"])).toEqual(["again"]);
});
