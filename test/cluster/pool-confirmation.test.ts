import { once } from "node:events";
import fc from "fast-check";
import { expect, test } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { GlobalTurn } from "../../src/cluster/global-turn.ts";
import { type AskedNode, NodeRequestHandler } from "../../src/cluster/node-request-handler.ts";
import type { Engine, NodeEntry } from "../../src/cluster/protocol/engine.ts";
import type { TurnFrame } from "../../src/cluster/protocol/frames.ts";
import { type Transport, Unreachable } from "../../src/cluster/protocol/transport.ts";
import { Router } from "../../src/cluster/router.ts";
import type { HostedSession } from "../../src/cluster/session-host.ts";
import { CastellanError } from "../../src/errors.ts";
import { nameKey } from "../../src/names.ts";
import type { TurnGate } from "../../src/session/streams/turn-gate.ts";
import { TurnRecord } from "../../src/session/streams/turn-record.ts";
import { assistantMessage } from "../../src/testing/index.ts";
import { replyOf } from "../session/replies.ts";
import { node } from "./engine-conformance.ts";

const KEY = nameKey(["global", "crew"]);

/** What becomes of a node's connection to the caller. */
interface Fault {
  /** How many frames arrive before it breaks. */
  readonly frames: number;
  /** What becomes of the confirmation. */
  readonly begin: "answered" | "unsent" | "answer lost";
  /** Whether the node notices that the caller is gone. */
  readonly noticed: boolean;
}

const WHOLE: Fault = { frames: Number.POSITIVE_INFINITY, begin: "answered", noticed: true };

/** A caller of a pool on nodes of which each, in turn, has one of these faults; the last one has none. */
function crew(faults: readonly Fault[], { confirms = true, leaves = 0 } = {}) {
  const all = [...faults, WHOLE];
  const begun: string[] = [];
  const entries = all.map(
    (_, n): NodeEntry => ({
      ...node(`node ${n}`, {
        hosts: { sessions: [], templates: [], pools: ["crew"], ...(confirms && { confirms }) },
        protocols: [1, 1],
      }),
      ...{ load: n, draining: false, alive: true, aliveForMs: 5_000 },
    }),
  );
  const handlers = entries.map(({ boot }, n) => {
    const session: Pick<HostedSession, "ask" | "turn"> = {
      turn: async () => undefined,
      ask: (_, gate) => turnOn(boot, n < leaves, gate, begun),
    };
    const found = { owned: true, session: session as HostedSession, boot, pool: true } as const;
    const asked: AskedNode = {
      pool: () => found,
      find: async () => found,
      release: async () => {},
      activities: () => [],
      activityOf: () => "none",
      eraseFiles: async () => {
        throw new Error("nobody erases");
      },
    };
    return new NodeRequestHandler(() => asked, systemClock);
  });
  const at = (boot: string): number => entries.findIndex((entry) => entry.boot === boot);
  const transport: Pick<Transport, "turn" | "call"> = {
    turn: async function* (to, request, signal) {
      const { frames, noticed } = all[at(to.boot)] ?? WHOLE;
      const connection = new AbortController();
      const left = once(signal, "abort").then(() => undefined);
      const sent = handlers[at(to.boot)]?.turn(request, connection.signal);
      for (let count = 0; ; count++) {
        const next = await Promise.race([sent?.next(), left]);
        if (next?.done === true) return;
        if (next === undefined || count >= frames) {
          if (noticed) connection.abort();
          throw new Unreachable(`${to.boot} is gone`);
        }
        yield next.value;
      }
    },
    call: async (to, request) => {
      const { begin } = all[at(to.boot)] ?? WHOLE;
      if (begin === "unsent") throw new Unreachable("nobody listens", { unsent: true });
      const answer = await handlers[at(to.boot)]?.call(request);
      if (answer === undefined || begin === "answer lost") throw new Unreachable("no answer");
      return answer;
    },
  };
  const turn = new GlobalTurn(
    {
      ...{ key: KEY, turnId: "turn-1", messages: true, output: undefined, signal: undefined },
      ask: { prompt: "hi", idempotencyKey: "mine" },
    },
    {
      router: new Router({ nodes: async () => entries } as Pick<Engine, "nodes"> as Engine, systemClock),
      transport: transport as Transport,
      clock: systemClock,
      random: () => 0,
      patienceMs: 5_000,
      cancel: async () => {},
    },
  );
  return { turn, begun };
}

/** Returns a turn of a member that says one word once it has passed the gate. `leaves`: its node is being drained. */
function turnOn(boot: string, leaves: boolean, gate: TurnGate | undefined, begun: string[]): TurnRecord {
  const record = new TurnRecord("turn-1", "hi", "crew", { life: boot });
  const begin = (): void => {
    begun.push(boot);
    record.enqueued();
    record.started();
    record.append(assistantMessage("done"));
    record.complete(replyOf({ text: "done" }), undefined);
  };
  const refuse = (code: "SUPERVISOR_STOPPED" | "SESSION_STOPPED"): void =>
    record.fail("cancelled", new CastellanError(code, "it is over"));
  if (leaves) refuse("SUPERVISOR_STOPPED");
  else if (gate === undefined) begin();
  else void gate.reach().then((opens) => (opens ? begin() : refuse("SESSION_STOPPED")));
  return record;
}

async function outcomeOf({ result }: GlobalTurn): Promise<string> {
  return await result.then(
    ({ text }) => text,
    (error: unknown) => (CastellanError.is(error) ? error.code : String(error)),
  );
}

test.each<[what: string, fault: Fault]>([
  ["before it answers", { ...WHOLE, frames: 0 }],
  ["while the turn waits for a member", { ...WHOLE, frames: 1 }],
  ["before the confirmation is sent", { frames: 2, begin: "unsent", noticed: false }],
])("a pool's turn runs on another node if its node is lost %s", async (_, fault) => {
  const { turn, begun } = crew([fault]);
  expect([await outcomeOf(turn), begun]).toEqual(["done", ["node 1"]]);
});

test("a pool's turn that may have begun ends with TURN_INTERRUPTED, and does not run again", async () => {
  for (const begin of ["answered", "answer lost"] as const) {
    const { turn, begun } = crew([{ frames: 2, begin, noticed: true }]);
    expect([await outcomeOf(turn), begun]).toEqual(["TURN_INTERRUPTED", ["node 0"]]);
  }
});

test("a pool's turn on a node of an earlier release ends with TURN_INTERRUPTED when the node is lost", async () => {
  const { turn } = crew([{ ...WHOLE, frames: 0 }], { confirms: false });
  expect(await outcomeOf(turn)).toBe("TURN_INTERRUPTED");
});

test("a pool's turn that waits on a node that drains runs on another one", async () => {
  const { turn, begun } = crew([WHOLE], { leaves: 1 });
  expect([await outcomeOf(turn), begun]).toEqual(["done", ["node 1"]]);
});

test("a pool's turn begins on one node at most, wherever connections break, and its caller is told", async () => {
  const fault = fc.record({
    frames: fc.nat(5),
    begin: fc.constantFrom("answered", "unsent", "answer lost"),
    noticed: fc.boolean(),
  }) as fc.Arbitrary<Fault>;
  await fc.assert(
    fc.asyncProperty(fc.array(fault, { maxLength: 3 }), async (faults) => {
      const { turn, begun } = crew(faults);
      const outcome = await outcomeOf(turn);
      expect(begun.length).toBeLessThanOrEqual(1);
      expect(["done", "TURN_INTERRUPTED"]).toContain(outcome);
      if (outcome === "done") expect(begun).toHaveLength(1);
    }),
    { numRuns: 60 },
  );
});

test("a node asks for the confirmation once a member is free, and never begins a turn of a caller that is gone", async () => {
  const gates: TurnGate[] = [];
  const session: Pick<HostedSession, "ask"> = {
    ask: (_, gate) => {
      if (gate !== undefined) gates.push(gate);
      const record = new TurnRecord("turn-1", "hi", "crew", { life: "x" });
      void gate?.passed.then((opens) => {
        if (!opens) record.fail("cancelled", new CastellanError("SESSION_STOPPED", "it is over"));
      });
      return record;
    },
  };
  const found = { owned: true, session: session as HostedSession, boot: "a", pool: true } as const;
  const asked = { pool: () => found, find: async () => found } as Pick<AskedNode, "pool" | "find"> as AskedNode;
  const handler = new NodeRequestHandler(() => asked, systemClock);
  const connection = new AbortController();
  const ask = { prompt: "hi", idempotencyKey: "mine" };
  const request = { key: KEY, turnId: "turn-1", ask, messages: true, claim: false, confirm: true };
  const frames = handler.turn(request, connection.signal);
  expect((await frames.next()).value).toMatchObject({ type: "found" });
  const next = frames.next();
  void gates[0]?.reach();
  expect((await next).value).toEqual({ type: "ready" });
  const last = frames.next();
  connection.abort();
  expect((await last).value).toEqual({ type: "left", begun: false } satisfies TurnFrame);
  const begin = { key: KEY, method: "begin", args: ["turn-1"], claim: false } as const;
  expect(await handler.call(begin)).toEqual({ type: "answer", value: false });
  expect(gates[0]?.isOpen).toBe(false);
});
