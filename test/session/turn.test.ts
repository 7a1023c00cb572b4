import type { SDKResultSuccess } from "@anthropic-ai/claude-agent-sdk";
import { describe, expect, it } from "vitest";
import type { ShownPiece } from "../../src/claude/messages/shown.ts";
import { turnResultOf } from "../../src/claude/messages/turn-result.ts";
import { CastellanError } from "../../src/errors.ts";
import { NOTHING_SPENT } from "../../src/journal/model/spending.ts";
import { type Reply, replyOf } from "../../src/session/streams/reply.ts";
import { Turn } from "../../src/session/streams/turn.ts";
import { TurnRecord } from "../../src/session/streams/turn-record.ts";
import {
  assistant,
  messageStart,
  SESSION,
  success,
  textBlock,
  textDelta,
  thinkingBlock,
  toolBlock,
} from "./messages.ts";
import { NO_CALLS } from "./no-calls.ts";

const READ = { id: "x", name: "Read", input: {} };
const BASH = { id: "y", name: "Bash", input: {}, parentToolUseId: "x" };
const SHOWN: readonly ShownPiece[] = [
  { type: "text", text: "Let me look. " },
  { type: "tool_use", ...READ },
  { type: "tool_use", ...BASH },
  { type: "thinking", text: "hm" },
  { type: "text", text: "Done." },
];

function replyTo(result: SDKResultSuccess, turn: Parameters<typeof replyOf>[1]): Reply {
  const answer = turnResultOf(result)?.answer;
  if (answer === undefined) throw new Error("the result has no answer");
  return replyOf(answer, turn);
}

const MODELS = [{ model: "m", ...NOTHING_SPENT, costUsd: 0.5 }];
const SPENT = { id: "t", model: "m", models: MODELS, durationMs: 5, structured: undefined };

function running(): { turn: Turn; record: TurnRecord } {
  const record = new TurnRecord("t", "prompt", 'session "a"', { queueTimeoutMs: 600_000 });
  record.enqueued();
  record.started();
  return { record, turn: new Turn(record, "a", NO_CALLS) };
}

function finished(): Turn {
  const { record, turn } = running();
  record.append(messageStart("m1"));
  record.append(textDelta("Let me look. "));
  record.append(assistant("m1", [textBlock("Let me look. "), toolBlock("x", "Read")]));
  record.append(assistant("s1", [toolBlock("y", "Bash")], { parent: "x" }));
  record.append(assistant("m2", [thinkingBlock("hm"), textBlock("Done.")]));
  record.complete(replyTo(success({ result: "Done." }), SPENT));
  return turn;
}

describe("Turn", () => {
  it("serves text, thinking, tools and messages any number of times", async () => {
    const turn = finished();
    for (let time = 0; time < 2; time++) {
      expect(await Array.fromAsync(turn.text())).toEqual(["Let me look. ", "Done."]);
      expect(await Array.fromAsync(turn.thinking())).toEqual(["hm"]);
      expect((await Array.fromAsync(turn.toolUses())).map(({ name }) => name)).toEqual(["Read", "Bash"]);
      expect((await Array.fromAsync(turn)).map(({ type }) => type)).toHaveLength(5);
      expect((await Array.fromAsync(turn.messages(3))).map(({ number }) => number)).toEqual([3, 4]);
    }
  });

  it("serves a recalled turn's text, thinking and tools, also when the recall comes during the read", async () => {
    for (const early of [true, false]) {
      const record = new TurnRecord("t", "prompt", 'session "a"', { attempts: 2 });
      const turn = new Turn(record, "a", NO_CALLS);
      const end = { reply: replyTo(success({ result: "Done." }), SPENT), output: undefined };
      const recall = (): void => record.recall("completed", end, SHOWN);
      if (early) recall();
      const reading = [turn.text(), turn.thinking(), turn.toolUses()].map((read) => Array.fromAsync<unknown>(read));
      const page = turn.toResponse().text();
      const messages = Array.fromAsync(turn).catch((error: unknown) => error);
      if (!early) recall();
      expect(await Promise.all(reading)).toEqual([["Let me look. ", "Done."], ["hm"], [READ, BASH]]);
      expect((await Array.fromAsync(turn.deltas())).map(({ attempt }) => attempt)).toEqual([2, 2, 2]);
      expect([...(await page).matchAll(/^event: (\w+)$/gm)].map(([, name]) => name)).toEqual([
        ...["text", "tool_use", "tool_use", "thinking", "text", "result"],
      ]);
      expect(await messages).toMatchObject({ code: "EVENTS_LOST" });
    }
  });

  it("rejects readers of a recalled turn at a loss, and sends `lost` to a page", async () => {
    const record = new TurnRecord("t", "prompt", 'session "a"', { attempts: 1 });
    const turn = new Turn(record, "a", NO_CALLS);
    const reply = replyTo(success({ result: "Done." }), SPENT);
    record.recall("completed", { reply, output: undefined }, [
      ...SHOWN.slice(0, 2),
      { type: "lost" },
      ...SHOWN.slice(-1),
    ]);
    const given: string[] = [];
    const read = async (): Promise<void> => {
      for await (const text of turn.text()) given.push(text);
    };
    await expect(read()).rejects.toMatchObject({ code: "EVENTS_LOST" });
    expect(given).toEqual(["Let me look. "]);
    await expect(Array.fromAsync(turn.toolUses())).rejects.toMatchObject({ code: "EVENTS_LOST" });
    expect((await turn.result()).text).toBe("Done.");
    const page = await turn.toResponse().text();
    expect([...page.matchAll(/^event: (\w+)$/gm)].map(([, name]) => name)).toEqual([
      ...["text", "tool_use", "lost", "text", "result"],
    ]);
    expect(page).toContain('event: lost\ndata: {"code":"EVENTS_LOST"');
  });

  it("serves the output of a recalled failed turn, and then rejects", async () => {
    const record = new TurnRecord("t", "prompt", 'session "a"', { attempts: 1 });
    const turn = new Turn(record, "a", NO_CALLS);
    const details = { turnId: "t", partialText: "Let me look. ", toolUses: [] };
    record.recall(
      "interrupted",
      { error: new CastellanError("TURN_INTERRUPTED", "cut", { details }) },
      SHOWN.slice(0, 1),
    );
    const given: string[] = [];
    const read = async (): Promise<void> => {
      for await (const text of turn.text()) given.push(text);
    };
    await expect(read()).rejects.toMatchObject({ code: "TURN_INTERRUPTED" });
    expect(given).toEqual(["Let me look. "]);
    const page = await turn.toResponse().text();
    expect([...page.matchAll(/^event: (\w+)$/gm)].map(([, name]) => name)).toEqual(["text", "error"]);
  });

  it("continues when a reader leaves its loop", async () => {
    const { record, turn } = running();
    record.append(messageStart("m1"));
    record.append(textDelta("one"));
    for await (const text of turn.text()) {
      expect(text).toBe("one");
      break;
    }
    expect(turn.state).toBe("running");
    record.append(textDelta("two"));
    record.complete(replyTo(success(), SPENT));
    expect(await Array.fromAsync(turn.text())).toEqual(["one", "two"]);
  });

  it("rejects all readers and the result with the same error", async () => {
    const { record, turn } = running();
    const error = new CastellanError("SESSION_STOPPED", "stopped");
    record.append(messageStart("m1"));
    record.append(textDelta("half"));
    record.fail("failed", error);
    for (const read of [turn.text(), turn.thinking(), turn.deltas(), turn.toolUses(), turn]) {
      await expect(Array.fromAsync<unknown>(read)).rejects.toBe(error);
    }
    await expect(turn.result()).rejects.toBe(error);
  });
});

describe("replyOf", () => {
  it("returns the turn's outcome", () => {
    const result = success({ result: "Done.", stop_reason: "max_tokens" });
    expect(replyTo(result, SPENT)).toStrictEqual({
      text: "Done.",
      ...NOTHING_SPENT,
      costUsd: 0.5,
      model: "m",
      models: MODELS,
      sessionId: SESSION,
      turnId: "t",
      stopReason: "max_tokens",
      durationMs: 5,
    });
  });

  it("has structured output, also when it is null or 0", () => {
    expect(replyTo(success(), { ...SPENT, structured: { ok: true } }).structured).toEqual({ ok: true });
    expect(replyTo(success(), { ...SPENT, structured: null }).structured).toBeNull();
    expect(replyTo(success(), { ...SPENT, structured: 0 }).structured).toBe(0);
    expect(replyTo(success(), SPENT)).not.toHaveProperty("structured");
  });
});
