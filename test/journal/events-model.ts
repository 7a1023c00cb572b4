import fc from "fast-check";
import { expect } from "vitest";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import type { Change } from "../../src/journal/model/change.ts";
import type { Journal, JournalOwner, Retention } from "../../src/journal/model/journal.ts";
import { content, event, turn } from "../../src/testing/conformance/journal-case.ts";

/* Compares a journal to the one in memory, which is simple, after random changes of events and turns. */

const SESSIONS = ['"a"', '"b"', '"c"'];
/** Ids of turns, each of one session. */
const TURNS = SESSIONS.flatMap((session) => [1, 2, 3].map((n) => ({ id: `${session} ${n}`, session })));
const CONTENTS = ["one", "two", "three"].map((text) => content(text.repeat(200)));

type Append = {
  readonly do: "append";
  readonly session: string;
  /** How far the number is from the next one. */
  readonly off: number;
  readonly at: number;
  readonly size: number;
  readonly turn: string | undefined;
  readonly names: readonly number[];
};

interface Accept {
  readonly do: "accept";
  readonly turn: (typeof TURNS)[number];
  readonly names: readonly number[];
}

type Action =
  | Append
  | Accept
  | { readonly do: "end" | "withdraw"; readonly turn: (typeof TURNS)[number]; readonly at: number }
  | { readonly do: "forget" | "erase"; readonly session: string }
  | { readonly do: "end batch" | "write again" | "reopen" }
  | {
      readonly do: "prune";
      readonly since: number;
      readonly perSession: number;
      readonly bytesPerSession: number;
      readonly turnsPerSession: number;
    };

const session = fc.constantFrom(...SESSIONS);
const append: fc.Arbitrary<Action> = fc.record({
  do: fc.constant("append"),
  session,
  off: fc.constantFrom(0, 0, 0, 0, 0, 0, -1, -3, 2),
  at: fc.nat(100),
  size: fc.constantFrom(1, 10, 300, 2_000),
  turn: fc.constantFrom(undefined, "t1", "t2"),
  names: fc.oneof(fc.constant([]), fc.array(fc.nat(CONTENTS.length - 1), { maxLength: 2 })),
});

const accept: fc.Arbitrary<Action> = fc.record({
  do: fc.constant("accept"),
  turn: fc.constantFrom(...TURNS),
  names: fc.array(fc.nat(CONTENTS.length - 1), { maxLength: 2 }),
});

const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 30, arbitrary: append },
  { weight: 10, arbitrary: accept },
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constantFrom("end", "withdraw"), turn: fc.constantFrom(...TURNS), at: fc.nat(100) }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("end batch") }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("write again", "reopen") }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("forget", "erase"), session }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("prune"),
      since: fc.constantFrom(0, 0, 30, 101),
      perSession: fc.constantFrom(Number.POSITIVE_INFINITY, 20, 3, 0),
      bytesPerSession: fc.constantFrom(Number.POSITIVE_INFINITY, 5_000, 500, 0),
      turnsPerSession: fc.constantFrom(Number.POSITIVE_INFINITY, 1, 0),
    }),
  },
);

/** A journal, and the batches written to it. */
class Written {
  readonly #journal: Journal;
  #number = 0;
  #opened = 0;

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  async open(): Promise<void> {
    this.#opened += 1;
    const owner: JournalOwner = { id: `owner ${this.#opened}`, pid: 1, host: "h", startedAt: 0 };
    await this.#journal.open(owner);
    this.#number = 0;
  }

  async close(): Promise<void> {
    await this.#journal.close();
  }

  async reopen(): Promise<void> {
    await this.close();
    await this.open();
  }

  async write(changes: readonly Change[], again: boolean): Promise<void> {
    this.#number += 1;
    const batch = { number: this.#number, changes, durable: false };
    await this.#journal.write(batch);
    if (again) await this.#journal.write(batch);
  }

  async prune(retention: Retention): Promise<void> {
    await this.#journal.prune(retention);
  }

  /** Returns everything that the journal says of events, and which turns and contents it has. */
  async told(): Promise<unknown> {
    const ofSessions = SESSIONS.map(async (key) => ({
      forwards: await this.#pages(key, 7),
      backwards: await this.#journal.events({ session: key, before: Number.POSITIVE_INFINITY, limit: 5 }),
      ofTurn: await this.#journal.events({ session: key, turn: "t1", limit: 1_000 }),
      ofType: await this.#journal.events({ session: key, types: ["even", "none"], after: 3, limit: 4 }),
      extent: await this.#journal.eventExtent(key),
      count: (await this.#journal.extent(key)).events,
    }));
    const contents = CONTENTS.map(async ({ hash }) => (await this.#journal.content(hash))?.data.byteLength);
    const turns = TURNS.map(async ({ id }) => (await this.#journal.turn(id))?.prompt);
    const all = { ofSessions: await Promise.all(ofSessions), contents: await Promise.all(contents) };
    return { ...all, turns: await Promise.all(turns) };
  }

  async #pages(key: string, limit: number): Promise<unknown[]> {
    const all: unknown[] = [];
    for (let after = 0; ; ) {
      const page = await this.#journal.events({ session: key, after, limit });
      all.push(...page);
      const last = page.at(-1);
      if (last === undefined) return all;
      after = last.number;
    }
  }
}

/** Returns the change, and counts the numbers of the session. */
function appended({ session: key, off, at, size, turn, names }: Append, next: Map<string, number>): Change {
  const number = Math.max(1, (next.get(key) ?? 1) + off);
  next.set(key, Math.max(next.get(key) ?? 1, number + 1));
  const hashes = [...new Set(names)].flatMap((index) => CONTENTS[index]?.hash ?? []);
  return {
    type: "event_appended",
    event: event(number, {
      session: key,
      at,
      type: number % 2 === 0 ? "even" : "odd",
      body: { text: "x".repeat(size), number },
      ...(turn !== undefined && { turn }),
      ...(hashes.length > 0 && { contents: hashes }),
    }),
    contents: CONTENTS,
  };
}

function accepted({ turn: { id, session: key }, names }: Accept): Change {
  const contents = names.flatMap((index) => CONTENTS[index] ?? []);
  const prompt = JSON.stringify(contents.map(({ hash }) => hash));
  return { type: "turn_accepted", turn: turn(id, { session: key, prompt, promptKind: "text_json" }), contents };
}

/** Checks that the journals which `make` returns agree with the journal in memory. */
export async function agreesWithMemory(make: () => Journal, runs: number): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.array(action, { minLength: 10, maxLength: 120 }), async (actions) => {
      const both = [new Written(memoryJournal()), new Written(make())];
      const each = (work: (one: Written) => Promise<void>): Promise<unknown> => Promise.all(both.map(work));
      await each((one) => one.open());
      const next = new Map<string, number>();
      let pending: Change[] = [];
      let erased = 0;
      const flush = async (again = false): Promise<void> => {
        const changes = pending;
        pending = [];
        await each((one) => one.write(changes, again));
      };
      for (const step of actions) {
        if (step.do === "append") pending.push(appended(step, next));
        else if (step.do === "accept") pending.push(accepted(step));
        else if (step.do === "withdraw") pending.push({ type: "turn_withdrawn", turn: step.turn.id });
        else if (step.do === "end") {
          pending.push({ type: "turn_ended", turn: step.turn.id, state: "completed", at: step.at, outcome: {} });
        } else if (step.do === "forget" || step.do === "erase") {
          next.delete(step.session);
          erased += 1;
          const as = `"erased ${erased}"`;
          if (step.do === "forget") pending.push({ type: "session_forgotten", session: step.session });
          else pending.push({ type: "session_erased", session: step.session, as });
        } else {
          await flush(step.do === "write again");
          if (step.do === "reopen") await each((one) => one.reopen());
          if (step.do === "prune") {
            const { since, perSession, bytesPerSession, turnsPerSession } = step;
            const events = { since, perSession, bytesPerSession };
            await each((one) => one.prune({ endedSince: since, turnsPerSession, events }));
          }
        }
      }
      await flush();
      const [model, told] = await Promise.all(both.map((one) => one.told()));
      await each((one) => one.close());
      expect(told).toEqual(model);
    }),
    { numRuns: runs },
  );
}
