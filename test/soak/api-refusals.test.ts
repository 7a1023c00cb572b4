import { describe, expect, it } from "vitest";
import { Supervisor } from "../../src/index.ts";
import { fakeClaude, messagesApi } from "../../src/testing/index.ts";
import { failure, unique } from "../session-on-fake/scene.ts";

const CREDIT =
  "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.";
const DISABLED = "This organization has been disabled.";
const LIMIT =
  "You have reached your specified workspace API usage limits. You will regain access on 2100-12-01 at 00:00 UTC.";
const UNTIL = Date.UTC(2100, 11, 1);
const quiet = { journal: "memory", logger: { info: () => {}, warn: () => {} } } as const;

/** The API's answers in its own words, and the resulting error details and state. */
const REFUSALS: readonly [status: number, message: string, details: object, state: string][] = [
  [400, LIMIT, { class: "quota", retryAt: UNTIL }, "waiting"],
  [400, LIMIT.replace("workspace ", ""), { class: "quota", retryAt: UNTIL }, "waiting"],
  [429, LIMIT, { class: "quota", retryAt: UNTIL }, "waiting"],
  [400, LIMIT.replace(/ You will.*/, ""), { class: "billing" }, "waiting"],
  [400, CREDIT, { class: "billing" }, "waiting"],
  [402, CREDIT, { class: "billing" }, "waiting"],
  [402, "There's an issue with your billing or payment information.", { class: "billing" }, "waiting"],
  [400, DISABLED, { class: "auth" }, "quarantined"],
  [403, DISABLED, { class: "auth" }, "quarantined"],
  [403, "Your API key does not have permission to use the specified resource.", { class: "auth" }, "quarantined"],
  [
    429,
    "This request would exceed your organization's rate limit of 50 requests per minute.",
    { class: "overload" },
    "waiting",
  ],
  [400, "messages.0.content: text content blocks must be non-empty", { class: "request" }, "idle"],
];

describe("a refusal of the API", () => {
  it.each(REFUSALS)("leads to the right class and state: %i %s", async (status, message, details, state) => {
    await using api = await messagesApi(() => ({ error: { status, message } }));
    const fake = fakeClaude((turn) => turn.fail({ status, message }));
    const [real, faked] = [unique("real"), unique("fake")];
    await using supervisor = await Supervisor.start(
      [
        { name: real, env: api.env, cwd: api.cwd },
        { name: faked, spawnClaudeCodeProcess: fake.spawn },
      ],
      quiet,
    );
    const messages: string[] = [];
    for (const name of [real, faked]) {
      const error = await failure(supervisor.query(name, "hi"), "TURN_FAILED");
      expect(error.details, name).toMatchObject({ ...details, status, partialText: "", toolUses: [] });
      // A refused first turn replaces the process, which takes a while.
      await expect.poll(() => supervisor.session(name).status().state, { timeout: 20_000 }).toBe(state);
      messages.push(error.message.replace(name, ""));
    }
    // The fake's message equals the real one.
    expect(messages[1]).toBe(messages[0]);
  });

  it("holds the next turn, tried once, until an account without credit can pay", async () => {
    let pays = true;
    await using api = await messagesApi(() => (pays ? { text: "fine" } : { error: { status: 402, message: CREDIT } }));
    const name = unique();
    await using supervisor = await Supervisor.start([{ name, env: api.env, cwd: api.cwd }], quiet);
    const session = supervisor.session(name);
    await session.query("before");
    pays = false;
    await failure(session.query("finds out"), "TURN_FAILED");
    const asked = api.requests.length;
    const turn = session.stream("waits");
    await api.requested(asked + 1);
    pays = true;
    await expect.poll(() => session.status().state, { timeout: 10_000 }).toBe("waiting");
    expect(turn.state).toBe("queued");
    expect((await turn.result()).text).toBe("fine");
    const prompts = api.lastRequest?.texts.filter(({ role, text }) => role === "user" && text === "waits");
    expect(prompts).toHaveLength(1);
    expect(session.status()).toMatchObject({ state: "idle", restarts: 0 });
  }, 90_000);
});
