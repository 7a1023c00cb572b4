import { describe, expect, it } from "vitest";
import type { McpServer } from "../../src/claude/mcp-servers.ts";
import { awaitRequiredServers, checkServers } from "../../src/claude/required-servers.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";

const good: McpServer = { name: "good", status: "connected" };
const slow: McpServer = { name: "slow", status: "pending" };
const failed: McpServer = { name: "db", status: "failed", reason: "it is not connected: Connection closed" };
const absent: McpServer = { name: "db", status: "failed", reason: "it is not connected: ENOENT: no such file" };

describe("checkServers", () => {
  it.each([
    ["nothing when all are connected", [good], true, undefined],
    ["nothing without servers", [], true, undefined],
    ["nothing when the named ones are connected", [good, failed, slow], ["good"], undefined],
    ["pending while one connects", [good, slow], true, "pending"],
    ["a failure beside one that connects", [slow, failed], true, { class: "crash" }],
    ["a failure that a retry does not fix", [absent], true, { class: "bad_config" }],
    ["one that needs authentication", [{ name: "db", status: "needs-auth" }], true, { class: "bad_config" }],
    ["a disabled one", [{ name: "db", status: "disabled" }], ["db"], { class: "bad_config" }],
    ["an ended one", [{ name: "db", status: "ended", reason: "it has ended" }], true, { class: "crash" }],
  ] as const)("returns %s", (_, servers, required, problem) => {
    const found = checkServers(servers, required);
    if (typeof problem === "object") expect(found).toMatchObject(problem);
    else expect(found).toBe(problem);
  });

  it("names an unknown server, with a suggestion", () => {
    expect(checkServers([failed, good], ["goood"])).toEqual({
      class: "bad_config",
      message: 'the required MCP server "goood" does not exist; did you mean `good`?',
    });
  });
});

describe("awaitRequiredServers", () => {
  it("polls until the servers are connected", async () => {
    const clock = new SimulatedClock();
    const answers: McpServer[][] = [[slow], [slow], [{ name: "slow", status: "connected" }]];
    const look = async (): Promise<McpServer[]> => answers.shift() ?? [];
    const waiting = awaitRequiredServers(true, look, clock, new AbortController().signal);
    await clock.advance(100);
    expect(answers).toHaveLength(1);
    await clock.advance(100);
    expect(await waiting).toBeUndefined();
  });

  it.each([
    ["pending", async (): Promise<McpServer[]> => [slow, good]],
    ["unknown, as the process does not answer", (): Promise<McpServer[]> => new Promise(() => {})],
  ])("gives up after a minute when servers are %s", async (_, look) => {
    const clock = new SimulatedClock();
    const waiting = awaitRequiredServers(["slow"], look, clock, new AbortController().signal);
    await clock.advance(61_000);
    expect(await waiting).toMatchObject({ class: "crash", message: expect.stringContaining("within 1m") });
  });

  it("stops polling on an abort", async () => {
    const clock = new SimulatedClock();
    const over = new AbortController();
    let looks = 0;
    const look = async (): Promise<McpServer[]> => {
      looks++;
      return [slow];
    };
    const waiting = awaitRequiredServers(true, look, clock, over.signal);
    await clock.advance(100);
    over.abort();
    await waiting;
    const before = looks;
    await clock.advance(10_000);
    expect(looks).toBe(before);
  });
});
