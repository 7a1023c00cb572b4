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
