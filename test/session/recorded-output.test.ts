import { expect, test } from "vitest";
import { CastellanError } from "../../src/errors.ts";
import type { SessionEvent } from "../../src/session/record/session-event-types.ts";
import { type RecordReads, recordedOutput } from "../../src/session/streams/recorded-output.ts";

const TURN = { id: "t", recalled: true, accepted: Promise.resolve(), result: new Promise<never>(() => {}) };
const envelope = { v: 1, at: 0, turnId: "t" };
const started: SessionEvent = { ...envelope, number: 1, type: "turn_started", attempt: 2 };
const text: SessionEvent = { ...envelope, number: 2, type: "text", text: "so far", block: "m.0" };
const ended: SessionEvent = { ...envelope, number: 4, type: "turn_ended", state: "completed" };

function broken(reason: "damaged" | "unreachable"): CastellanError {
  return new CastellanError("JOURNAL_UNAVAILABLE", "event 3 is damaged", { details: { reason } });
}

/** Reads these events; an error takes the place of an event that cannot be read. */
function reading(events: readonly (SessionEvent | CastellanError)[]): RecordReads {
  return {
    content: async () => undefined,
    events: async function* ({ types }) {
      for (const event of events) {
        if (event instanceof Error) throw event;
        if (types === undefined || types.includes(event.type)) yield event;
      }
    },
  };
}

async function read(reads: RecordReads) {
  const output = recordedOutput(TURN, reads);
  const events: string[] = [];
  for (;;) {
    const { done, value } = await output.next();
    if (done) return { events, has: value };
    events.push(`${value.attempt}.${value.number} ${value.event.type}`);
  }
}

test("recordedOutput(): puts `lost` in the place of a damaged event and what follows it", async () => {
  // Only the reader of all types comes to the damaged event.
  const { events, content } = reading([started, text, broken("damaged"), ended]);
  const whole = reading([started, text, ended]);
  const reads: RecordReads = { content, events: (options) => (options.types ? whole : { events }).events(options) };
  expect(await read(reads)).toEqual({ events: ["2.2 text", "2.2 lost"], has: true });
});

test("recordedOutput(): does not have a turn whose states are damaged, so that its outcome counts", async () => {
  expect(await read(reading([broken("damaged")]))).toEqual({ events: [], has: false });
});

test("recordedOutput(): fails while the journal cannot be read", async () => {
  await expect(read(reading([started, broken("unreachable")]))).rejects.toMatchObject({ code: "JOURNAL_UNAVAILABLE" });
});
