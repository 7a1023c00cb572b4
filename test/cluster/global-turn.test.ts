import { describe, expect, onTestFinished, test } from "vitest";
import type { ShownPiece } from "../../src/claude/messages/shown.ts";
import { systemClock } from "../../src/clock.ts";
import { GlobalTurn } from "../../src/cluster/global-turn.ts";
import type { ClusterNode } from "../../src/cluster/node.ts";
import { NodeRequestHandler } from "../../src/cluster/node-request-handler.ts";
import type { Engine } from "../../src/cluster/protocol/engine.ts";
import type { EventFrame, TurnFrame, TurnRequest } from "../../src/cluster/protocol/frames.ts";
import { type Transport, Unreachable } from "../../src/cluster/protocol/transport.ts";
import { Router } from "../../src/cluster/router.ts";
import type { HostedSession } from "../../src/cluster/session-host.ts";
import { CastellanError } from "../../src/errors.ts";
import { nameKey } from "../../src/names.ts";
import type { EventOptions } from "../../src/session/record/event-readers.ts";
import type { SessionEvent } from "../../src/session/record/session-event-types.ts";
import { Turn } from "../../src/session/streams/turn.ts";
import { outcomeOf } from "../../src/session/streams/turn-end.ts";
import { TurnRecord } from "../../src/session/streams/turn-record.ts";
import { assistantMessage } from "../../src/testing/index.ts";
import { NO_CALLS } from "../session/no-calls.ts";
import { replyOf } from "../session/replies.ts";
import { node } from "./engine-conformance.ts";

const KEY = nameKey(["global", "support", 42]);
const HOSTS = { sessions: [], templates: ["support"], pools: [] };
const FOUND: TurnFrame = { type: "found", boot: "a", number: 0, recalled: false };
const ACCEPTED: TurnFrame = { type: "accepted" };
const TOOL = assistantMessage("", [{ id: "tool-1", name: "Bash", input: {} }]);

/**
 * Returns a turn whose node answers like this, one answer per request, and then breaks off. An `Unreachable` is thrown.
 */
function scene(answers: readonly (readonly TurnFrame[] | Unreachable)[], patienceMs = 5_000) {
  const asked: TurnRequest[] = [];
  const entry = {
    ...node("a", { hosts: HOSTS, protocols: [1, 1] }),
    load: 0,
    draining: false,
    alive: true,
    aliveForMs: 5_000,
  };
  const engine: Pick<Engine, "nodes" | "ownerOf"> = {
    nodes: async () => [entry],
    ownerOf: async () => ({ boot: "a", epoch: 1, node: entry }),
  };
  const transport: Pick<Transport, "turn"> = {
    turn: async function* (_, request) {
      const answer = answers[Math.min(asked.push(request), answers.length) - 1] ?? [];
      if (answer instanceof Unreachable) throw answer;
      yield* answer;
    },
  };
  const turn = new GlobalTurn(
    {
      key: KEY,
      turnId: "turn-1",
      ask: { prompt: "hi", idempotencyKey: "mine" },
      messages: true,
      output: undefined,
      signal: undefined,
    },
    {
      router: new Router(engine as Engine, systemClock),
      transport: transport as Transport,
      clock: systemClock,
      random: () => 0,
      patienceMs,
      cancel: async () => {},
    },
  );
  onTestFinished(() => turn.interrupt());
  return { turn, asked };
}

async function failureOf(turn: GlobalTurn): Promise<unknown> {
  return await turn.result.then(
    ({ text }) => text,
    (error: unknown) => error,
  );
}

describe("GlobalTurn whose node is lost", () => {
  test("asks again, from the first missing message on", async () => {
    const first = { type: "messages", number: 0, attempt: 1, messages: [assistantMessage("one")] } as const;
    const second = { ...first, number: 1, messages: [assistantMessage("two")] } as const;
    const outcome = { error: { code: "TURN_CANCELLED", message: "enough", details: { turnId: "turn-1" } } };
    const end = { type: "end", state: "cancelled", attempts: 1, touched: true, outcome } as const;
    const { turn, asked } = scene([
      [FOUND, ACCEPTED, first],
      [{ ...FOUND, number: 1 }, ACCEPTED, second, end],
    ]);
    expect(await failureOf(turn)).toMatchObject({ code: "TURN_CANCELLED" });
    expect(asked.map(({ after }) => after)).toEqual([undefined, { boot: "a", number: 1 }]);
    expect(turn.log.length).toBe(2);
  });

  test("adds the partial text and tools seen here to TURN_INTERRUPTED", async () => {
    const details = { turnId: "turn-1", partialText: "", toolUses: [] };
    const outcome = { error: { code: "TURN_INTERRUPTED", message: "it was cut", details } };
    const { turn } = scene([
      [FOUND, ACCEPTED, { type: "messages", number: 0, attempt: 1, messages: [assistantMessage("I do it."), TOOL] }],
      [
        { ...FOUND, boot: "b" },
        { type: "end", state: "interrupted", attempts: 1, touched: true, outcome },
      ],
    ]);
    const error = await failureOf(turn);
    if (!CastellanError.is(error, "TURN_INTERRUPTED")) throw new Error(String(error));
    expect(error.message).toBe("it was cut");
    expect(error.details).toMatchObject({ partialText: "I do it.", toolUses: [{ id: "tool-1", name: "Bash" }] });
  });

  test("rejects with TURN_LOST and the partial text when it was accepted and the next owner does not know it", async () => {
    const { turn, asked } = scene([
      [FOUND, ACCEPTED, { type: "messages", number: 0, attempt: 1, messages: [assistantMessage("I do it."), TOOL] }],
      [{ type: "unknown" }],
    ]);
    const details = { turnId: "turn-1", partialText: "I do it.", toolUses: [{ id: "tool-1", name: "Bash" }] };
    expect(await failureOf(turn)).toMatchObject({ code: "TURN_LOST", details });
    expect(asked.map(({ known }) => known)).toEqual([undefined, true]);
  });
});

describe("NodeRequestHandler with an unknown turn", () => {
  test.each([
    [true, "unknown", 0],
    [undefined, "found", 1],
  ])("starts it only if no caller was told that it is accepted (known: %s)", async (known, type, times) => {
    let asks = 0;
    const record = new TurnRecord("turn-1", "hi", "s", { life: "l" });
    const session: Pick<HostedSession, "ask" | "turn"> = {
      ask: () => {
        asks += 1;
        return record;
      },
      turn: async () => undefined,
    };
    const node: Pick<ClusterNode, "find" | "pool"> = {
      pool: () => undefined,
      find: async () => ({ owned: true, session: session as HostedSession, boot: "a" }),
    };
    const handler = new NodeRequestHandler(() => node as ClusterNode, systemClock);
    const ask = { prompt: "hi", idempotencyKey: "mine" };
    const request = { key: KEY, turnId: "turn-1", messages: false, claim: false, ask, ...(known && { known }) };
    const frames = handler.turn(request, new AbortController().signal);
    expect((await frames.next()).value).toMatchObject({ type });
    expect(asks).toBe(times);
    record.leave(new CastellanError("SESSION_STOPPED", "over"));
    await frames.return();
  });
});

/** Returns the events of a turn as a page receives them, and their ids. */
async function pageOf(turn: GlobalTurn, lastEventId: string | null = null): Promise<[events: string[], ids: string[]]> {
  const page = await new Turn(turn, ["global", "support", 42], NO_CALLS).toResponse({ lastEventId }).text();
  const events = [...page.matchAll(/^event: (\w+)\ndata: (.*)$/gm)].map(([, event, data = ""]) => {
    const { text, code }: { text?: string; code?: string } = JSON.parse(data);
    return event === "result" || event === "retry" ? event : `${event} ${text ?? code}`;
  });
  return [events, [...page.matchAll(/^id: (.+)$/gm)].map(([, id = ""]) => id)];
}

const said = (life: string | undefined, number: number, attempt: number, ...texts: string[]): TurnFrame => ({
  type: "messages",
  ...(life === undefined ? {} : { life }),
  number,
  attempt,
  messages: texts.map((text) => assistantMessage(text)),
});

function done(attempts: number, shown?: readonly ShownPiece[]): TurnFrame {
  const outcome = outcomeOf({ reply: replyOf({ text: "two" }), output: undefined }, shown);
  return { type: "end", state: "completed", attempts, touched: true, outcome };
}

describe("a page that follows a GlobalTurn", () => {
  test("gets event ids that are the same for every follower and every starting point", async () => {
    const whole = scene([[FOUND, ACCEPTED, said("x", 0, 1, "one", "two"), done(1)]]);
    const pieces = scene([
      [FOUND, ACCEPTED, said("x", 0, 1, "one")],
      [{ ...FOUND, number: 1 }, said("x", 1, 1, "two"), done(1)],
    ]);
    const [events, ids] = await pageOf(whole.turn);
    expect([events, ids]).toEqual([
      ["text one", "text two", "result"],
      ["x.1.0", "x.1.1"],
    ]);
    expect(await pageOf(pieces.turn)).toEqual([events, ids]);
    expect(pieces.asked[1]?.after).toEqual({ boot: "a", life: "x", number: 1 });
    expect(await pageOf(pieces.turn, "x.1.0")).toEqual([["text two", "result"], ["x.1.1"]]);
  });

  test("gets a retry and the new answer from the next owner, also if that is the same run of a node", async () => {
    for (const boot of ["a", "b"]) {
      const { turn } = scene([
        [FOUND, ACCEPTED, said("x", 0, 1, "one", "of the first")],
        [{ ...FOUND, boot }, said("y", 0, 2, "one", "two", "three"), done(2)],
      ]);
      const [events, ids] = await pageOf(turn);
      expect(events).toEqual([
        "text one",
        "text of the first",
        "retry",
        "text one",
        "text two",
        "text three",
        "result",
      ]);
      expect(ids).toEqual(["x.1.0", "x.1.1", "y.2.0", "y.2.1", "y.2.2"]);
      // A page that reconnects by way of another node gets only what the next owner has.
      const other = scene([[{ ...FOUND, boot }, said("y", 0, 2, "one", "two", "three"), done(2)]]);
      expect((await pageOf(other.turn, "x.1.1"))[0]).toEqual(["retry", "text one", "text two", "text three", "result"]);
      expect((await pageOf(other.turn, "y.2.1"))[0]).toEqual(["text three", "result"]);
    }
  });

  test("gets event ids of that run from an older node", async () => {
    const { turn } = scene([[FOUND, said(undefined, 0, 1, "one", "two"), done(1)]]);
    expect(await pageOf(turn, "a.1.0")).toEqual([["text two", "result"], ["a.1.1"]]);
    expect((await pageOf(turn, "b.1.0"))[0]).toEqual(["retry", "text one", "text two", "result"]);
  });

  test("gets the journal's pieces of a turn that had ended, also after receiving a part of it", async () => {
    const shown: readonly ShownPiece[] = [
      { type: "text", text: "one" },
      { type: "lost" },
      { type: "text", text: "two" },
    ];
    const recalled = { ...FOUND, boot: "b", recalled: true };
    const { turn } = scene([[recalled, ACCEPTED, done(1, shown)]]);
    const known = ["text one", "lost EVENTS_LOST", "text two", "result"];
    expect(await pageOf(turn)).toEqual([known, ["turn-1-outcome.1.0", "turn-1-outcome.1.1", "turn-1-outcome.1.2"]]);
    expect((await pageOf(turn, "x.1.7"))[0]).toEqual(["retry", ...known]);
    const late = scene([
      [FOUND, ACCEPTED, said("x", 0, 1, "one")],
      [recalled, done(1, shown)],
    ]);
    expect((await pageOf(late.turn))[0]).toEqual(["text one", "retry", ...known]);
    const reader = new Turn(late.turn, "a", NO_CALLS);
    const given: string[] = [];
    const read = async (): Promise<void> => {
      for await (const text of reader.text()) given.push(text);
    };
    // What was read cannot be revoked, and the rest is unknown.
    await expect(read()).rejects.toMatchObject({ code: "EVENTS_LOST" });
    expect(given).toEqual(["one"]);
  });

  test("keeps what it has and gets the error of a turn that the next owner has settled", async () => {
    const details = { turnId: "turn-1", partialText: "", toolUses: [] };
    const error = new CastellanError("TURN_INTERRUPTED", "it was cut", { details });
    const outcome = outcomeOf({ error }, [{ type: "lost" }]);
    const end: TurnFrame = { type: "end", state: "interrupted", attempts: 1, touched: true, outcome };
    const recalled = { ...FOUND, boot: "b", recalled: true };
    const { turn } = scene([
      [FOUND, ACCEPTED, said("x", 0, 1, "one")],
      [recalled, end],
    ]);
    expect((await pageOf(turn))[0]).toEqual(["text one", "error TURN_INTERRUPTED"]);
    await expect(Array.fromAsync(new Turn(turn, "a", NO_CALLS))).rejects.toMatchObject({
      code: "TURN_INTERRUPTED",
    });
    // A page that reconnects by way of another node learns that events may be missing.
    const other = scene([[recalled, end]]);
    expect((await pageOf(other.turn, "x.1.0"))[0]).toEqual(["retry", "lost EVENTS_LOST", "error TURN_INTERRUPTED"]);
  });
});

describe("NodeRequestHandler", () => {
  test("sends the messages after the caller's number in this life of the turn, and everything of another life", async () => {
    const record = new TurnRecord("turn-1", "hi", "support", { life: "x" });
    record.enqueued();
    record.started();
    for (const text of ["one", "two"]) record.append(assistantMessage(text));
    record.fail("failed", new CastellanError("SESSION_STOPPED", "it is over"));
    const session: Pick<HostedSession, "turn"> = { turn: async () => record };
    const node: Pick<ClusterNode, "find" | "pool"> = {
      pool: () => undefined,
      find: async () => ({ owned: true, session: session as HostedSession, boot: "a" }),
    };
    const handler = new NodeRequestHandler(() => node as ClusterNode, systemClock);
    const sent = async (after: TurnRequest["after"]): Promise<unknown[]> => {
      const request = { key: KEY, turnId: "turn-1", messages: true, claim: false, ...(after && { after }) };
      const frames = await Array.fromAsync(handler.turn(request, new AbortController().signal));
      return frames.flatMap((frame): unknown[] => {
        if (frame.type === "found") return [frame.number];
        return frame.type === "messages" ? [[frame.life, frame.number, frame.messages.length]] : [];
      });
    };
    expect(await sent(undefined)).toEqual([0, ["x", 0, 2]]);
    expect(await sent({ boot: "a", life: "x", number: 1 })).toEqual([1, ["x", 1, 1]]);
    expect(await sent({ boot: "a", life: "w", number: 1 })).toEqual([0, ["x", 0, 2]]);
    // An older node does not say which life its numbers are of.
    expect(await sent({ boot: "a", number: 1 })).toEqual([1, ["x", 1, 1]]);
    expect(await sent({ boot: "b", number: 1 })).toEqual([0, ["x", 0, 2]]);
  });
});

describe("NodeRequestHandler.events", () => {
  async function framesOf(
    node: Pick<ClusterNode, "find" | "pool"> | undefined,
    options: EventOptions = { live: false },
  ): Promise<EventFrame[]> {
    const handler = new NodeRequestHandler(() => node as ClusterNode | undefined, systemClock);
    return await Array.fromAsync(handler.events({ key: KEY, options }, new AbortController().signal));
  }

  function nodeWith(read: () => AsyncGenerator<SessionEvent, void, undefined>): Pick<ClusterNode, "find" | "pool"> {
    const session: Pick<HostedSession, "events"> = { events: read };
    return {
      pool: () => undefined,
      find: async () => ({ owned: true, session: session as HostedSession, boot: "a" }),
    };
  }

  const event: SessionEvent = { at: 0, after: 3, type: "text_delta", text: "a", block: "b" };

  test("does not look complete on a node that does not own the session, or loses it in between", async () => {
    expect(await framesOf(undefined)).toEqual([{ type: "not_owner" }]);
    expect(await framesOf({ pool: () => undefined, find: async () => ({ owned: false }) })).toEqual([
      { type: "not_owner" },
    ]);
    const moving = nodeWith(async function* () {
      yield event;
      throw new CastellanError("NOT_OWNER", "it has moved");
    });
    expect(await framesOf(moving)).toEqual([{ type: "event", event }, { type: "not_owner" }]);
  });

  test("says where a reader of what follows begins, and begins there", async () => {
    const asked: EventOptions[] = [];
    const session: Pick<HostedSession, "events" | "lastEvent"> = {
      lastEvent: async () => 7,
      async *events(options) {
        asked.push(options);
        yield event;
      },
    };
    const node = {
      pool: () => undefined,
      find: async () => ({ owned: true, session: session as HostedSession, boot: "a" }),
    };
    expect(await framesOf(node as Pick<ClusterNode, "find" | "pool">, {})).toEqual([
      { type: "begins", after: 7 },
      { type: "event", event },
    ]);
    expect(await framesOf(node as Pick<ClusterNode, "find" | "pool">, { after: 3 })).toEqual([
      { type: "event", event },
    ]);
    expect(asked).toEqual([{ after: 7 }, { after: 3 }]);
  });

  test("tells why the record cannot be read", async () => {
    const damaged = nodeWith(async function* () {
      yield event;
      throw new CastellanError("JOURNAL_UNAVAILABLE", "row 3 is damaged", { details: { reason: "damaged" } });
    });
    expect((await framesOf(damaged))[1]).toMatchObject({ type: "refused", error: { code: "JOURNAL_UNAVAILABLE" } });
  });
});

describe("GlobalTurn whose node is unreachable", () => {
  test("retries until its patience ends, and rejects with the reason", async () => {
    const { turn, asked } = scene([new Unreachable("nobody listens at a", { unsent: true })], 100);
    const error = await failureOf(turn);
    expect(error).toMatchObject({ code: "CLUSTER_UNAVAILABLE", details: { reason: "unreachable" } });
    expect(String(error)).toContain("nobody listens at a");
    expect(asked.length).toBeGreaterThan(1);
  });

  test("does not retry a permanent request", async () => {
    const { turn, asked } = scene([new Unreachable("a has another secret", { permanent: true })]);
    expect(String(await failureOf(turn))).toContain("a has another secret");
    expect(asked).toHaveLength(1);
  });
});
