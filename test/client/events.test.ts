import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { CastellanClient } from "../../src/client/client.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import type { SessionEvent } from "../../src/wire/event-types.ts";
import { NativeScene, OPERATOR } from "../server/native-scene.ts";
import { ticks, unique } from "../session-on-fake/scene.ts";
import { socketFetch } from "./socket-fetch.ts";

/** Returns the numbers of the recorded events that the library has of a session. */
async function recorded(scene: NativeScene, name: string): Promise<readonly (number | undefined)[]> {
  const events = scene.supervisor.session(name).events({ after: 0, live: false });
  return (await Array.fromAsync(events)).map(({ number }) => number);
}

/** Reads events until the text `last` comes. Returns all that came. */
async function readUntil(events: AsyncIterable<SessionEvent>, last: string): Promise<SessionEvent[]> {
  const seen: SessionEvent[] = [];
  for await (const event of events) {
    seen.push(event);
    if (event.type === "turn_accepted" && event.prompt === last) break;
  }
  return seen;
}

const numbersOf = (events: readonly SessionEvent[]): number[] => events.flatMap(({ number }) => number ?? []);

test("session.events(): continues over a restart of the application, without gap or repetition", async () => {
  const name = unique();
  const setting = { children: [{ name }], journal: memoryJournal(), fake: fakeClaude() };
  const before = await NativeScene.start(setting);
  const port = Number(new URL(before.server.url).port);
  const session = before.client().session(name);
  const reading = readUntil(session.events({ after: 0 }), "last");
  await session.query("first");
  await before[Symbol.asyncDispose]();
  await using scene = await NativeScene.start({ ...setting, server: { port } });
  await session.query("last");
  const seen = numbersOf(await reading);
  expect(seen).toEqual(seen.map((_, index) => index + 1));
  expect((await recorded(scene, name)).slice(0, seen.length)).toEqual(seen);
  expect(before.wrong).toEqual([]);
});

/** Breaks the body of each answer after that many bytes. */
function breaking(bytes: number): (url: string, init: RequestInit) => Promise<Response> {
  return async (url, init) => {
    const response = await fetch(url, init);
    if (response.body === null || response.headers.get("content-type")?.startsWith("text/event-stream") !== true)
      return response;
    let left = bytes;
    const cut = new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        controller.enqueue(chunk.slice(0, left));
        left -= chunk.length;
        if (left <= 0) controller.error(new TypeError("terminated"));
      },
    });
    return new Response(response.body.pipeThrough(cut), response);
  };
}

test.each([150, 1_000])("session.events(): continues when the connection breaks every %i bytes", async (bytes) => {
  const name = unique();
  await using scene = await NativeScene.start({ children: [{ name }] });
  for (let turn = 0; turn < 2; turn++) await scene.client().session(name).query(`turn ${turn}`);
  const total = (await recorded(scene, name)).length;
  // Each connection begins with about a hundred bytes of its own, so one event at least comes through each.
  const client = scene.client("operator", { fetch: breaking(bytes + 500) });
  const seen: number[] = [];
  for await (const { number } of client.session(name).events({ after: 0, deltas: true })) {
    if (number !== undefined) seen.push(number);
    if (seen.length === total) break;
  }
  expect(seen).toEqual(Array.from({ length: total }, (_, index) => index + 1));
});

test("session.events(): a reader that stops reading is cut, and then gets what it has missed", async () => {
  const name = unique();
  const text = "x".repeat(60_000);
  await using scene = await NativeScene.start({
    children: [{ name }],
    fake: fakeClaude((turn) => turn.text(text, { partials: false })),
    server: { stall: "50ms", ping: "20ms" },
  });
  let connections = 0;
  const count = async (url: string, init: RequestInit): Promise<Response> => {
    if (url.includes("/stream")) connections++;
    return await fetch(url, init);
  };
  const session = scene.client("operator", { fetch: count }).session(name);
  const turns = 120;
  await session.enqueue("first");
  const seen: SessionEvent[] = [];
  for await (const event of session.events({ after: 0, types: ["text", "turn_ended"] })) {
    // Nobody reads while the session writes some megabytes.
    if (seen.length === 0) {
      const local = scene.supervisor.session(name);
      for (let turn = 1; turn < turns; turn++) await local.query(`turn ${turn}`);
    }
    seen.push(event);
    if (seen.length === 2 * turns) break;
  }
  expect(connections).toBeGreaterThan(1);
  expect(seen.map(({ type }) => type)).toEqual(Array.from({ length: turns }, () => ["text", "turn_ended"]).flat());
  const numbers = numbersOf(seen);
  expect(numbers).toEqual([...new Set(numbers)].toSorted((one, other) => one - other));
});

test("session.events(): has by default what follows, and ends with the session or the turn", async () => {
  const name = unique();
  await using scene = await NativeScene.start({ children: [{ name }] });
  const session = scene.client().session(name);
  const turn = await session.enqueue("before");
  await session.wait(turn);
  const own = await Array.fromAsync(session.events({ turn, after: 0 }));
  expect(own.map(({ type }) => type)).toContain("turn_ended");
  expect(own.every((event) => event.number === undefined || event.turnId === turn)).toBe(true);
  scene.used.delete("streamEvents");
  const later = Array.fromAsync(session.events());
  // The server has the reader once it has answered.
  while (!scene.used.has("streamEvents")) await ticks(1);
  await session.query("after");
  await session.stop();
  const numbers = numbersOf(await later);
  expect(numbers[0]).toBeGreaterThan(numbersOf(own).at(-1) ?? 0);
  expect(numbers).toEqual(numbers.map((_, index) => index + (numbers[0] ?? 0)));
});

test("session.events(): includes deltas and messages only on request", async () => {
  const name = unique();
  await using scene = await NativeScene.start({ children: [{ name, includePartialMessages: true }] });
  const session = scene.client().session(name);
  const typesOf = async (options: { readonly deltas?: boolean }, prompt: string): Promise<ReadonlySet<string>> => {
    const types = new Set<string>();
    const events = session.events({
      after: (await session.pastEvents({ limit: 1 })).events[0]?.number ?? 0,
      ...options,
    });
    const reading = events.next();
    // The server has the reader once it has answered.
    while (!scene.used.has("streamEvents")) await ticks(1);
    const turn = await session.enqueue(prompt);
    for (let next = await reading; next.done !== true; next = await events.next()) {
      types.add(next.value.type);
      if (next.value.type === "turn_ended" && next.value.turnId === turn) break;
    }
    scene.used.delete("streamEvents");
    await events.return();
    return types;
  };
  expect([...(await typesOf({}, "one"))]).not.toContain("text_delta");
  expect([...(await typesOf({ deltas: true }, "two"))]).toContain("text_delta");
  expect(scene.wrong).toEqual([]);
});

test("session.events(): throws why the server refuses, gives up after its patience, and ends with its signal", async () => {
  const name = unique();
  const callers = { operator: OPERATOR };
  const scene = await NativeScene.start({ children: [{ name }], callers });
  const { url } = scene.server;
  await expect(scene.client("nobody").session(name).events().next()).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
  const leaving = new AbortController();
  const read = scene.client().session(name).events({}, { signal: leaving.signal }).next();
  const reason = new Error("left");
  setImmediate(() => leaving.abort(reason));
  await expect(read).rejects.toBe(reason);
  await scene[Symbol.asyncDispose]();
  const late = new CastellanClient({ url, token: "operator", patience: 1 });
  await expect(late.session(name).events().next()).rejects.toMatchObject({ code: "SERVER_UNREACHABLE", status: 0 });
});

const frames = (...events: readonly string[]): Response =>
  new Response(events.join(""), { headers: { "content-type": "text/event-stream" } });

test("client.events(): connects again after `lost`, and says so", async () => {
  const opened = 'event: opened\ndata: {"type":"opened","at":1}\n\n';
  const answers = [
    frames(opened, 'event: lost\ndata: {"type":"lost"}\n\n'),
    frames(opened, 'event: ping\ndata: {"type":"ping"}\n\n', "event: reconnect\ndata: {}\n\nretry: 1\n\n"),
    Response.json({ error: { code: "SUPERVISOR_STOPPED", message: "It stops." } }, { status: 503 }),
    frames(opened, 'event: session:start\ndata: {"type":"session:start","at":2,"session":"a"}\n\n'),
  ];
  const fetch = async (): Promise<Response> => answers.shift() ?? Promise.reject(new TypeError("gone"));
  const types: string[] = [];
  for await (const { type } of new CastellanClient({ url: "http://test", fetch }).events()) {
    types.push(type);
    if (type === "session:start") break;
  }
  expect(types).toEqual(["opened", "opened", "opened", "session:start"]);
});

test("session.events(): connects again after a silence", async () => {
  const ids: (string | null)[] = [];
  const silent = 'id: 3\nevent: opened\ndata: {"type":"opened","after":3}\n\n';
  const fetch = async (_: string, { headers, signal }: RequestInit): Promise<Response> => {
    ids.push(new Headers(headers).get("last-event-id"));
    if (ids.length > 1) return frames('event: ended\ndata: {"type":"ended"}\n\n');
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(new TextEncoder().encode(silent));
        signal?.addEventListener("abort", () => controller.error(signal.reason));
      },
    });
    return new Response(body);
  };
  const client = new CastellanClient({ url: "http://test", fetch, streamIdle: 5 });
  expect(await Array.fromAsync(client.session("a").events())).toEqual([]);
  expect(ids).toEqual([null, "3"]);
});

test("CastellanClient: works through a unix socket with a `fetch` of its own", async () => {
  const folder = await mkdtemp(join(tmpdir(), "castellan-client-"));
  const name = unique();
  const socket = join(folder, "castellan.sock");
  await using scene = await NativeScene.start({ children: [{ name }], server: { socket } });
  // The socket belongs to the server's own user, who needs no token.
  const client = new CastellanClient({ url: "http://localhost", fetch: socketFetch(socket) });
  expect((await client.session(name).query("hello")).text).toBe("You said: hello");
  const [turn] = (await client.session(name).turns()).turns;
  const events = await Array.fromAsync(client.session(name).events({ after: 0, turn: turn?.id }));
  expect(events.map(({ type }) => type)).toContain("turn_ended");
  await rm(folder, { recursive: true });
  expect((await scene.client().server()).caller.id).toBe("operator");
});

test("session.wait(): waits for a turn over a restart of the application, which continues it", async () => {
  const name = unique();
  const fake = fakeClaude((turn) =>
    turn.prompt === "work" ? turn.text("begun").then(() => turn.hang()) : turn.text(`re: ${turn.prompt}`),
  );
  const setting = { children: [{ name }], journal: memoryJournal(), fake };
  const before = await NativeScene.start(setting);
  const port = Number(new URL(before.server.url).port);
  const session = before.client().session(name);
  const running = await session.enqueue("work");
  const waiting = await session.enqueue("later");
  const [first, second] = [session.wait(running), session.wait(waiting)];
  while (!before.supervisor.session(name).current?.touched) await ticks(1);
  // Without the server's drain: the answers of a supervisor that has stopped are no ends of turns.
  await before.supervisor.stop();
  await before[Symbol.asyncDispose]();
  await using _ = await NativeScene.start({ ...setting, server: { port } });
  expect(await second).toMatchObject({ state: "completed", reply: { text: "re: later" } });
  expect(await first).toMatchObject({ id: running, error: { code: "TURN_INTERRUPTED" } });
});
