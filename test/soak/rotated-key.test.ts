import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { query, Supervisor, stream } from "../../src/index.ts";
import { type MessagesApi, type MessagesRequest, messagesApi } from "../../src/testing/index.ts";

const KEY = "CASTELLAN_TEST_ROTATED";
const quiet = { info: () => {}, warn: () => {} };

let api: MessagesApi;
/** The keys and tokens that the API accepts. */
let good: readonly string[];

const keyOf = ({ headers }: MessagesRequest): string =>
  String(headers["x-api-key"] ?? headers["authorization"]?.replace("Bearer ", ""));

/** Returns the prompts in a request, without Claude Code's additions. */
const promptsIn = ({ texts }: MessagesRequest): string[] =>
  texts.flatMap(({ role, text }) => (role === "user" && /^Say \w+\.$/.test(text) ? [text] : []));

beforeEach(async () => {
  good = ["old"];
  api = await messagesApi((request) =>
    good.includes(keyOf(request))
      ? { text: `${promptsIn(request).join(" ")} With ${keyOf(request)}.` }
      : { error: { status: 401, message: "invalid x-api-key" } },
  );
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await api.stop();
  expect(api.errors).toEqual([]);
});

/** The session defaults. `retries` is how often Claude Code retries a request. */
function defaults(retries: number | undefined) {
  const env = { ...api.env, ANTHROPIC_API_KEY: undefined, CLAUDE_CODE_MAX_RETRIES: retries?.toString() };
  return { env, cwd: api.cwd };
}

describe.each([
  ["announced", undefined],
  ["told in a result", 0],
] as const)("a refused key, %s", (_, retries) => {
  it.each([
    [KEY, { apiKey: { env: KEY } }],
    ["ANTHROPIC_AUTH_TOKEN", {}],
    ["CLAUDE_CODE_OAUTH_TOKEN", {}],
  ] as const)("that has changed in %s: replaces the process, and nothing else", async (variable, own) => {
    vi.stubEnv(variable, "old");
    await using supervisor = await Supervisor.start([{ name: "rotated", ...own }], {
      defaults: defaults(retries),
      maxRestarts: 0,
      logger: quiet,
      journal: "memory",
    });
    expect((await query("rotated", "Say one.")).text).toBe("Say one. With old.");
    good = ["new"];
    vi.stubEnv(variable, "new");
    const since = performance.now();
    const turn = stream("rotated", "Say two.");
    const queued = query("rotated", "Say three.");
    let text = "";
    for await (const piece of turn.text()) text += piece;
    expect(text).toBe("Say one. Say two. With new.");
    // Claude Code alone would retry for three minutes.
    expect(performance.now() - since).toBeLessThan(10_000);
    expect((await queued).text).toBe("Say one. Say two. Say three. With new.");
    expect(supervisor.session("rotated").status()).toMatchObject({ state: "idle", starts: 2, restarts: 0 });
    expect(api.requests.map(keyOf)).toEqual(["old", "old", "new", "new"]);
  });

  it("quarantines the session if the changed key is refused too, until the next change", async () => {
    vi.stubEnv(KEY, "old");
    good = [];
    await using supervisor = await Supervisor.start([{ name: "rotated", apiKey: { env: KEY } }], {
      defaults: defaults(retries),
      logger: quiet,
      journal: "memory",
    });
    vi.stubEnv(KEY, "wrong");
    await expect(query("rotated", "Say one.")).rejects.toMatchObject({
      code: "TURN_FAILED",
      details: { class: "auth", status: 401 },
      message: expect.stringContaining("this key replaced one that was refused before"),
    });
    await vi.waitUntil(() => supervisor.session("rotated").status().state === "quarantined");
    expect(api.requests.map(keyOf)).toEqual(["old", "wrong"]);
    good = ["new"];
    vi.stubEnv(KEY, "new");
    expect(await supervisor.refreshCredentials()).toMatchObject({ replaced: ["rotated"], failed: [] });
    // Neither failed turn is in the conversation.
    expect((await query("rotated", "Say one.")).text).toBe("Say one. With new.");
  });

  it("fails a turn that has used a tool, and the next turn gets the changed key", async () => {
    vi.stubEnv(KEY, "old");
    const answer = api.model;
    api.model = (request) => {
      if (keyOf(request) !== "old") return answer(request);
      if (api.requests.length > 1) return { error: { status: 401, message: "invalid x-api-key" } };
      good = ["new"];
      vi.stubEnv(KEY, "new");
      return { toolUses: [{ name: "Bash", input: { command: "echo done", description: "Say it" } }] };
    };
    await using supervisor = await Supervisor.start(
      [{ name: "rotated", apiKey: { env: KEY }, allowedTools: ["Bash"] }],
      { defaults: defaults(retries), logger: quiet, journal: "memory" },
    );
    await expect(query("rotated", "Say one.")).rejects.toMatchObject({
      code: "TURN_FAILED",
      details: { class: "auth", toolUses: [{ name: "Bash" }] },
      message: expect.stringContaining("the next turn has the new one"),
    });
    expect((await query("rotated", "Say two.")).text).toMatch(/With new\.$/);
    expect(supervisor.session("rotated").status()).toMatchObject({ state: "idle", starts: 2, restarts: 0 });
  });
});

it("refreshCredentials: replaces processes before their key is refused, and lets a running turn finish with the old key", async () => {
  vi.stubEnv(KEY, "old");
  const gate = Promise.withResolvers<void>();
  const answer = api.model;
  api.model = async (request) => {
    if (promptsIn(request).includes("Say slowly.") && keyOf(request) === "old") await gate.promise;
    return await answer(request);
  };
  const names = ["idle", "busy", "asleep"];
  await using supervisor = await Supervisor.start(
    names.map((name) => ({ name, apiKey: { env: KEY } })),
    { defaults: defaults(undefined), logger: quiet, journal: "memory" },
  );
  for (const name of names) await query(name, "Say one.");
  await supervisor.session("asleep").hibernate();
  const slow = query("busy", "Say slowly.");
  await api.requested(4);
  good = ["old", "new"];
  vi.stubEnv(KEY, "new");
  const refresh = supervisor.refreshCredentials();
  await vi.waitUntil(() => supervisor.session("idle").status().starts === 2, { timeout: 10_000 });
  gate.resolve();
  expect((await slow).text).toBe("Say one. Say slowly. With old.");
  expect(await refresh).toEqual({ replaced: ["idle", "busy"], waiting: [], failed: [], unchanged: 1 });
  good = ["new"];
  for (const name of names) expect((await query(name, "Say two.")).text).toMatch(/^Say one\..* Say two\. With new\.$/);
  expect(api.requests.slice(4).map(keyOf)).toEqual(["new", "new", "new"]);
  expect(await supervisor.refreshCredentials()).toEqual({ replaced: [], waiting: [], failed: [], unchanged: 3 });
});

it("a refused and changed key: replaces the other sessions' processes too", async () => {
  vi.stubEnv(KEY, "old");
  const names = ["first", "second", "third"];
  await using supervisor = await Supervisor.start(
    names.map((name) => ({ name, apiKey: { env: KEY } })),
    { defaults: defaults(undefined), logger: quiet, journal: "memory" },
  );
  good = ["new"];
  vi.stubEnv(KEY, "new");
  expect((await query("first", "Say one.")).text).toBe("Say one. With new.");
  const up = (name: string): boolean => supervisor.session(name).status().starts === 2;
  await vi.waitUntil(() => names.every(up), { timeout: 20_000 });
  for (const name of ["second", "third"]) expect((await query(name, "Say one.")).text).toBe("Say one. With new.");
  expect(api.requests.map(keyOf)).toEqual(["old", "new", "new", "new"]);
});
