import { randomUUID } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InMemorySessionStore } from "@anthropic-ai/claude-agent-sdk";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Session, type SessionOptions, Supervisor } from "../../src/index.ts";
import { type MessagesAnswer, type MessagesApi, type MessagesRequest, messagesApi } from "../../src/testing/index.ts";
import { failure, unique } from "../session-on-fake/scene.ts";

/*
 * Checks what the model gets after failed turns. The API keeps whole requests, so the test reads them instead of asking
 * the session.
 */

let api: MessagesApi;

beforeEach(async () => {
  api = await messagesApi(answer);
});

afterEach(async () => {
  await api.stop();
  expect(api.errors).toEqual([]);
});

const refuses = (status: number, message: string): (() => MessagesAnswer) => {
  return () => ({ error: { status, message } });
};
const TOO_LONG = "prompt is too long: 210000 tokens > 200000 maximum";
const STRUCTURE = "messages.3.content.0.tool_result.content: Input should be a valid list";

function answer(): MessagesAnswer {
  return { text: "ok" };
}

/** Returns what a request tells the model, without Claude Code's own additions. */
function sentLines({ body }: MessagesRequest = lastRequest()): string[] {
  return body.messages.flatMap(({ role, content }) => {
    if (role === "system") return [];
    const blocks = typeof content === "string" ? [{ type: "text", text: content }] : content;
    return blocks.flatMap((block) => {
      if (block.type === "tool_use") return [`${role}: ${String(block["name"])}`];
      if (block.type === "tool_result") return [`${role}: ${textOf(block["content"])}`];
      const text = textOf(block["text"]);
      return text.startsWith("<system-reminder>") ? [] : [`${role}: ${text.slice(0, 40)}`];
    });
  });
}

function textOf(content: unknown): string {
  return (typeof content === "string" ? content : JSON.stringify(content)).trim();
}

function lastRequest(): MessagesRequest {
  if (api.lastRequest === undefined) throw new Error("nothing was asked");
  return api.lastRequest;
}

function has(request: MessagesRequest, word: string): boolean {
  return JSON.stringify(request.body.messages).includes(word);
}

/** Whether Claude Code asks for the summary of a compaction. */
function isCompaction(request: MessagesRequest): boolean {
  return has(request, "Do NOT call any tools");
}

/** Has a file read whose content the API refuses from then on, wherever it is in the conversation. */
function poisoned(refusal: () => MessagesAnswer): (request: MessagesRequest) => MessagesAnswer {
  return (request) => {
    if (has(request, "POISON")) return refusal();
    if (isCompaction(request)) return { text: "A summary." };
    if (!has(request, "Look.")) return answer();
    return { text: "I look.", toolUses: [{ name: "Read", input: { file_path: join(api.cwd, "file") } }] };
  };
}

async function started(options: Omit<SessionOptions, "name"> = {}, journal: "memory" | { sqlite: string } = "memory") {
  await writeFile(join(api.cwd, "file"), "POISON\n");
  const name = unique();
  const supervisor = await Supervisor.start(
    [{ name, env: api.env, cwd: api.cwd, allowedTools: ["Bash", "Read"], ...options }],
    { journal, name, logger: { info: () => {}, warn: () => {} } },
  );
  return { supervisor, name, session: supervisor.session(name) };
}

async function next(session: Session): Promise<string[]> {
  api.model = answer;
  await session.query("Next.");
  return sentLines();
}

function kill(session: Session): void {
  process.kill(session.status().pid ?? Number.NaN, "SIGKILL");
}

const FIRST = ["user: First.", "assistant: ok"];
const AFTER = [...FIRST, "user: Next."];

describe("a turn that failed before Claude had begun to answer", () => {
  it.each([
    ["529, twice", refuses(529, "Overloaded")],
    ["500", refuses(500, "Internal server error")],
    ["429", refuses(429, "slow down")],
    ["400", refuses(400, "Output blocked by content filtering policy")],
    ["a broken connection", (): MessagesAnswer => "breaks"],
  ])("is removed from the conversation: %s", async (_, fault) => {
    const { supervisor, session } = await started();
    await using _s = supervisor;
    await session.query("First.");
    const { pid } = session.status();
    api.model = fault;
    for (let n = 0; n < 2; n++) {
      const { details } = await failure(session.query("Boom."), "TURN_FAILED");
      expect(details.conversation).toBe("undone");
    }
    api.model = answer;
    await session.query("Boom.");
    expect(sentLines()).toEqual([...FIRST, "user: Boom."]);
    expect(await next(session)).toEqual([...FIRST, "user: Boom.", "assistant: ok", "user: Next."]);
    expect(session.status()).toMatchObject({ pid, restarts: 0, starts: 1 });
  });

  it("is removed from the conversation when Claude Code itself retries", async () => {
    await using patient = await messagesApi(answer, { retries: 2 });
    const { supervisor, session } = await started({ env: patient.env, cwd: patient.cwd });
    await using _ = supervisor;
    await session.query("First.");
    patient.model = refuses(529, "Overloaded");
    await failure(session.query("Boom."), "TURN_FAILED");
    expect(patient.requests).toHaveLength(4);
    patient.model = answer;
    await session.query("Next.");
    expect(sentLines(patient.lastRequest)).toEqual(AFTER);
  });

  it("is removed if it was the first turn, or the first of a fork", async () => {
    const { supervisor, session } = await started();
    await using _ = supervisor;
    api.model = refuses(500, "Internal server error");
    await failure(session.query("Boom."), "TURN_FAILED");
    api.model = answer;
    await session.query("First.");
    expect(sentLines()).toEqual(["user: First."]);
    const fork = await session.fork(unique("fork"));
    api.model = refuses(500, "Internal server error");
    await failure(fork.query("Boom."), "TURN_FAILED");
    expect(await next(fork)).toEqual(AFTER);
  });

  it("stays removed after a kill, a hibernation and a restart of the application", async () => {
    const directory = await mkdtemp(join(tmpdir(), "castellan-fate-"));
    const journal = { sqlite: join(directory, "journal.db") };
    const { supervisor, session, name } = await started({}, journal);
    const boom = async (of: Session): Promise<void> => {
      api.model = refuses(400, "Output blocked by content filtering policy");
      await failure(of.query("Boom."), "TURN_FAILED");
    };
    await session.query("First.");
    await boom(session);
    kill(session);
    expect(await next(session)).toEqual(AFTER);
    await boom(session);
    await session.hibernate();
    expect(await next(session)).toEqual([...AFTER, "assistant: ok", "user: Next."]);
    await boom(session);
    kill(session);
    await supervisor.stop();
    const options = { env: api.env, cwd: api.cwd };
    await using second = await Supervisor.start([{ name, ...options }], { journal, name });
    expect((await next(second.session(name))).filter((line) => line.includes("Boom"))).toEqual([]);
    expect(sentLines().filter((line) => line === "user: Next.")).toHaveLength(3);
    await second.stop();
    await rm(directory, { recursive: true });
  });

  it("is removed with a session store, and in a conversation resumed by its id", async () => {
    const sessionStore = new InMemorySessionStore();
    const { supervisor, session } = await started({ sessionStore });
    await using _ = supervisor;
    const { sessionId: resume } = await session.query("First.");
    api.model = refuses(500, "Internal server error");
    await failure(session.query("Boom."), "TURN_FAILED");
    expect(await next(session)).toEqual(AFTER);
    expect((await session.transcript()).map(({ type }) => type)).toEqual(["user", "assistant", "user", "assistant"]);
    await supervisor.stop();
    const { supervisor: other, session: taken } = await started({ sessionStore, resume });
    await using _o = other;
    api.model = refuses(500, "Internal server error");
    await failure(taken.query("Boom."), "TURN_FAILED");
    expect(await next(taken)).toEqual([...AFTER, "assistant: ok", "user: Next."]);
  });

  it("leaves background tasks running", async () => {
    const { supervisor, session } = await started();
    await using _ = supervisor;
    const command = "tail -f /dev/null";
    api.model = (request) =>
      has(request, "tool_result")
        ? { text: "ok" }
        : { toolUses: [{ name: "Bash", input: { command, description: "Wait", run_in_background: true } }] };
    await session.query("First.");
    expect(session.status().backgroundTasks).toBe(1);
    api.model = refuses(500, "Internal server error");
    await failure(session.query("Boom."), "TURN_FAILED");
    expect((await next(session)).at(-1)).toBe("user: Next.");
    expect(has(lastRequest(), "Boom.")).toBe(false);
    expect(session.status()).toMatchObject({ backgroundTasks: 1, starts: 1 });
  });
});

describe("a stopped turn", () => {
  it("is removed if Claude had not begun: by timeout, interrupt or rollback", async () => {
    const { supervisor, session } = await started();
    await using _ = supervisor;
    await session.query("First.");
    api.model = () => "hangs";
    await failure(session.query("Boom.", { timeout: 300 }), "TURN_TIMEOUT");
    expect(await next(session)).toEqual(AFTER);
    api.model = () => "hangs";
    const turn = session.stream("Boom.");
    await api.requested(api.requests.length + 1);
    await turn.interrupt();
    expect((await failure(turn.result(), "TURN_INTERRUPTED")).details.conversation).toBe("undone");
    const second = session.query("Boom.");
    second.catch(() => {});
    await api.requested(api.requests.length + 1);
    api.model = answer;
    await session.query("Instead.", { whenBusy: "rollback" });
    await failure(second, "TURN_INTERRUPTED");
    expect(sentLines()).toEqual([...AFTER, "assistant: ok", "user: Instead."]);
    expect(session.status()).toMatchObject({ restarts: 0, starts: 1 });
  });

  it('is kept if a turn with whenBusy "interrupt" replaces it', async () => {
    const { supervisor, session } = await started();
    await using _ = supervisor;
    await session.query("First.");
    api.model = () => "hangs";
    const turn = session.query("Write a poem.");
    turn.catch(() => {});
    await api.requested(2);
    api.model = answer;
    await session.query("About cats.", { whenBusy: "interrupt" });
    expect((await failure(turn, "TURN_INTERRUPTED")).details.conversation).toBe("kept");
    const asked = ["user: Write a poem.", "user: [Request interrupted by user]", "user: About cats."];
    expect(sentLines()).toEqual([...FIRST, ...asked]);
  });
});

describe("a turn that failed after Claude had begun to answer", () => {
  it("stays in the conversation with its tool call and result", async () => {
    const { supervisor, session } = await started();
    await using _ = supervisor;
    await session.query("First.");
    api.model = (request) =>
      has(request, "tool_result")
        ? { error: { status: 500, message: "Internal server error" } }
        : { text: "I run it.", toolUses: [{ name: "Bash", input: { command: "echo done", description: "Say" } }] };
    const { details } = await failure(session.query("Run."), "TURN_FAILED");
    expect(details).toMatchObject({ conversation: "kept", class: "overload", toolUses: [{ name: "Bash" }] });
    const run = ["user: Run.", "assistant: I run it.", "assistant: Bash", "user: done"];
    expect(await next(session)).toEqual([...FIRST, ...run, "user: Next."]);
  });
});

describe("content that the API refuses", () => {
  it.each([
    ["by a policy", refuses(400, "Output blocked by content filtering policy")],
    ["for the answer of a tool", refuses(400, STRUCTURE)],
    ["for characters", refuses(400, "The request body is not valid JSON: no low surrogate in string")],
  ])("is removed with the turn whose tool added it: refused %s", async (_, refusal) => {
    const { supervisor, session } = await started();
    await using _s = supervisor;
    await session.query("First.");
    api.model = poisoned(refusal);
    const { details } = await failure(session.query("Look."), "TURN_FAILED");
    expect(details).toMatchObject({ class: "request", conversation: "cut_back", toolUses: [{ name: "Read" }] });
    expect(await session.health()).toMatchObject({ status: "degraded" });
    expect(await next(session)).toEqual(AFTER);
    await session.hibernate();
    expect(await next(session)).toEqual([...AFTER, "assistant: ok", "user: Next."]);
  });

  it.each([
    ["too long", refuses(400, TOO_LONG)],
    [
      "a broken document",
      refuses(400, "messages.3.content.0.document.source.base64: The PDF specified was not valid."),
    ],
    ["too large", refuses(413, "Request exceeds the maximum size")],
  ])("is removed together with Claude Code's attempt to compact it: %s", async (_, refusal) => {
    const { supervisor, session } = await started();
    await using _s = supervisor;
    await session.query("First.");
    api.model = poisoned(refusal);
    const { details } = await failure(session.query("Look."), "TURN_FAILED");
    expect(details).toMatchObject({ class: "request", conversation: "cut_back" });
    expect(await session.health()).toMatchObject({ status: "degraded" });
    expect(await next(session)).toEqual(AFTER);
    kill(session);
    expect(await next(session)).toEqual([...AFTER, "assistant: ok", "user: Next."]);
  });

  it("is removed by Claude Code itself if it is an image", async () => {
    const { supervisor, session } = await started();
    await using _ = supervisor;
    const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";
    await writeFile(join(api.cwd, "a.png"), Buffer.from(pixel, "base64"));
    await session.query("First.");
    api.model = (request) => {
      if (has(request, '"type":"image"')) return { error: { status: 400, message: "Could not process image" } };
      const read = { name: "Read", input: { file_path: join(api.cwd, "a.png") } };
      return has(request, "tool_result") ? { text: "I cannot see it." } : { toolUses: [read] };
    };
    expect((await session.query("Look.")).text).toBe("I cannot see it.");
    expect((await session.query("Look again.")).text).toBe("I cannot see it.");
    expect(await session.health()).toEqual({ status: "healthy" });
  });

  it("is removed with an earlier turn if the process died before anyone knew", async () => {
    const directory = await mkdtemp(join(tmpdir(), "castellan-fate-"));
    const journal = { sqlite: join(directory, "journal.db") };
    const { supervisor, session, name } = await started({}, journal);
    await session.query("First.");
    api.model = poisoned(() => "hangs");
    const turn = session.query("Look.");
    turn.catch(() => {});
    // The transcript is written a moment after the tool's result.
    await expect.poll(async () => JSON.stringify(await session.transcript())).toContain("POISON");
    kill(session);
    expect((await failure(turn, "TURN_INTERRUPTED")).details.conversation).toBe("kept");
    await supervisor.stop();
    // The next application finds out.
    const options = { env: api.env, cwd: api.cwd };
    await using second = await Supervisor.start([{ name, ...options }], { journal, name });
    const again = second.session(name);
    api.model = (request) => (has(request, "POISON") ? refuses(400, STRUCTURE)() : answer());
    const { details } = await failure(again.query("How far are you?"), "TURN_FAILED");
    expect(details).toMatchObject({ class: "request", conversation: "cut_back", toolUses: [] });
    expect(await again.health()).toMatchObject({ status: "degraded" });
    expect((await again.query("Next.")).text).toBe("ok");
    expect(sentLines()).toEqual(AFTER);
    await second.stop();
    await rm(directory, { recursive: true });
  });

  it("does not clear a conversation in which nothing else has worked", async () => {
    const { supervisor, session } = await started();
    await using _ = supervisor;
    await session.query("First.");
    api.model = refuses(400, STRUCTURE);
    await failure(session.query("Boom."), "TURN_FAILED");
    expect(await next(session)).toEqual(AFTER);
  });
});

describe("a conversation that is too long", () => {
  const limited =
    (most: number) =>
    (request: MessagesRequest): MessagesAnswer => {
      if (isCompaction(request)) return { text: "A summary.", usage: { input_tokens: 1000 } };
      const characters = JSON.stringify(request.body.messages).length;
      return characters > most ? { error: { status: 400, message: TOO_LONG } } : { text: "ok" };
    };

  it("is compacted by Claude Code, and the turn's cost includes the compaction", async () => {
    const { supervisor, session } = await started();
    await using _ = supervisor;
    api.model = limited(40_000);
    for (const word of ["one ", "two "]) await session.query(word.repeat(3_500));
    const before = api.requests.length;
    const { costUsd } = await session.query("three ".repeat(2_500));
    expect(api.requests.length - before).toBeGreaterThanOrEqual(3);
    expect(costUsd).toBeGreaterThan((await session.query("Next.")).costUsd);
    expect(sentLines()[0]).toContain("This session is being continued");
  });

  it("loses the one prompt that makes it too long with its turn, and needs at most two compactions", async () => {
    const { supervisor, session } = await started();
    await using _ = supervisor;
    api.model = limited(40_000);
    await session.query("First.");
    const asked = api.requests.length;
    const { details } = await failure(session.query("word ".repeat(16_000)), "TURN_FAILED");
    expect(details).toMatchObject({ class: "request", conversation: "undone" });
    expect(details.costUsd).toBeGreaterThan(0);
    const compactions = api.requests.slice(asked).filter(isCompaction);
    expect(compactions.length).toBeLessThanOrEqual(2);
    // The earlier messages are not replaced by a summary.
    await session.query("Next.");
    expect(sentLines()).toEqual(AFTER);
    expect(await session.health()).toEqual({ status: "healthy" });
    // The prompt stays removed in another process.
    kill(session);
    await session.query("Next.");
    expect(sentLines()).toEqual([...AFTER, "assistant: ok", "user: Next."]);
  });

  it("loses the prompt with a session store too, and a fork does not contain it", async () => {
    const { supervisor, session } = await started({ sessionStore: new InMemorySessionStore() });
    await using _ = supervisor;
    api.model = limited(40_000);
    await session.query("First.");
    await failure(session.query("word ".repeat(16_000)), "TURN_FAILED");
    const fork = await session.fork(unique("fork"));
    await fork.query("Next.");
    expect(has(lastRequest(), "word word")).toBe(false);
    await session.query("Next.");
    expect(sentLines()).toEqual(AFTER);
    await session.hibernate();
    await session.query("Next.");
    expect(sentLines()).toEqual([...AFTER, "assistant: ok", "user: Next."]);
  });

  it("is not cleared when compaction is disabled", async () => {
    const { supervisor, session } = await started({ env: { ...api.env, DISABLE_AUTO_COMPACT: "1" } });
    await using _ = supervisor;
    await session.query("First.");
    api.model = refuses(400, TOO_LONG);
    for (let n = 0; n < 2; n++) {
      const { details } = await failure(session.query("Boom."), "TURN_FAILED");
      expect(details).toMatchObject({ class: "request", conversation: "undone" });
    }
    expect(await next(session)).toEqual(AFTER);
  });

  it.each([
    ["breaks", (): MessagesAnswer => "breaks", "overload"],
    ["is overloaded", refuses(529, "Overloaded"), "overload"],
    ["refuses the key", refuses(401, "invalid x-api-key"), "auth"],
  ] as const)("is not reported as too long when the API %s during the compaction", async (_, fault, expected) => {
    const { supervisor, session } = await started();
    await using _s = supervisor;
    await session.query("First.");
    api.model = fault;
    const error = await failure(session.query("word ".repeat(800_000)), "TURN_FAILED");
    expect(error.details).toMatchObject({ class: expected, conversation: "undone" });
    expect(error.message).not.toContain("too long");
    if (expected === "overload") expect(await next(session)).toEqual(AFTER);
  });
});

it("a session with an unknown resume id: starts fresh after a failed first turn", async () => {
  const { supervisor, session } = await started({ resume: randomUUID(), onMissingConversation: "fresh" });
  await using _ = supervisor;
  api.model = refuses(500, "Internal server error");
  await failure(session.query("Boom."), "TURN_FAILED");
  expect(await next(session)).toEqual(["user: Next."]);
});
