import { describe, expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../src/clock.ts";
import type { Engine } from "../../src/cluster/engine.ts";
import type { TurnFrame, TurnRequest } from "../../src/cluster/frames.ts";
import { GlobalTurn } from "../../src/cluster/global-turn.ts";
import { Router } from "../../src/cluster/router.ts";
import { type Transport, Unreachable } from "../../src/cluster/transport.ts";
import { CastellanError } from "../../src/errors.ts";
import { nameKey } from "../../src/names.ts";
import { assistantMessage } from "../../src/testing/index.ts";
import { node } from "./engine-conformance.ts";

const KEY = nameKey(["global", "support", 42]);
const HOSTS = { sessions: [], templates: ["support"], pools: [] };
const FOUND: TurnFrame = { type: "found", boot: "a", number: 0, recalled: false };
const ACCEPTED: TurnFrame = { type: "accepted" };
const TOOL = assistantMessage("", [{ id: "tool-1", name: "Bash", input: {} }]);

/** A turn whose node says this each time that it is asked, and then breaks off, or cannot be asked. */
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

describe("a turn whose node is lost", () => {
  test("is asked for again, from the message on that is missing", async () => {
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

  test("is told to have been cut with what was seen of it here, also if the next owner knows less", async () => {
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
});

describe("a node that cannot be asked", () => {
  test("is tried again until the patience is over, and it is said why", async () => {
    const { turn, asked } = scene([new Unreachable("nobody listens at a", { unsent: true })], 100);
    const error = await failureOf(turn);
    expect(error).toMatchObject({ code: "CLUSTER_UNAVAILABLE", details: { reason: "unreachable" } });
    expect(String(error)).toContain("nobody listens at a");
    expect(asked.length).toBeGreaterThan(1);
  });

  test("is not tried again if that would be answered the same way", async () => {
    const { turn, asked } = scene([new Unreachable("a has another secret", { hopeless: true })]);
    expect(String(await failureOf(turn))).toContain("a has another secret");
    expect(asked).toHaveLength(1);
  });
});
