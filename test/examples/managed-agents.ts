import { Anthropic } from "@anthropic-ai/sdk";
import { Supervisor } from "castellan";
import { listen } from "castellan/server";
import { expect, test } from "vitest";
import { ask, support } from "../../examples/managed-agents.ts";
import { onFake } from "./on-fake.ts";

test("managed-agents.ts: asks through Anthropic's SDK", async () => {
  const { options } = onFake();
  await using supervisor = await Supervisor.start([support], options);
  await using server = await listen(supervisor, { port: 0 });
  expect(await Array.fromAsync(ask(`${server.url}/anthropic`, "no token is needed", "What do I owe?"))).toEqual([
    "You said: What do I owe?",
  ]);
});

test("managed-agents.ts: gives a session the tools of its client", async () => {
  const { options } = onFake();
  await using supervisor = await Supervisor.start([support], options);
  await using server = await listen(supervisor, { port: 0 });
  const client = new Anthropic({ baseURL: `${server.url}/anthropic`, apiKey: "no token is needed" });
  const weather = {
    type: "custom",
    name: "weather",
    description: "The weather of a town",
    input_schema: { type: "object" },
  } as const;
  const { agent } = await client.beta.sessions.create({
    agent: { type: "agent_with_overrides", id: "support", tools: [weather] },
    environment_id: "env_local",
  });
  expect(agent.tools.at(-1)).toMatchObject({ name: "weather" });
});
