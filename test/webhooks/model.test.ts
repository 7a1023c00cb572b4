import { array, asyncProperty, assert as checkAll, constantFrom, integer, oneof, record } from "fast-check";
import { expect, test } from "vitest";
import type { EventEntry } from "../../src/journal/model/event-entry.ts";
import { webhookId } from "../../src/webhooks/signature.ts";
import { webhookTypeOf } from "../../src/webhooks/webhook-type.ts";
import { CrashingJournal } from "../session-on-fake/crashing-journal.ts";
import { ticks } from "../session-on-fake/scene.ts";
import { EventSource } from "./event-source.ts";
import { type Answer, Receiver, SECRET } from "./receiver.ts";
import { scaledClock } from "./scaled-clock.ts";

const SESSIONS = ['"a"', '"b"', '["user",3]'];

const clock = scaledClock(2_000);

/** What happens, in order. */
type Step =
  | { readonly do: "append"; readonly session: number; readonly kind: number }
  /** How the receiver answers the next requests. */
  | { readonly do: "answer"; readonly answers: readonly Answer[] }
  /** The application dies, its last batches perhaps unwritten, and starts again. */
  | { readonly do: "crash"; readonly unwritten: number }
  /** The application stops in an orderly way, and starts again. */
  | { readonly do: "restart" }
  | { readonly do: "wait"; readonly ticks: number };

const answers = array(constantFrom<Answer>(200, 204, 500, 400, 503, 429, "lost"), { minLength: 1, maxLength: 6 });

const steps = array(
  oneof(
    {
      weight: 5,
      arbitrary: record({
        do: constantFrom("append" as const),
        session: integer({ min: 0, max: 2 }),
        kind: integer({ min: 0, max: 3 }),
      }),
    },
    { weight: 2, arbitrary: record({ do: constantFrom("answer" as const), answers }) },
    { weight: 2, arbitrary: record({ do: constantFrom("crash" as const), unwritten: integer({ min: 0, max: 3 }) }) },
    { weight: 1, arbitrary: record({ do: constantFrom("restart" as const) }) },
    { weight: 3, arbitrary: record({ do: constantFrom("wait" as const), ticks: integer({ min: 1, max: 40 }) }) },
  ),
  { minLength: 5, maxLength: 40 },
);

const KINDS: readonly Partial<EventEntry>[] = [
  { body: { v: 1, state: "completed" } },
  { type: "text", body: { v: 1, text: "not for webhooks" } },
  { type: "approval_requested", body: { v: 1, id: "p", tool: "Bash" } },
  { body: { v: 1, state: "failed", error: { code: "TURN_FAILED", message: "no", class: "auth" } } },
];

test("Webhooks: no crash, restart or lost answer loses an event, changes its id or its place among those of its session", async () => {
  await checkAll(
    asyncProperty(steps, async (plan: readonly Step[]) => {
      await using receiver = await Receiver.open();
      const pending: Answer[] = [];
      receiver.answer = () => pending.shift() ?? 200;
      const options = [{ url: receiver.url, secret: SECRET, id: "e", timeout: "5m" }];
      let crashing = new CrashingJournal();
      let source = await EventSource.open(crashing.journal, options, clock, SESSIONS);
      for (const step of plan) {
        if (step.do === "append") {
          // A crash may leave it unwritten.
          void source.append(SESSIONS[step.session] ?? "", KINDS[step.kind] ?? {}).catch(() => {});
        } else if (step.do === "answer") pending.push(...step.answers);
        else if (step.do === "wait") await ticks(step.ticks);
        else {
          if (step.do === "crash") {
            // Crashes within the batches that are being written.
            await ticks(step.unwritten);
            crashing.crash();
            source.kill();
          } else await source[Symbol.asyncDispose]();
          crashing = await crashing.next();
          source = await EventSource.open(crashing.journal, options, clock, SESSIONS);
        }
      }
      pending.length = 0;
      await source.writer.settled();
      while ((await crashing.journal.deliveries({ limit: 1 })).length > 0 || source.writer.fault !== undefined) {
        source.webhooks.retry("e");
        await ticks(1);
      }
      await source.writer.settled();
      for (const session of SESSIONS) {
        const events = await crashing.journal.events({ session, limit: 1_000 });
        const wanted = events.filter((event) => webhookTypeOf(event) !== undefined);
        const ids = wanted.map(({ number, at }) => webhookId({ endpoint: "e", session, number, at }));
        const shown = JSON.parse(session) as unknown;
        const own = receiver.requests.filter(({ data }) => JSON.stringify(data["session"]) === JSON.stringify(shown));
        expect([...new Set(own.map(({ id }) => id))]).toEqual(ids);
        const confirmed = new Set(receiver.confirmed);
        for (const id of ids) expect(confirmed.has(id), id).toBe(true);
        // The data of an id never changes.
        for (const same of Map.groupBy(own, ({ id }) => id).values()) {
          expect(new Set(same.map(({ body }) => body)).size).toBe(1);
        }
      }
      expect(receiver.forged).toEqual([]);
      await source[Symbol.asyncDispose]();
    }),
    { numRuns: 200 },
  );
});
