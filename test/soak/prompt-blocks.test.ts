import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { type PromptBlock, type SessionDefaults, Supervisor } from "../../src/index.ts";
import { type MessagesApi, type MessagesRequest, messagesApi } from "../../src/testing/index.ts";
import { newFolder } from "../journal/sqlite-scene.ts";
import { document, image } from "../session/prompt-contents.ts";
import { unique } from "../session-on-fake/scene.ts";

const look: PromptBlock = { type: "text", text: "What is this?" };
const byUrl: PromptBlock = { type: "image", source: { type: "url", url: "https://example.com/a.png" } };
const terms = document(1_000_000);
const notes: PromptBlock = {
  type: "document",
  source: { type: "text", media_type: "text/plain", data: "Read @secret.txt, then /clear" },
};

let api: MessagesApi;

beforeEach(async () => {
  api = await messagesApi(() => ({ text: "seen" }));
});

afterEach(async () => {
  expect(api.errors).toEqual([]);
  await api.stop();
});

/** Starts a supervisor with one session. */
async function start(name: string, options: SessionDefaults = {}, journal: "memory" | { sqlite: string } = "memory") {
  const defaults = { env: api.env, cwd: api.cwd };
  const supervisor = await Supervisor.start([{ name, ...options }], { journal, defaults });
  return { supervisor, session: supervisor.session(name) };
}

/** Returns the blocks of the user's messages in a request, without what Claude Code adds, each once. */
function contentOf(request: MessagesRequest | undefined): unknown[] {
  const content = (request?.body.messages ?? []).flatMap(({ role, content }) =>
    role !== "user" || typeof content === "string" ? [] : content,
  );
  return content.flatMap(({ cache_control: _, ...block }) => {
    if (typeof block["text"] !== "string") return [block];
    // Claude Code names its copy of an image, and adds a line feed to the text before.
    if (/^<system-reminder>|^\[Image: source: /.test(block["text"])) return [];
    return [{ ...block, text: block["text"].trimEnd() }];
  });
}

it("Session.query: the model gets content blocks as the caller gave them, also later in the conversation", async () => {
  const { supervisor, session } = await start(unique());
  await using _ = supervisor;
  const prompt = [look, image, byUrl, terms, notes];
  expect((await session.query(prompt)).text).toBe("seen");
  expect(contentOf(api.lastRequest)).toEqual(prompt);
  await session.query([terms]);
  expect(contentOf(api.lastRequest)).toEqual([...prompt, terms]);
});

it("Session.query: blocks are sent once and unchanged after kill -9 in mid-turn", async () => {
  const { supervisor, session } = await start(unique());
  await using _ = supervisor;
  api.model = () => "hangs";
  const turn = session.stream([look, image, terms]);
  expect(contentOf(await api.requested(1))).toEqual([look, image, terms]);
  api.model = () => ({ text: "seen" });
  const { pid } = session.status();
  process.kill(pid ?? 0, "SIGKILL");
  expect((await turn.result()).text).toBe("seen");
  expect(session.status()).toMatchObject({ starts: 2, lastExit: { signal: "SIGKILL" } });
  expect(contentOf(api.lastRequest)).toEqual([look, image, terms]);
});

it("Session.enqueue: blocks from the journal reach the model after a restart of the application", async () => {
  const [name, journal] = [unique(), { sqlite: join(newFolder(), "castellan.db") }];
  const first = await start(name, {}, journal);
  api.model = () => "hangs";
  const running = await first.session.enqueue([look, terms]);
  const waiting = await first.session.enqueue([image, look]);
  await api.requested(1);
  await first.supervisor.stop();

  api.model = () => ({ text: "seen" });
  const second = await start(name, {}, journal);
  await using _ = second.supervisor;
  for (const id of [running, waiting]) {
    expect((await (await second.session.turn(id))?.result())?.text).toBe("seen");
  }
  expect(contentOf(api.lastRequest)).toEqual([look, terms, image, look]);
});

it("verbatimPrompts: Claude Code reads files and commands only in the last block, and in none of a verbatim prompt", async () => {
  await writeFile(join(api.cwd, "secret.txt"), "what nobody asked for");
  const { supervisor, session } = await start(unique(), { verbatimPrompts: false });
  await using _ = supervisor;
  const mention: PromptBlock = { type: "text", text: "Summarise @secret.txt" };
  const context: PromptBlock = { type: "text", text: "/context" };
  for (const prompt of [
    [mention, image],
    [mention, look],
    [image, mention],
    [image, context],
    [notes, context],
  ]) {
    await session.query(prompt, { verbatimPrompts: true });
    expect(api.lastRequest?.raw).not.toContain("what nobody asked for");
  }
  const verbatim = api.requests.length;
  expect(verbatim).toBe(5);
  await session.query([context, image]);
  await session.query([mention, image]);
  expect(api.requests.length).toBe(verbatim + 2);
  expect(api.lastRequest?.raw).not.toContain("what nobody asked for");
  // The command replaces the whole prompt.
  expect(await session.query([image, context])).toMatchObject({ command: "context" });
  expect(api.requests.length).toBe(verbatim + 2);
  await session.query([image, mention]);
  expect(api.lastRequest?.raw).toContain("what nobody asked for");
});

it("conversation: a prompt leaves it if the API rejects its image, and the conversation stays usable", async () => {
  const { supervisor, session } = await start(unique());
  await using _ = supervisor;
  await session.query("Hello");
  api.model = ({ raw }) => {
    const message = "messages.2.content.1.image.source.url: Unable to download the file";
    return raw.includes('"type":"image"') ? { error: { status: 400, message } } : { text: "fine" };
  };
  const error = await session.query([look, byUrl]).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: "TURN_FAILED", details: { conversation: "undone" } });
  expect((await session.query("Still there?")).text).toBe("fine");
  expect(contentOf(api.lastRequest)).toEqual([
    { type: "text", text: "Hello" },
    { type: "text", text: "Still there?" },
  ]);
});

it("Session.query: Claude Code asks again without a PDF that the API cannot read", async () => {
  const { supervisor, session } = await start(unique());
  await using _ = supervisor;
  api.model = ({ raw }) => {
    const message = "messages.0.content.1.document.source.base64.data: The PDF specified was not valid";
    return raw.includes('"type":"document"') ? { error: { status: 400, message } } : { text: "fine" };
  };
  expect((await session.query([look, terms])).text).toBe("fine");
  expect(contentOf(api.lastRequest)).toEqual([
    look,
    { type: "text", text: expect.stringContaining("[Document removed: the API could not process this document") },
  ]);
});
