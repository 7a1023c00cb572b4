import { describe, expect, it, vi } from "vitest";
import { CastellanError } from "../../src/errors.ts";
import type { Reply } from "../../src/session/streams/reply.ts";
import { TurnRecord } from "../../src/session/streams/turn-record.ts";
import { assistant, textBlock, toolBlock } from "./messages.ts";

const reply: Reply = {
  text: "done",
  usage: { inputTokens: 1, outputTokens: 1, cacheReadInputTokens: 0, cacheCreationInputTokens: 0 },
  costUsd: 0,
  models: [],
  sessionId: "s",
  turnId: "t",
  stopReason: "end_turn",
  durationMs: 1,
};
const stopped = new CastellanError("SESSION_STOPPED", "stopped");

function running(): TurnRecord {
  const record = new TurnRecord("t", "prompt", 'session "a"', { queueTimeoutMs: 600_000 });
  record.enqueued();
  record.started();
  return record;
}

describe("TurnRecord", () => {
  it("completes with a reply for its result and its readers", async () => {
    const record = running();
    const message = assistant("m", [textBlock("done")]);
    record.append(message);
    record.complete(reply);
    expect(record.state).toBe("completed");
    expect(record.ended).toBe(true);
    expect(await record.result).toBe(reply);
    expect(await Array.fromAsync(record.log.read())).toEqual([{ number: 0, event: message }]);
  });

  it("ends once, and ignores later events", async () => {
    const record = running();
    record.complete(reply);
    record.fail("interrupted", stopped);
    record.requeued();
    record.started();
    expect(record.state).toBe("completed");
    expect(record.attempts).toBe(1);
    expect(await record.result).toBe(reply);
    expect(await Array.fromAsync(record.log.read())).toEqual([]);
  });

  it("rejects its result and all readers with the same error", async () => {
    const record = running();
    record.fail("failed", stopped);
    record.complete(reply);
    expect(record.state).toBe("failed");
    await expect(record.result).rejects.toBe(stopped);
    await expect(Array.fromAsync(record.log.read())).rejects.toBe(stopped);
  });

  it("ignores an end that its state does not allow", async () => {
    const record = new TurnRecord("t", "prompt", "session", { queueTimeoutMs: 600_000 });
    record.enqueued();
    record.complete(reply);
    record.fail("interrupted", stopped);
    expect(record.state).toBe("queued");
    record.fail("cancelled", stopped);
    expect(record.state).toBe("cancelled");
  });

  it("cancels its watch when it ends, once", () => {
    const record = running();
    const watch = { cancel: vi.fn() };
    record.watch(watch);
    record.requeued();
    expect(watch.cancel).not.toHaveBeenCalled();
    record.started();
    record.complete(reply);
    record.fail("failed", stopped);
    expect(watch.cancel).toHaveBeenCalledTimes(1);
  });

  it("counts its attempts, and forgets the progress of a requeued one", () => {
    const record = running();
    record.append(assistant("m", [textBlock("half"), toolBlock("x", "Bash", { command: "ls" })]));
    expect(record.partial).toEqual({ turnId: "t", partialText: "half", toolUses: [{ id: "x", name: "Bash" }] });
    record.requeued();
    expect(record.state).toBe("queued");
    expect(record.partial).toEqual({ turnId: "t", partialText: "", toolUses: [] });
    record.started();
    expect(record.attempts).toBe(2);
  });
});
