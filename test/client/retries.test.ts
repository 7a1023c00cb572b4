import { expect, test } from "vitest";
import { CastellanApiError } from "../../src/client/api-error.ts";
import { CastellanClient } from "../../src/client/client.ts";
import type { ClientOptions } from "../../src/client/client-options.ts";

interface Attempt {
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
  readonly headers: Headers;
}

type Answer = Response | Error | ((signal: AbortSignal) => Promise<Response>);

/** A client whose requests get these answers, in order; the last one again and again. */
function clientOf(answers: readonly Answer[], options: Partial<ClientOptions> = {}): [CastellanClient, Attempt[]] {
  const attempts: Attempt[] = [];
  const fetch = async (url: string, { method = "GET", body, headers, signal }: RequestInit): Promise<Response> => {
    const { pathname, search } = new URL(url);
    const text = typeof body === "string" ? (JSON.parse(body) as unknown) : undefined;
    attempts.push({ method, path: pathname + search, body: text, headers: new Headers(headers) });
    const answer = answers[Math.min(attempts.length, answers.length) - 1];
    if (answer instanceof Error) throw answer;
    if (answer instanceof Response) return answer.clone();
    if (answer === undefined || !(signal instanceof AbortSignal)) throw new Error("no answer");
    return await answer(signal);
  };
  return [new CastellanClient({ url: "http://test:1/base/", fetch, token: "secret", ...options }), attempts];
}

const BROKEN = new TypeError("fetch failed");

/** Never answers. */
const silent = (signal: AbortSignal): Promise<Response> =>
  new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));

function refusal(status: number, code: string, headers: Record<string, string> = {}): Response {
  return Response.json({ error: { code, message: `It is ${code}.`, details: { a: 1 } } }, { status, headers });
}

const OK = Response.json({ id: "t1" });

test("CastellanClient: sends the token and the path below the server's own", async () => {
  const [client, attempts] = clientOf([Response.json({ sessions: [], next: null })]);
  await client.listSessions({ labels: { user: "a:b&c" }, prefix: ["support", 42], limit: 5 });
  expect(attempts[0]?.path).toBe(
    `/base/castellan/v1/sessions?label=user%3Aa%3Ab%26c&limit=5&prefix=${encodeURIComponent('["support",42]')}`,
  );
  expect(attempts[0]?.headers.get("authorization")).toBe("Bearer secret");
  expect(() => new CastellanClient({ url: "ftp://x" })).toThrow(TypeError);
});

test("CastellanClient: repeats reads and requests with a key, with the same key", async () => {
  const [client, attempts] = clientOf([BROKEN, refusal(503, "JOURNAL_UNAVAILABLE", { "x-should-retry": "true" }), OK]);
  expect(await client.session("a").enqueue("hello")).toBe("t1");
  expect(attempts).toHaveLength(3);
  const keys = attempts.map(({ body }) => (body as { readonly idempotencyKey: string }).idempotencyKey);
  expect(keys[0]).toMatch(/^[0-9a-f]{32}$/);
  expect(new Set(keys).size).toBe(1);
  const [reader, reads] = clientOf([BROKEN, BROKEN, Response.json({ turns: [], next: null })]);
  await reader.session("a").turns();
  expect(reads).toHaveLength(3);
});

test("CastellanClient: does not repeat what may have happened, nor what will fail again", async () => {
  const cases: readonly (readonly [Answer, (client: CastellanClient) => Promise<unknown>, string])[] = [
    [BROKEN, (client) => client.session("a").restart(), "SERVER_UNREACHABLE"],
    [BROKEN, (client) => client.session("a").clear(), "SERVER_UNREACHABLE"],
    [BROKEN, (client) => client.session("a").stop(), "SERVER_UNREACHABLE"],
    [BROKEN, (client) => client.session("a").delete(), "SERVER_UNREACHABLE"],
    [BROKEN, (client) => client.session("a").interrupt(), "SERVER_UNREACHABLE"],
    [BROKEN, (client) => client.session("a").fork({ name: "b" }), "SERVER_UNREACHABLE"],
    [BROKEN, (client) => client.session("a").steer("t", "x"), "SERVER_UNREACHABLE"],
    [BROKEN, (client) => client.session("a").enqueue("x", { whenBusy: "steer" }), "SERVER_UNREACHABLE"],
    [BROKEN, (client) => client.restartChild("a"), "SERVER_UNREACHABLE"],
    [BROKEN, (client) => client.deleteChild("a"), "SERVER_UNREACHABLE"],
    [
      refusal(503, "SESSION_QUARANTINED", { "x-should-retry": "false" }),
      (client) => client.session("a").enqueue("x"),
      "SESSION_QUARANTINED",
    ],
    [refusal(404, "SESSION_NOT_FOUND"), (client) => client.session("a").get(), "SESSION_NOT_FOUND"],
    [refusal(401, "UNAUTHENTICATED"), (client) => client.health(), "UNAUTHENTICATED"],
    [new Response("<html>", { status: 200 }), (client) => client.health(), "INVALID_ANSWER"],
    [Response.json({ other: 1 }, { status: 400 }), (client) => client.health(), "INVALID_ANSWER"],
  ];
  for (const [answer, call, code] of cases) {
    const [client, attempts] = clientOf([answer]);
    await expect(call(client), code).rejects.toMatchObject({ code });
    expect(attempts, `${code} ${attempts[0]?.path}`).toHaveLength(1);
  }
});

test("CastellanClient: repeats any request that the server has not begun", async () => {
  const full = refusal(429, "RATE_LIMITED", { "x-should-retry": "true", "retry-after": "0" });
  const [client, attempts] = clientOf([full, Response.json({ name: "a", state: "idle" })]);
  expect(await client.session("a").restart()).toMatchObject({ state: "idle" });
  expect(attempts).toHaveLength(2);
});

test("CastellanClient: gives up after its retries, with the last error", async () => {
  const [client, attempts] = clientOf([new Response("bad gateway", { status: 502 })], { retries: 1 });
  await expect(client.health()).rejects.toMatchObject({ code: "INVALID_ANSWER", status: 502, retryable: true });
  expect(attempts).toHaveLength(2);
});

test("CastellanApiError: has what the answer says", async () => {
  const headers = { "request-id": "req_1", "retry-after": "7", "x-should-retry": "false" };
  const [client] = clientOf([refusal(429, "SESSION_BUSY", headers)]);
  const error: unknown = await client
    .session("a")
    .enqueue("x")
    .catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(CastellanApiError);
  expect(error).toMatchObject({
    code: "SESSION_BUSY",
    message: "It is SESSION_BUSY.",
    status: 429,
    details: { a: 1 },
    requestId: "req_1",
    retryAfterMs: 7_000,
    retryable: false,
  });
});

test("CastellanClient: ends at its timeout, and at once when the signal is aborted", async () => {
  const [client, attempts] = clientOf([silent], { retries: 1 });
  await expect(client.health({ timeout: 1 })).rejects.toMatchObject({ code: "REQUEST_TIMEOUT", status: 0 });
  expect(attempts).toHaveLength(2);
  const [other, requests] = clientOf([silent]);
  const leaving = new AbortController();
  const call = other.health({ signal: leaving.signal });
  const reason = new Error("left");
  leaving.abort(reason);
  await expect(call).rejects.toBe(reason);
  await expect(other.health({ signal: leaving.signal })).rejects.toBe(reason);
  expect(requests).toHaveLength(1);
  // A wait between two attempts ends, too.
  const [waiting] = clientOf([refusal(503, "SUPERVISOR_STOPPED", { "retry-after": "60" })]);
  const later = new AbortController();
  const held = waiting.health({ signal: later.signal });
  setImmediate(() => later.abort(reason));
  await expect(held).rejects.toBe(reason);
});

test("session.query(): throws why the turn did not complete", async () => {
  const turn = { id: "t1", state: "failed", origin: "caller", touched: true };
  const error = { code: "TURN_FAILED", message: "It failed.", details: { class: "request" } };
  const [client] = clientOf([OK, Response.json({ ...turn, state: "running" }), Response.json({ ...turn, error })]);
  await expect(client.session("a").query("x")).rejects.toMatchObject({ ...error, status: 0 });
});

/** An answer whose body comes later; see `laterJson`. */
const headOf = (body: string | ReadableStream): Response =>
  new Response(body, { status: 202, headers: { "content-type": "application/json", location: "turns/t%201" } });

/** A body that breaks off. */
const broken = (): ReadableStream => new ReadableStream({ pull: (controller) => controller.error(BROKEN) });

const DONE = { id: "t 1", state: "completed", origin: "caller", touched: true, reply: { text: "hi" } };

const requestsOf = (attempts: readonly Attempt[]): string[] =>
  attempts.map(({ method, path }) => `${method} ${path.slice(path.indexOf("turns"))}`);

test("session.query(): takes one request while the connection holds", async () => {
  const [client, attempts] = clientOf([async () => headOf(JSON.stringify({ id: "t 1", turn: DONE }))]);
  expect((await client.session("a").query("x")).text).toBe("hi");
  expect((await client.pool("p").query("x")).text).toBe("hi");
  // Without `location`, which a page of another origin may not see.
  const [page, answers] = clientOf([Response.json({ id: "t 1", turn: DONE }, { status: 202 })]);
  expect((await page.session("a").query("x")).text).toBe("hi");
  expect(requestsOf([...attempts, ...answers])).toEqual(Array.from({ length: 3 }, () => "POST turns?waitMs=24000"));
  for (const { body } of [...attempts, ...answers])
    expect(body).toMatchObject({ idempotencyKey: expect.stringMatching(/^[0-9a-f]{32}$/) as unknown });
});

test("session.query(): waits for the turn that the head has named when the body breaks off or lacks it", async () => {
  for (const body of [broken, () => JSON.stringify({ id: "t 1" }), () => "<html>"]) {
    const [client, attempts] = clientOf([async () => headOf(body()), Response.json(DONE)]);
    expect((await client.session("a").query("x")).text).toBe("hi");
    expect(requestsOf(attempts)).toEqual(["POST turns?waitMs=24000", "GET turns/t%201?waitMs=25000"]);
  }
});

test("session.query(): repeats the request with its key until a head arrives", async () => {
  const answer = async (): Promise<Response> => headOf(JSON.stringify({ id: "t 1", turn: DONE }));
  const [client, attempts] = clientOf([BROKEN, BROKEN, answer]);
  expect((await client.session("a").query("x")).text).toBe("hi");
  expect(new Set(attempts.map(({ body }) => JSON.stringify(body))).size).toBe(1);
  expect(attempts).toHaveLength(3);
  const [down, tries] = clientOf([BROKEN]);
  await expect(down.session("a").query("x")).rejects.toMatchObject({ code: "SERVER_UNREACHABLE" });
  expect(tries).toHaveLength(3);
});

test("session.query(): sends a message to a running turn once, and then waits for the turn", async () => {
  const [client, attempts] = clientOf([OK, Response.json({ ...DONE, id: "t1" })]);
  expect((await client.session("a").query("x", { whenBusy: "steer" })).text).toBe("hi");
  expect(requestsOf(attempts)).toEqual(["POST turns", "GET turns/t1?waitMs=25000"]);
  expect(attempts[0]?.body).toEqual({ prompt: "x", whenBusy: "steer" });
});

test("session.query(): ends with the reason of its signal, and with REQUEST_TIMEOUT after `wait`", async () => {
  const leaving = new AbortController();
  const reason = new Error("left");
  const held = async (signal: AbortSignal): Promise<Response> => {
    const stream = new ReadableStream({
      start: (controller) => signal.addEventListener("abort", () => controller.error(signal.reason), { once: true }),
    });
    setImmediate(() => leaving.abort(reason));
    return headOf(stream);
  };
  const [client, attempts] = clientOf([held]);
  await expect(client.session("a").query("x", { signal: leaving.signal })).rejects.toBe(reason);
  expect(attempts).toHaveLength(1);
  const [late, requests] = clientOf([
    async () => headOf(JSON.stringify({ id: "t 1" })),
    Response.json({ ...DONE, state: "running", reply: undefined }),
  ]);
  await expect(late.session("a").query("x", { wait: 0 })).rejects.toMatchObject({ code: "REQUEST_TIMEOUT" });
  await expect(late.session("a").query("x", { wait: 1, timeout: 5_000 })).rejects.toMatchObject({
    code: "REQUEST_TIMEOUT",
  });
  expect(requestsOf(requests).slice(0, 2)).toEqual(["POST turns?waitMs=0", "GET turns/t%201?waitMs=0"]);
});

test("session.query(): asks a server for no longer than its own patience for one answer", async () => {
  const answer = async (): Promise<Response> => headOf(JSON.stringify({ id: "t 1", turn: DONE }));
  const [client, attempts] = clientOf([answer], { timeout: 1_000 });
  await client.session("a").query("x");
  await client.session("a").query("x", { timeout: 100_000 });
  await client.session("a").query("x", { timeout: Number.POSITIVE_INFINITY });
  expect(requestsOf(attempts)).toEqual(["POST turns?waitMs=800", "POST turns?waitMs=25000", "POST turns?waitMs=25000"]);
});

test("session.export(): throws if the export breaks off, after the lines that came", async () => {
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (sent) controller.error(new TypeError("terminated"));
      else controller.enqueue(new TextEncoder().encode('{"type":"session"}\n{"type":"tu'));
      sent = true;
    },
  });
  let sent = false;
  const [client] = clientOf([async () => new Response(body)]);
  const lines = client.session("a").export();
  expect(await lines.next()).toEqual({ done: false, value: '{"type":"session"}' });
  await expect(lines.next()).rejects.toMatchObject({ code: "SERVER_UNREACHABLE", status: 0 });
});
