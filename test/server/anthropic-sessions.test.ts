import { expect, test } from "vitest";
import { template } from "../../src/application/options/template.ts";
import { SCOPES } from "../../src/server/http/caller.ts";
import { inOrder, says } from "../../src/testing/index.ts";
import { unique } from "../session-on-fake/scene.ts";
import { AnthropicScene, message, until, untilIdle } from "./anthropic-scene.ts";

const sentences = /^[A-Z`].*\.$/s;

/** Returns the error of a request. */
async function errorOf(
  request: PromiseLike<unknown>,
): Promise<{ status: number; type: string; message: string; error: unknown }> {
  const error: unknown = await Promise.resolve(request).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return error as { status: number; type: string; message: string; error: unknown };
}

test("client.beta.sessions.list: pages the newest sessions first, forth and back, also those not in memory", async () => {
  const [one, other] = [unique("a-one"), unique("b-other")];
  await using scene = await AnthropicScene.start([template(one), template(other), { name: unique("single") }]);
  const ids: string[] = [];
  for (let n = 0; n < 5; n++) ids.unshift((await scene.create(n % 2 === 0 ? one : other, { title: `${n}` })).id);
  await scene.sessions.archive(ids[1] ?? "");
  await scene.restart();
  const list = async (params: Parameters<typeof scene.sessions.list>[0]): Promise<string[]> =>
    (await Array.fromAsync(scene.sessions.list(params))).map(({ id }) => id);
  const own = { agent_id: one, limit: 2 };
  expect(await list({ limit: 2, statuses: ["idle"] })).toEqual(expect.arrayContaining(ids.filter((_, n) => n !== 1)));
  expect(await list(own)).toEqual([ids[0], ids[2], ids[4]]);
  expect(await list({ ...own, order: "asc" })).toEqual([ids[4], ids[2], ids[0]]);
  expect(await list({ agent_id: other, include_archived: true })).toEqual([ids[1], ids[3]]);
  expect(await list({ agent_id: other, include_archived: true, statuses: ["terminated"] })).toEqual([ids[1]]);
  expect(await list({ agent_id: other, statuses: ["running"] })).toEqual([]);
  expect(await list({ agent_id: "nobody" })).toEqual([]);
  const first = await scene.sessions.list(own);
  const second = await first.getNextPage();
  expect(second.data.map(({ id }) => id)).toEqual([ids[4]]);
  const back = await scene.sessions.list({ ...own, page: second.prev_page ?? "" });
  expect(back.data.map(({ id }) => id)).toEqual(first.data.map(({ id }) => id));
  expect(back.prev_page).toBeNull();
  const created = first.data[1]?.created_at ?? "";
  expect(await list({ agent_id: one, "created_at[lt]": first.data[0]?.created_at ?? "" })).not.toContain(ids[0]);
  expect(await list({ agent_id: one, "created_at[gte]": created })).toContain(ids[2]);
  // Nothing of them was brought into memory.
  expect(scene.supervisor.listSessions()).toHaveLength(1);
  expect(await errorOf(scene.sessions.list({ page: "x" }))).toMatchObject({ status: 400 });
  expect(await errorOf(scene.sessions.list({ deployment_id: "x" }))).toMatchObject({ status: 400 });
});

test("client.beta.sessions.update: changes title, metadata and budget, and records it", async () => {
  const agent = unique("support");
  await using scene = await AnthropicScene.start([template(agent)]);
  const budget = (amount: string) => ({ type: "limit", max_list_cost: { amount, currency: "USD" } }) as const;
  const { id } = await scene.create(agent, { title: "One", metadata: { a: "1", b: "2" }, budget: budget("100") });
  const stream = await scene.sessions.events.stream(id);
  const updated = await scene.sessions.update(id, {
    title: "Two",
    metadata: { a: null, c: "3" },
    budget: budget("200"),
  });
  expect(updated).toMatchObject({ title: "Two", metadata: { b: "2", c: "3" }, budget: budget("200") });
  const [event] = await until(stream, () => true);
  expect(event).toMatchObject({
    type: "session.updated",
    title: "Two",
    metadata: { b: "2", c: "3" },
    budget: budget("200"),
  });
  await scene.restart();
  expect(await scene.sessions.retrieve(id)).toMatchObject({
    title: "Two",
    metadata: { b: "2", c: "3" },
    budget: budget("200"),
  });
  expect(await Array.fromAsync(scene.sessions.events.list(id))).toEqual([event]);
  expect(await scene.sessions.update(id, { title: null, budget: null })).toMatchObject({ title: null, budget: null });
  expect(await errorOf(scene.sessions.update(id, { budget: budget("300") }))).toMatchObject({ status: 400 });
  const many = Object.fromEntries(Array.from({ length: 16 }, (_, n) => [`k${n}`, "v"]));
  expect(await errorOf(scene.sessions.update(id, { metadata: many }))).toMatchObject({ status: 400 });
});

test("a session's budget: refuses messages once it is spent", async () => {
  const agent = unique("support");
  await using scene = await AnthropicScene.start([template(agent)], {
    script: async (turn) => {
      await turn.text("dear");
      await turn.result({ costUsd: 0.02 });
    },
  });
  const { id } = await scene.create(agent, {
    budget: { type: "limit", max_list_cost: { amount: "2", currency: "USD" } },
  });
  const stream = await scene.sessions.events.stream(id);
  await scene.sessions.events.send(id, { events: [message("one")] });
  const events = await untilIdle(stream);
  expect(events).toContainEqual(
    expect.objectContaining({
      type: "session.usage",
      usage: expect.objectContaining({ list_cost: { amount: "2", currency: "USD" } }),
    }),
  );
  const refused = await errorOf(scene.sessions.events.send(id, { events: [message("two")] }));
  expect(refused).toMatchObject({ status: 402, type: "billing_error" });
  const raised = { type: "limit", max_list_cost: { amount: "5", currency: "USD" } } as const;
  await scene.sessions.update(id, { budget: raised });
  await scene.sessions.events.send(id, { events: [message("two")] });
  expect((await scene.sessions.retrieve(id)).budget).toEqual(raised);
});

test("client.beta.sessions.archive: ends the session and its streams; it takes no more events", async () => {
  const agent = unique("support");
  await using scene = await AnthropicScene.start([template(agent)], { script: inOrder(says("hi")) });
  const { id } = await scene.create(agent);
  const first = await scene.sessions.events.stream(id);
  await scene.sessions.events.send(id, { events: [message("one")] });
  await untilIdle(first);
  const stream = await scene.sessions.events.stream(id);
  const archived = await scene.sessions.archive(id);
  expect(archived).toMatchObject({ status: "terminated", archived_at: expect.any(String) });
  expect(await Array.fromAsync(stream)).toMatchObject([{ type: "session.status_terminated" }]);
  expect((await scene.sessions.archive(id)).archived_at).toBe(archived.archived_at);
  for (const refused of [
    scene.sessions.events.send(id, { events: [message("two")] }),
    scene.sessions.update(id, { title: "x" }),
    scene.sessions.events.stream(id),
  ]) {
    expect(await errorOf(refused)).toMatchObject({ status: 400, type: "invalid_request_error" });
  }
  expect((await Array.fromAsync(scene.sessions.events.list(id))).at(-1)).toMatchObject({
    type: "session.status_terminated",
  });
});

test("client.beta.sessions.delete: erases the session, and tells its streams", async () => {
  const agent = unique("support");
  await using scene = await AnthropicScene.start([template(agent)]);
  const { id } = await scene.create(agent);
  const first = await scene.sessions.events.stream(id);
  await scene.sessions.events.send(id, { events: [message("secret words")] });
  await untilIdle(first);
  const stream = await scene.sessions.events.stream(id);
  expect(await scene.sessions.delete(id)).toEqual({ id, type: "session_deleted" });
  expect(await Array.fromAsync(stream)).toMatchObject([{ type: "session.deleted" }]);
  expect(await errorOf(scene.sessions.retrieve(id))).toMatchObject({ status: 404, type: "not_found_error" });
  expect(await errorOf(scene.sessions.events.list(id))).toMatchObject({ status: 404 });
  expect(await errorOf(scene.sessions.delete(id))).toMatchObject({ status: 404 });
  const again = await scene.sessions.delete(id, null, { headers: { "x-stainless-retry-count": "1" } });
  expect(again).toEqual({ id, type: "session_deleted" });
});

test("client.beta.agents and environments: show templates, single sessions and the one environment", async () => {
  const [support, single] = [unique("a-support"), unique("b-single")];
  await using scene = await AnthropicScene.start([
    template(support, { systemPrompt: "You help", model: "m" }),
    { name: single },
  ]);
  const { agents, environments } = scene.client.beta;
  const listed = await Array.fromAsync(agents.list({ limit: 1 }));
  expect(listed).toMatchObject([
    { id: support, type: "agent", system: "You help", model: { id: "m" } },
    { id: single },
  ]);
  const [first] = listed;
  expect(await agents.retrieve(support)).toEqual(first);
  expect(await Array.fromAsync(agents.versions.list(support))).toEqual([first]);
  expect(await Array.fromAsync(environments.list())).toMatchObject([
    { id: "env_local", config: { type: "self_hosted" } },
  ]);
  expect(await environments.retrieve("env_local")).toMatchObject({ type: "environment" });
  const session = await scene.sessions.create({
    agent: { type: "agent", id: support, version: first?.version ?? 0 },
    environment_id: "env_local",
  });
  expect(session.agent).toMatchObject({ id: support, version: first?.version });
  expect(await errorOf(agents.retrieve("nobody"))).toMatchObject({ status: 404 });
  expect(await errorOf(environments.retrieve("env_x"))).toMatchObject({ status: 404 });
  expect(await errorOf(agents.create({ name: "x", model: "m" }))).toMatchObject({
    status: 403,
    type: "permission_error",
  });
});

test("client.beta.sessions.create: refuses what it does not support, with a sentence", async () => {
  const [support, single] = [unique("support"), unique("single")];
  await using scene = await AnthropicScene.start([template(support), { name: single }]);
  const wrong: object[] = [
    { agent: "nobody" },
    { agent: single },
    { agent: { type: "agent", id: support, version: 7 } },
    { agent: { type: "agent_with_overrides", id: support, model: "m" } },
    {
      agent: {
        type: "agent_with_overrides",
        id: support,
        tools: [{ type: "custom", name: "t", description: "d", input_schema: { type: "object" } }],
      },
    },
    { environment_id: "env_x" },
    { resources: [{ type: "file", file_id: "f" }] },
    { vault_ids: ["v"] },
    { metadata: { a: 1 } },
    { budget: { type: "limit", max_list_cost: { amount: "0", currency: "USD" } } },
    { initial_events: [{ type: "user.interrupt" }] },
    { unknown: 1 },
  ];
  for (const params of wrong) {
    const error = await errorOf(scene.create(support, params));
    expect(error, JSON.stringify(params)).toMatchObject({ status: 400, type: "invalid_request_error" });
    expect(error.error).toMatchObject({
      type: "error",
      error: { message: expect.stringMatching(sentences) },
      request_id: expect.any(String),
    });
  }
  expect(await Array.fromAsync(scene.sessions.list({ agent_id: support }))).toEqual([]);
  const { beta } = scene.client;
  for (const request of [
    beta.vaults.list(),
    beta.memoryStores.list(),
    scene.sessions.resources.list("x"),
    beta.files.list(),
  ]) {
    expect(await errorOf(request)).toMatchObject({ status: 404, type: "not_found_error" });
  }
  expect(await errorOf(scene.client.messages.create({ model: "m", max_tokens: 1, messages: [] }))).toMatchObject({
    status: 404,
  });
  // The SDK retries none of them.
  expect(scene.log.filter((line) => line.startsWith("GET /anthropic/v1/vaults"))).toHaveLength(1);
});

test("a caller: reaches only the sessions of its prefix and labels, and needs scopes", async () => {
  const [agent, hidden] = [unique("support"), unique("hidden")];
  await using scene = await AnthropicScene.start([template(agent), template(hidden)]);
  const other = await scene.create(agent);
  const secret = await scene.create(hidden);
  scene.caller = { id: "ann", scopes: new Set(SCOPES), prefix: [agent, "ann"] };
  const own = await scene.create(agent);
  expect(scene.supervisor.listSessions({ prefix: [agent, "ann"] })).toHaveLength(1);
  expect((await Array.fromAsync(scene.sessions.list())).map(({ id }) => id)).toEqual([own.id]);
  expect((await Array.fromAsync(scene.client.beta.agents.list())).map(({ id }) => id)).toEqual([agent]);
  for (const { id } of [other, secret])
    expect(await errorOf(scene.sessions.retrieve(id))).toMatchObject({ status: 404 });
  expect(await errorOf(scene.create(hidden))).toMatchObject({ status: 400 });
  scene.caller = { id: "bob", scopes: new Set(SCOPES), labels: { tenant: "b" } };
  const labelled = await scene.create(agent);
  expect((await Array.fromAsync(scene.sessions.list())).map(({ id }) => id)).toEqual([labelled.id]);
  expect(await errorOf(scene.sessions.events.send(own.id, { events: [message("x")] }))).toMatchObject({ status: 404 });
  scene.caller = { id: "eve", scopes: new Set(["read"]) };
  expect((await scene.sessions.retrieve(own.id)).id).toBe(own.id);
  for (const refused of [
    scene.create(agent),
    scene.sessions.delete(own.id),
    scene.sessions.archive(own.id),
    scene.sessions.update(own.id, { title: "x" }),
    scene.sessions.events.send(own.id, { events: [message("x")] }),
    scene.sessions.events.send(own.id, {
      events: [{ type: "user.tool_confirmation", tool_use_id: "x", result: "allow" }],
    }),
  ]) {
    expect(await errorOf(refused)).toMatchObject({ status: 403, type: "permission_error" });
  }
});
