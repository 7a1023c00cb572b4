import { expect, test } from "vitest";
import { CastellanClient } from "../../src/client/client.ts";
import { pool } from "../../src/index.ts";
import type { Caller } from "../../src/server/http/caller.ts";
import { type FakeScript, fakeClaude } from "../../src/testing/index.ts";
import type { SubmittedTurn } from "../../src/wire/turn.ts";
import { unique } from "../session-on-fake/scene.ts";
import { NativeScene, OPERATOR } from "./native-scene.ts";

/* A prompt whose request waits for the end of the turn. */

const PATH = `/sessions/${encodeURIComponent('"assistant"')}/turns`;

/** A script whose turns wait until they are let go, and fail on demand. */
function held(): { readonly script: FakeScript; readonly release: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  const script: FakeScript = async (turn) => {
    if (turn.prompt === "wait") await promise;
    if (turn.prompt === "fail") await turn.fail({ status: 400, message: "no" });
    else await turn.text(`re: ${turn.prompt}`);
  };
  return { script, release: resolve };
}

const post = (body: object): RequestInit => ({
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify(body),
});

const prompts = ({ fake }: NativeScene): readonly string[] => fake.processes.flatMap((one) => one.prompts);

const submitted = async (response: Response): Promise<SubmittedTurn> => (await response.json()) as SubmittedTurn;

test("native API: the head of the answer names the turn before the turn ends, and the body has its end", async () => {
  const { script, release } = held();
  await using scene = await NativeScene.start({ fake: fakeClaude(script) });
  const response = await scene.request(`${PATH}?waitMs=60000`, post({ prompt: "wait" }));
  expect(response.status).toBe(202);
  const path = new URL(response.headers.get("location") ?? "", response.url).pathname.slice("/castellan/v1".length);
  const running = (await (await scene.request(path)).json()) as { readonly id: string; readonly state: string };
  expect(running.state).toMatch(/^(?:queued|running)$/);
  release();
  const { id, turn } = await submitted(response);
  expect(turn).toMatchObject({ id: running.id, state: "completed", reply: { text: "re: wait" } });
  expect(id).toBe(running.id);
  expect(await (await scene.request(path)).json()).toEqual(turn);
});

test("native API: a request that waits is answered without the turn after its time, and with a failed turn", async () => {
  const { script, release } = held();
  await using scene = await NativeScene.start({ fake: fakeClaude(script) });
  for (const waitMs of [1, 150]) {
    const early = await submitted(await scene.request(`${PATH}?waitMs=${waitMs}`, post({ prompt: "wait" })));
    expect(early).toEqual({ id: early.id });
  }
  release();
  const failed = await submitted(await scene.request(`${PATH}?waitMs=60000`, post({ prompt: "fail" })));
  expect(failed.turn).toMatchObject({ id: failed.id, state: "failed", error: { code: "TURN_FAILED" } });
  const none = await submitted(await scene.request(`${PATH}?waitMs=0`, post({ prompt: "x" })));
  expect(none).toEqual({ id: none.id });
});

test("native API: a request that waits keeps the errors of one that does not", async () => {
  const talker: Caller = { id: "talker", scopes: new Set(["talk"]) };
  await using scene = await NativeScene.start({ callers: { operator: OPERATOR, talker } });
  const statuses = async (query: string, body: object, token?: string, path = PATH): Promise<number> =>
    (await scene.request(`${path}?${query}`, post(body), token)).status;
  expect(await statuses("waitMs=1000", { prompt: "x" }, "talker")).toBe(403);
  expect(await statuses("waitMs=0", { prompt: "x" }, "talker")).toBe(202);
  expect(await statuses("waitMs=60001", { prompt: "x" })).toBe(400);
  expect(await statuses("waitMs=-1", { prompt: "x" })).toBe(400);
  expect(await statuses("wait=1", { prompt: "x" })).toBe(400);
  expect(await statuses("waitMs=1000", { prompt: "" })).toBe(400);
  expect(await statuses("waitMs=1000", { prompt: "x" }, "operator", "/sessions/%22none%22/turns")).toBe(404);
  expect((await scene.client().session("assistant").turns()).turns).toHaveLength(1);
});

test("native API: a turn continues without the client that waits for it, and its key finds it", async () => {
  const { script, release } = held();
  await using scene = await NativeScene.start({ fake: fakeClaude(script) });
  const leaving = new AbortController();
  const body = post({ prompt: "wait", idempotencyKey: "k1" });
  const left = await scene.request(`${PATH}?waitMs=60000`, { ...body, signal: leaving.signal });
  leaving.abort();
  await expect(left.text()).rejects.toThrow();
  const again = await scene.request(`${PATH}?waitMs=60000`, body);
  expect(again.headers.get("location")).toBe(left.headers.get("location"));
  release();
  const { turn } = await submitted(again);
  expect(turn).toMatchObject({ state: "completed", reply: { text: "re: wait" } });
  const recalled = await submitted(await scene.request(`${PATH}?waitMs=60000`, body));
  expect(recalled.turn).toMatchObject({ id: turn?.id, state: "completed" });
  expect(prompts(scene)).toHaveLength(1);
});

test("native API: a job of a pool can be waited for in its request", async () => {
  const jobs = unique("jobs");
  const { script, release } = held();
  await using scene = await NativeScene.start({ children: [pool(jobs, { size: 1 })], fake: fakeClaude(script) });
  const first = await scene.request(`/pools/${jobs}/turns?waitMs=60000`, post({ prompt: "wait" }));
  const second = scene.client().pool(jobs).query("next");
  release();
  expect((await submitted(first)).turn).toMatchObject({ state: "completed", reply: { text: "re: wait" } });
  expect((await second).text).toBe("re: next");
});

test.each([
  ["before the head of its answer, which it asks for again with its key", false, "POST"],
  ["after the head of its answer, which named the turn", true, "GET"],
] as const)("CastellanClient: a query outlives a server that ends %s", async (_, afterHead, last) => {
  const { script, release } = held();
  await using scene = await NativeScene.start({ fake: fakeClaude(script) });
  const [first, second] = [await scene.another(), await scene.another()];
  const head = Promise.withResolvers<void>();
  const methods: (string | undefined)[] = [];
  let { url } = first;
  const client = new CastellanClient({
    url: first.url,
    token: "operator",
    fetch: async (address, init) => {
      methods.push(init.method);
      const response = await fetch(address.replace(first.url, url), init);
      head.resolve();
      return response;
    },
  });
  const reply = client.session("assistant").query("wait");
  await (afterHead ? head.promise : scene.fake.prompted(1));
  ({ url } = second);
  await first.close({ deadline: 0 });
  release();
  expect((await reply).text).toBe("re: wait");
  expect(prompts(scene)).toHaveLength(1);
  expect(methods).toEqual(["POST", last]);
  await second.close();
});
