import fc from "fast-check";
import { expect, test } from "vitest";
import { pause } from "../../../src/clock.ts";
import { type EventOptions, readEvents } from "../../../src/session/record/event-readers.ts";
import { readEvent } from "../../../src/session/record/event-schemas.ts";
import type { EventDraft, SessionEvent } from "../../../src/session/record/session-event-types.ts";
import { type EventAppended, SessionRecord } from "../../../src/session/record/session-record.ts";
import type { TailLimits } from "../../../src/session/record/tail.ts";
import { SimulatedClock } from "../../supervision/simulated-clock.ts";
import { StoredEvents } from "./stored-events.ts";

/** What a reader asks for, and how long it takes for each event. */
interface Client {
  readonly types: readonly SessionEvent["type"][] | undefined;
  readonly turn: string | undefined;
  readonly paceMs: number;
}

type Step =
  /** The session does something; some of it has deltas. */
  | { readonly type: "append"; readonly kinds: readonly Kind[] }
  /** The journal takes batches; `again`: it takes the last one twice. */
  | { readonly type: "write"; readonly batches: number; readonly again: boolean }
  /** The application is told of batches that the journal has taken. */
  | { readonly type: "answer"; readonly batches: number }
  | { readonly type: "refuse" }
  | { readonly type: "prune"; readonly count: number }
  /** The application dies and starts again; or stops in good order. */
  | { readonly type: "crash" }
  | { readonly type: "restart" }
  | { readonly type: "advance"; readonly ms: number }
  | { readonly type: "connect"; readonly client: number; readonly from: "start" | "now" }
  /** A client loses its connection and comes back with the number of its last event. */
  | { readonly type: "reconnect"; readonly client: number };

type Kind = "text" | "tool_use" | "turn_retried" | "turn_ended" | "delta";

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      type: fc.constant("append"),
      kinds: fc.array(fc.constantFrom<Kind[]>("text", "text", "tool_use", "turn_retried", "turn_ended", "delta"), {
        minLength: 1,
        maxLength: 5,
      }),
    }),
  },
  { weight: 6, arbitrary: fc.record({ type: fc.constant("write"), batches: fc.nat(4), again: fc.boolean() }) },
  { weight: 5, arbitrary: fc.record({ type: fc.constant("answer"), batches: fc.nat(4) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("refuse") }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("prune"), count: fc.nat(6) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("crash") }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("restart") }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant("advance"), ms: fc.constantFrom(1, 5, 30) }) },
  {
    weight: 5,
    arbitrary: fc.record({
      type: fc.constant("connect"),
      client: fc.nat(3),
      from: fc.constantFrom("start" as const, "now" as const),
    }),
  },
  { weight: 3, arbitrary: fc.record({ type: fc.constant("reconnect"), client: fc.nat(3) }) },
);

const client: fc.Arbitrary<Client> = fc.record({
  types: fc.constantFrom<Client["types"][]>(undefined, undefined, ["text", "pruned"], ["text_delta"]),
  turn: fc.constantFrom(undefined, undefined, undefined, "turn 2"),
  paceMs: fc.constantFrom(0, 0, 3, 40),
});

/** One run of an application: its record, and its batches on their way to the journal. */
class Application {
  readonly record: SessionRecord;
  readonly #stored: StoredEvents;
  /** Batches that the journal has not taken, and those whose answer has not arrived. */
  #queue: EventAppended[][];
  readonly #unanswered: EventAppended[][] = [];

  constructor(stored: StoredEvents, clock: SimulatedClock, limits: TailLimits) {
    this.#stored = stored;
    this.record = new SessionRecord("s", clock, { limits });
    this.#queue = [this.record.open(stored.last)];
  }

  append(drafts: readonly EventDraft[]): void {
    this.#queue.push(this.record.append(drafts));
  }

  write(batches: number, again: boolean): void {
    const taken = this.#queue.splice(0, batches);
    for (const batch of taken) this.#stored.write(batch);
    const last = taken.at(-1);
    if (again && last !== undefined) this.#stored.write(last);
    this.#unanswered.push(...taken);
  }

  answer(batches: number): void {
    for (const batch of this.#unanswered.splice(0, batches)) this.record.written(batch);
  }

  /** The journal rejects the next batch for good. What replaces it is written after the batches behind it. */
  refuse(): void {
    const refused = this.#queue.shift();
    if (refused !== undefined) this.#queue.push(this.record.replacing(refused));
  }

  settle(): void {
    this.write(this.#queue.length, false);
    this.answer(this.#unanswered.length);
  }
}

/** A reader over all its connections: what it has seen, and what it must see. */
class Reader {
  readonly client: Client;
  readonly seen: SessionEvent[] = [];
  /** Deltas by the identity that the test gives them. */
  readonly #deltas = new Set<string>();
  /** The number of the last event that it has seen or that it was told is gone. */
  number: number | undefined;
  readonly #clock: SimulatedClock;
  #leave: (() => void) | undefined;
  over: Promise<void> = Promise.resolve();
  isConnected = false;
  /** Whether it has read the end of its turn. */
  isDone = false;

  constructor(asked: Client, clock: SimulatedClock) {
    this.client = asked;
    this.#clock = clock;
  }

  connect(record: SessionRecord, stored: StoredEvents, after: number | undefined): void {
    if (this.isDone) return;
    this.leave();
    let isLeft = false;
    this.#leave = () => {
      isLeft = true;
    };
    const { types, turn } = this.client;
    const options: EventOptions = {
      ...(types === undefined ? {} : { types }),
      ...(turn === undefined ? {} : { turn }),
      ...(after === undefined ? {} : { after }),
    };
    this.#deltas.clear();
    this.isConnected = true;
    this.number = after;
    const events = readEvents(record, stored, options);
    this.over = (async () => {
      for await (const event of events) {
        if (isLeft) break;
        this.#take(event);
        if (this.client.paceMs > 0) await pause(this.#clock, this.client.paceMs);
        if (isLeft) break;
      }
    })();
    this.over.catch(() => {});
  }

  leave(): void {
    this.#leave?.();
    this.#leave = undefined;
  }

  get #readsAll(): boolean {
    return this.client.types === undefined && this.client.turn === undefined;
  }

  #take(event: SessionEvent): void {
    if (event.type === "text_delta") {
      expect(this.#deltas).not.toContain(event.text);
      this.#deltas.add(event.text);
      // A delta comes between the recorded events that it came between.
      if (this.#readsAll && this.number !== undefined) expect(event.after).toBe(this.number);
      return;
    }
    this.seen.push(event);
    if (event.type === "pruned") {
      expect(event.oldest).toBeGreaterThan(this.number ?? 0);
      this.number = event.oldest - 1;
    } else if (event.number !== undefined) {
      if (this.#readsAll && this.number !== undefined) expect(event.number).toBe(this.number + 1);
      else expect(event.number).toBeGreaterThan(this.number ?? 0);
      this.number = event.number;
      if (event.type === "turn_ended" && event.turnId === this.client.turn) this.isDone = true;
    }
  }
}

async function run(
  latencies: readonly number[],
  limits: TailLimits,
  largestPage: number,
  clients: readonly Client[],
  steps: readonly Step[],
): Promise<number> {
  const clock = new SimulatedClock();
  const stored = new StoredEvents(clock, latencies, largestPage);
  let application = new Application(stored, clock, limits);
  const readers = clients.map((asked) => new Reader(asked, clock));
  /** Every event that a reader has seen, by number: what one has seen cannot become something else. */
  let drawn = 0;
  const draftOf = (kind: Exclude<Kind, "delta">): EventDraft => {
    drawn++;
    const turnId = `turn ${Math.floor(drawn / 8)}`;
    switch (kind) {
      case "text":
        return { type: "text", text: `text ${drawn}`, block: `b${drawn}`, turnId };
      case "tool_use":
        return { type: "tool_use", id: `u${drawn}`, name: "Bash", input: { command: `${drawn}` }, turnId };
      case "turn_retried":
        return { type: "turn_retried", reason: "restarted", turnId };
      case "turn_ended":
        return { type: "turn_ended", state: "completed", turnId };
    }
  };
  for (const one of steps) {
    switch (one.type) {
      case "append":
        for (const kind of one.kinds) {
          if (kind === "delta") application.record.show({ type: "text_delta", text: `delta ${drawn++}`, block: "b" });
          else application.append([draftOf(kind)]);
        }
        break;
      case "write":
        application.write(one.batches, one.again);
        break;
      case "answer":
        application.answer(one.batches);
        break;
      case "refuse":
        application.refuse();
        break;
      case "prune":
        stored.prune(one.count);
        break;
      case "restart":
      case "crash":
        if (one.type === "restart") application.settle();
        application.record.end({ drop: one.type === "crash" });
        await clock.advance(0);
        application = new Application(stored, clock, limits);
        for (const reader of readers) if (reader.isConnected) reader.connect(application.record, stored, reader.number);
        break;
      case "advance":
        await clock.advance(one.ms);
        break;
      case "connect": {
        const reader = readers[one.client];
        if (reader === undefined || reader.isConnected) break;
        reader.connect(application.record, stored, one.from === "start" ? 0 : undefined);
        break;
      }
      case "reconnect": {
        const reader = readers[one.client];
        if (reader?.isConnected === true) reader.connect(application.record, stored, reader.number);
        break;
      }
    }
  }
  application.settle();
  await clock.advance(100_000);
  application.record.end();
  await clock.advance(100_000);
  await Promise.all(readers.map(({ over }) => over));
  for (const reader of readers) check(reader, stored);
  return readers.reduce((sum, { seen }) => sum + seen.length, 0);
}

/** A reader has seen what is stored, and all of it that it asked for, from its beginning on. */
function check({ client: { types, turn }, seen, number }: Reader, stored: StoredEvents): void {
  if (number === undefined) return;
  const numbers = new Set(seen.map((event) => event.number));
  for (const event of seen) {
    const entry = event.number === undefined ? undefined : stored.ever.get(event.number);
    // The journal does not take the replacement of a rejected event that it has later events of.
    const isReplacement = event.type === "lost" && entry === undefined;
    if (event.number !== undefined && !isReplacement) expect(event).toEqual(entry && readEvent(entry));
  }
  if (turn === undefined && types === undefined) {
    expect(number).toBe(stored.last);
    return;
  }
  const begin = seen.find((event) => event.number !== undefined)?.number ?? Number.POSITIVE_INFINITY;
  const wanted = [...stored.ever.values()]
    .filter((entry) => entry.number >= begin && (turn === undefined || entry.turn === turn))
    .toSorted((one, other) => one.number - other.number);
  const end = wanted.find(({ type }) => turn !== undefined && type === "turn_ended")?.number ?? stored.last;
  for (const entry of wanted) {
    if (entry.number > end || !stored.entries.has(entry.number)) continue;
    if (types === undefined || types.some((type) => type === entry.type)) expect(numbers).toContain(entry.number);
  }
}

test("session.events(): over random crashes, reconnects, retries and slow readers, no reader loses, doubles or reorders an event", async () => {
  let seen = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom(0, 0, 1, 7), { minLength: 1, maxLength: 4 }),
      fc.constantFrom(1, 3, 1_000),
      fc.constantFrom(4, 1_000),
      fc.constantFrom(2, 1_000),
      fc.array(client, { minLength: 4, maxLength: 4 }),
      fc.array(step, { minLength: 10, maxLength: 70, size: "max" }),
      async (latencies, kept, pending, largestPage, clients, steps) => {
        seen += await run(latencies, { kept, pending }, largestPage, clients, steps);
      },
    ),
    { numRuns: 1_000 },
  );
  // The readers have read something.
  expect(seen).toBeGreaterThan(10_000);
});
