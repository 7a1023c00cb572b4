import { setImmediate as nextRound } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import type { ChildOptions } from "../../src/application/options/child-options.ts";
import { template } from "../../src/index.ts";
import { StreamLimit } from "../../src/server/access/stream-limit.ts";
import { serverHandler } from "../../src/server/handler.ts";
import type { Caller } from "../../src/server/http/caller.ts";
import { endingBody } from "../../src/server/http/ending-body.ts";
import { type ListenOptions, listen } from "../../src/server/index.ts";
import { eventually, unique } from "../session-on-fake/scene.ts";
import { NativeScene, OPERATOR } from "./native-scene.ts";

const ANN: Caller = { ...OPERATOR, id: "ann" };
const BOB: Caller = { ...OPERATOR, id: "bob" };

const SESSION = `/castellan/v1/sessions/${encodeURIComponent('"assistant"')}/events/stream`;
const SUPERVISOR = "/castellan/v1/events/stream";

interface Opened {
  readonly status: number;
  readonly headers: Headers;
  readonly leave: () => void;
  /** The body of a refused stream. */
  readonly refusal: string;
}

/** A server whose callers may have this many streams, and a way to open one. */
async function start(
  server: ListenOptions,
  children?: readonly ChildOptions[],
): Promise<readonly [NativeScene, typeof open]> {
  const scene = await NativeScene.start({
    callers: { ann: ANN, bob: BOB },
    server,
    ...(children !== undefined && { children }),
  });
  onTestFinished(() => scene[Symbol.asyncDispose]());
  const open = async (
    caller: string,
    path: string = SESSION,
    headers: Record<string, string> = {},
    url: string = scene.server.url,
  ): Promise<Opened> => {
    const leaving = new AbortController();
    const response = await fetch(`${url}${path}`, {
      headers: { authorization: `Bearer ${caller}`, ...headers },
      signal: leaving.signal,
    });
    onTestFinished(() => leaving.abort());
    const refusal = response.ok ? "" : await response.text();
    return {
      status: response.status,
      headers: response.headers,
      leave: () => leaving.abort(),
      refusal,
    };
  };
  return [scene, open];
}

/** Resolves once a stream can be opened. */
async function again(open: () => Promise<Opened>): Promise<void> {
  let stream = await open();
  while (stream.status === 429) {
    await nextRound();
    stream = await open();
  }
  expect(stream.status).toBe(200);
}

test("maxStreams: a further stream of the caller is refused on every API, and other requests and callers are not", async () => {
  const [, open] = await start({ maxStreams: 2, origins: ["https://app.example"] });
  expect((await open("ann")).status).toBe(200);
  expect((await open("ann", SUPERVISOR)).status).toBe(200);
  for (const path of [SESSION, SUPERVISOR]) {
    const refused = await open("ann", path, { origin: "https://app.example" });
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(refused.headers.get("x-should-retry")).toBe("true");
    expect(refused.headers.get("content-type")).toMatch(/^application\/json/);
    expect(refused.headers.get("access-control-allow-origin")).toBe("https://app.example");
    expect(refused.headers.has("x-accel-buffering")).toBe(false);
    expect(JSON.parse(refused.refusal)).toMatchObject({ error: { code: "TOO_MANY_STREAMS" } });
  }
  expect((await open("ann", "/castellan/v1/sessions")).status).toBe(200);
  expect((await open("bob")).status).toBe(200);
});

test("maxStreams: the streams of Anthropic's API count, too, and are refused in its form", async () => {
  const agent = unique("support");
  const [scene, open] = await start({ maxStreams: 2 }, [{ name: "assistant" }, template(agent, {})]);
  const created = await fetch(`${scene.server.url}/anthropic/v1/sessions`, {
    method: "POST",
    headers: { authorization: "Bearer ann", "content-type": "application/json" },
    body: JSON.stringify({ agent, environment_id: "env_local" }),
  });
  const { id } = (await created.json()) as { readonly id: string };
  const path = `/anthropic/v1/sessions/${id}/events/stream`;
  const streams = [await open("ann", path), await open("ann")];
  expect(streams.map(({ status }) => status)).toEqual([200, 200]);
  const refused = await open("ann", path);
  expect(refused.status).toBe(429);
  expect(JSON.parse(refused.refusal)).toMatchObject({
    type: "error",
    error: { type: "rate_limit_error", details: { error_code: "TOO_MANY_STREAMS" } },
  });
  streams[1]?.leave();
  await again(() => open("ann", path));
});

type End = (stream: Opened, scene: NativeScene) => Promise<void>;

const ENDS: readonly (readonly [string, End])[] = [
  ["its client leaves", async (stream) => stream.leave()],
  ["its session ends", async (_, { supervisor }) => await supervisor.session("assistant").stop()],
  ["its server drains", async (_, { server }) => server.drain()],
];

test.each(ENDS)("maxStreams: a stream ends for the limit when %s", async (_, end) => {
  const [scene, open] = await start({ maxStreams: 1 });
  const stream = await open("ann");
  expect((await open("ann", SUPERVISOR)).status).toBe(429);
  await end(stream, scene);
  await again(() => open("ann", SUPERVISOR));
});

test("maxStreams: a client that takes nothing loses its place when it is cut", async () => {
  const handler = serverHandler((await start({}))[0].supervisor, { authenticate: () => ANN, maxStreams: 1, stall: 20 });
  const stalled = await handler(new Request(`http://localhost${SUPERVISOR}`));
  const reader = stalled.body?.getReader();
  await reader?.read();
  const open = async (): Promise<Opened> => {
    const { status, headers, body } = await handler(new Request(`http://localhost${SUPERVISOR}`));
    return { status, headers, leave: () => void body?.cancel(), refusal: "" };
  };
  expect((await open()).status).toBe(429);
  await again(open);
  handler.drain();
});

test("maxStreams: neither HEAD nor a client that leaves before the body is read keeps a place", async () => {
  const [{ supervisor, server }, open] = await start({ maxStreams: 1 });
  for (let n = 0; n < 3; n++) {
    const headers = { authorization: "Bearer ann" };
    expect((await fetch(`${server.url}${SESSION}`, { method: "HEAD", headers })).status).toBe(200);
  }
  (await open("ann")).leave();
  const handler = serverHandler(supervisor, { authenticate: () => ANN, maxStreams: 1 });
  for (const how of ["abort", "cancel", "drain"] as const) {
    const leaving = new AbortController();
    const response = await handler(new Request(`http://localhost${SUPERVISOR}`, { signal: leaving.signal }));
    expect(response.status, how).toBe(200);
    if (how === "abort") leaving.abort();
    else if (how === "cancel") await response.body?.cancel();
    else handler.drain();
    if (how === "drain") await response.text();
    await Promise.resolve();
  }
  expect((await handler(new Request(`http://localhost${SUPERVISOR}`))).status).toBe(200);
});

test("maxStreams: local callers count as one, and have a limit only if it is set", async () => {
  const [{ supervisor }, open] = await start({});
  const serve = async (options: ListenOptions): Promise<string> => {
    const server = await listen(supervisor, { tokens: false, ...options });
    onTestFinished(() => server.close({ deadline: 0 }));
    return server.url;
  };
  const limited = await serve({ maxStreams: 2 });
  const unlimited = [await serve({}), await serve({ maxStreams: false })];
  for (const [url, most] of [[limited, 2], ...unlimited.map((url) => [url, 1_100] as const)] as const) {
    const count = most === 2 ? 2 : 5;
    for (let n = 0; n < count; n++) expect((await open("", SUPERVISOR, {}, url)).status).toBe(200);
    expect((await open("", SUPERVISOR, {}, url)).status).toBe(most === 2 ? 429 : 200);
  }
});

test("maxStreams: the default is 1,000 for a caller with a token, and none for a local one", async () => {
  const [{ supervisor }] = await start({});
  const statuses = async (open: () => Promise<Response>): Promise<readonly number[]> => {
    const responses: Response[] = [];
    for (let n = 0; n < 1_001; n++) responses.push(await open());
    for (const { body } of responses) await body?.cancel();
    return responses.map(({ status }) => status);
  };
  const handler = serverHandler(supervisor, { authenticate: () => ANN, rateLimit: false });
  const opened = await statuses(() => handler(new Request(`http://localhost${SUPERVISOR}`)));
  expect(opened.indexOf(429)).toBe(1_000);
  const open = serverHandler(supervisor, { authenticate: () => ANN, rateLimit: false, maxStreams: false });
  expect(await statuses(() => open(new Request(`http://localhost${SUPERVISOR}`)))).not.toContain(429);
});

test("StreamLimit: counts by caller, takes an end twice, and forgets callers without streams", () => {
  const limit = new StreamLimit(2);
  const [first, second] = [limit.take("a"), limit.take("a")];
  expect(limit.take("a")).toBeUndefined();
  expect(limit.take("b")).toBeTypeOf("function");
  first?.();
  first?.();
  expect(limit.take("a")).toBeTypeOf("function");
  expect(limit.take("a")).toBeUndefined();
  second?.();
  expect(limit.callers).toBe(2);
  expect(new StreamLimit(Number.POSITIVE_INFINITY).take("a")).toBeTypeOf("function");
});

test("endingBody: tells the end of a body that completes, fails, is cancelled or is left", async () => {
  const bodyOf = (end: "close" | "error" | "open"): ReadableStream =>
    new ReadableStream({
      pull(controller) {
        if (end === "close") controller.close();
        else if (end === "error") controller.error(new Error("broken"));
      },
    });
  const cases: readonly (readonly ["close" | "error" | "open", (response: Response, leave: () => void) => unknown])[] =
    [
      ["close", (response) => response.text()],
      ["error", (response) => response.text().catch(() => "")],
      ["open", (response) => response.body?.cancel()],
      ["open", (_, leave) => leave()],
      ["open", (response, leave) => Promise.all([response.text().catch(() => ""), leave()])],
    ];
  for (const [end, act] of cases) {
    let ended = false;
    const leaving = new AbortController();
    const response = endingBody(new Response(bodyOf(end), { headers: { a: "b" } }), leaving.signal, () => {
      ended = true;
    });
    expect(ended).toBe(false);
    expect(response.headers.get("a")).toBe("b");
    await act(response, () => leaving.abort());
    await eventually(() => ended);
  }
});

test("endingBody: fails with its body, also while nobody reads", async () => {
  for (const chunks of [0, 1, 2]) {
    let fail: ((error: Error) => void) | undefined;
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        fail = (error) => controller.error(error);
        for (let n = 0; n < chunks; n++) controller.enqueue(new Uint8Array(1));
      },
    });
    let ended = false;
    const response = endingBody(new Response(body), new AbortController().signal, () => {
      ended = true;
    });
    const reader = response.body?.getReader();
    if (chunks > 0) await reader?.read();
    fail?.(new Error("broken"));
    await expect(reader?.closed).rejects.toThrow("broken");
    expect(ended).toBe(true);
  }
});
