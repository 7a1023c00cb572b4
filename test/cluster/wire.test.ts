import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EMPTY_LINE, JsonLines, jsonLine } from "../../src/cluster/http/json-lines.ts";
import { CALL_METHODS, isCallMethod } from "../../src/cluster/protocol/call-methods.ts";
import { commonProtocol, PROTOCOLS, speaks } from "../../src/cluster/protocol/protocol.ts";
import {
  isOver,
  OVER,
  readCallAnswer,
  readCallRequest,
  readEventFrame,
  readEventsRequest,
  readTurnFrame,
  readTurnRequest,
} from "../../src/cluster/protocol/wire.ts";

/** Any text, with lone surrogates, U+0000 and U+2028. */
const text = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.array(fc.integer({ min: 0, max: 0xffff })).map((units) => String.fromCharCode(...units)),
  fc.constantFrom("\u2028\u2029", "\u0000", "\ud800", "\udc00x", "\uFEFF", "\n", "\r\n"),
);
/** The canonical name of a session. */
const name = fc
  .array(fc.string({ minLength: 1, maxLength: 20, unit: "binary" }), { minLength: 1, maxLength: 3 })
  .map((parts) => JSON.stringify(parts));
/** Any JSON value. JSON has no -0. */
const json = fc.jsonValue({ depthSize: "small" }).map((value): unknown => JSON.parse(JSON.stringify(value)));
const object = fc.dictionary(text, json).map((value): Record<string, unknown> => JSON.parse(JSON.stringify(value)));
const owner = fc.record({ boot: text, address: text });
const error = fc.record({ code: text, message: text, details: object });
const message = object.chain((rest) => text.map((type) => ({ ...rest, type })));
const of = <Type extends string>(type: Type): fc.Arbitrary<Type> => fc.constant(type);

const turnRequest = fc.record(
  {
    key: name,
    turnId: text,
    ask: fc.record(
      {
        prompt: text,
        command: fc.record({ name: text, args: text }),
        verbatimPrompts: fc.boolean(),
        idempotencyKey: text,
        timeoutMs: fc.nat(),
        queueTimeoutMs: fc.nat(),
        whenBusy: fc.constantFrom("enqueue", "reject", "interrupt", "rollback"),
      },
      { requiredKeys: ["prompt", "idempotencyKey"] },
    ),
    after: fc.record({ boot: text, life: text, number: fc.nat() }, { requiredKeys: ["boot", "number"] }),
    messages: fc.boolean(),
    claim: fc.boolean(),
  },
  { requiredKeys: ["key", "turnId", "messages", "claim"] },
);

const callRequest = fc.record({
  key: name,
  method: fc.constantFrom(...CALL_METHODS),
  args: fc.array(json),
  claim: fc.boolean(),
});

const turnFrame = fc.oneof(
  fc.record({ type: of("found"), boot: text, number: fc.nat(), recalled: fc.boolean() }),
  fc.record({ type: of("accepted") }),
  fc.record(
    { type: of("messages"), life: text, number: fc.nat(), attempt: fc.nat(), messages: fc.array(message) },
    { requiredKeys: ["type", "number", "attempt", "messages"] },
  ),
  fc.record({
    type: of("end"),
    state: fc.constantFrom("completed", "failed", "interrupted", "cancelled", "timed_out"),
    attempts: fc.nat(),
    touched: fc.boolean(),
    outcome: object,
  }),
  fc.record({ type: of("left") }),
  fc.record({ type: of("unknown") }),
  fc.record({ type: of("refused"), error }),
  fc.record({ type: of("events_lost"), oldest: fc.nat() }),
  fc.record({ type: of("not_owner"), owner }, { requiredKeys: ["type"] }),
);

const callAnswer = fc.oneof(
  fc.record({ type: of("answer"), value: json }),
  fc.record({ type: of("failed"), error }),
  fc.record({ type: of("not_owner"), owner }, { requiredKeys: ["type"] }),
);

/** Sends values as lines, cut into pieces at any byte, with pings in between. */
function sent(values: readonly unknown[], cuts: readonly number[]): unknown[] {
  const bytes = Buffer.concat(values.flatMap((value) => [jsonLine(value), EMPTY_LINE]));
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort((one, other) => one - other);
  const lines = new JsonLines(1_000_000);
  return places.slice(1).flatMap((end, at) => lines.push(bytes.subarray(places[at], end)));
}

describe("wire format", () => {
  const cuts = fc.array(fc.nat());

  it.each([
    ["turn requests", turnRequest, readTurnRequest],
    ["calls", callRequest, readCallRequest],
    ["frames", turnFrame, readTurnFrame],
    ["answers", callAnswer, readCallAnswer],
  ] as [string, fc.Arbitrary<unknown>, (value: unknown) => unknown][])("round-trips %s", (_, any, read) => {
    const comesThrough = fc.property(fc.array(any, { maxLength: 5 }), cuts, (values, cuts) => {
      expect(sent(values, cuts).map(read)).toEqual(values);
    });
    fc.assert(comesThrough, { numRuns: 200 });
  });

  it("round-trips events of any kind", () => {
    const comesThrough = fc.property(fc.array(json), cuts, (events, cuts) => {
      const frames = events.map((event) => ({ type: "event", event }));
      const lines = sent([...frames, OVER], cuts);
      expect(lines.map(isOver)).toEqual([...events.map(() => false), true]);
      expect(lines.slice(0, -1).map(readEventFrame)).toEqual(frames);
    });
    fc.assert(comesThrough, { numRuns: 200 });
  });

  it("passes messages of the SDK unchecked", () => {
    const message = { type: "of a later release", deep: [{ anything: null }] };
    const frame = { type: "messages", number: 0, attempt: 1, messages: [message] };
    expect(readTurnFrame(frame)).toEqual(frame);
  });

  it.each([
    [readTurnFrame, { type: "found", boot: "b", number: -1, recalled: true }, "a frame that does not parse: number: "],
    [
      readTurnFrame,
      { type: "messages", number: 0, attempt: 1, messages: [1] },
      "messages.0: Invalid input: expected a message",
    ],
    [readTurnFrame, "text", "a frame that does not parse"],
    [readTurnRequest, {}, "a turn request that does not parse: key: "],
    [readCallRequest, { key: '"k"' }, "method: "],
    [readEventsRequest, null, "an events request that does not parse: the whole value: "],
    [
      readCallAnswer,
      { type: "failed", error: { code: "X", message: "m", details: [] } },
      "error.details: Invalid input",
    ],
  ] as [(value: unknown) => unknown, unknown, string][])("rejects %o with the problem", (read, value, said) => {
    expect(() => read(value)).toThrow(said);
  });

  it("returns undefined for an unknown type", () => {
    expect(readTurnFrame({ type: "later" })).toBeUndefined();
    expect(readEventFrame({ type: "later" })).toBeUndefined();
    expect([isCallMethod("status"), isCallMethod("later")]).toEqual([true, false]);
  });
});

describe("JsonLines", () => {
  it("emits a line once it is complete", () => {
    const lines = new JsonLines(100);
    expect(lines.push(Buffer.from('{"a":'))).toEqual([]);
    expect(lines.push(Buffer.from("1}\n2\n3"))).toEqual([{ a: 1 }, 2]);
    expect(lines.push(Buffer.from("4\n"))).toEqual([34]);
  });

  it("rejects a line that is too long before it is complete", () => {
    const lines = new JsonLines(10);
    expect(lines.push(Buffer.from('"12345678"\n"1234'))).toEqual(["12345678"]);
    expect(() => lines.push(Buffer.from("567890"))).toThrow("a line of more than 10 bytes");
  });

  it("rejects a line that is not JSON", () => {
    expect(() => new JsonLines(100).push(Buffer.from("<html>\n"))).toThrow("a line that is not JSON: <html>");
  });
});

describe("commonProtocol and speaks", () => {
  it.each([
    [[1, 1], [1, 1], 1],
    [[1, 3], [2, 5], 3],
    [[2, 5], [1, 3], 3],
    [[1, 1], [2, 3], undefined],
    [[4, 4], [2, 3], undefined],
  ] as const)("find in %j and %j the highest common protocol %s", (theirs, ours, common) => {
    expect(commonProtocol(theirs, ours)).toBe(common);
  });

  it("default to the protocols of this release", () => {
    expect(commonProtocol([1, 9])).toBe(PROTOCOLS[1]);
    expect([0, 1, 2, 1.5, Number.NaN].map((protocol) => speaks([1, 1], protocol))).toEqual([
      false,
      true,
      false,
      false,
      false,
    ]);
  });
});
