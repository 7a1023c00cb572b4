import { expect, test } from "vitest";
import { ParkedHost } from "../../src/claude/process-host.ts";
import { Scene, unique } from "./scene.ts";

test("Option advice: logs options without effect once per session when its process has started", async () => {
  const [one, two] = [unique("one"), unique("two")];
  await using scene = await Scene.open({
    children: [
      { name: one, allowedTools: ["Reed"] },
      { name: two, allowedTools: ["Reed"], disallowedTools: ["mcp__db__drop"] },
    ],
  });
  const told = (): string[] => scene.log.filter((line) => line.includes("has no effect"));
  expect(told()).toEqual([
    expect.stringMatching(/^session "(one|two)-.*`allowedTools`: "Reed" has no effect: .*did you mean `Read`/),
    expect.stringContaining(
      `session "${two}": \`disallowedTools\`: "mcp__db__drop" has no effect: there is no such MCP server`,
    ),
  ]);
  await scene.supervisor.session(one).restart();
  await scene.supervisor.session(one).query("hi");
  expect(told()).toHaveLength(2);
});

test("ParkedHost: passes its advice, once each, to the session that takes the spare", () => {
  const parked = new ParkedHost();
  parked.advise("before");
  parked.advise("before");
  const told: string[] = [];
  parked.bind({
    who: "session",
    message: () => {},
    spawned: () => {},
    advise: (advice) => told.push(advice),
    mirrored: () => {},
    toolBegins: async () => {},
    canUseTool: async () => ({ behavior: "deny", message: "no" }),
    granted: async () => {},
  });
  parked.advise("after");
  expect(told).toEqual(["before", "after"]);
});
