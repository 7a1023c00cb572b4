import { expect, test } from "vitest";
import { template } from "../../src/application/options/template.ts";
import type { FakeScript } from "../../src/testing/index.ts";
import { unique } from "../session-on-fake/scene.ts";
import { AnthropicScene, message, type Wire } from "./anthropic-scene.ts";

/** Loses the answers to the first POST requests, after the server has done its work. */
function losingAnswers(count: number, afterwards: () => Promise<void> = async () => {}): Wire {
  let left = count;
  return async (request, next) => {
    const response = await next(request);
    if (request.method !== "POST" || left-- <= 0) return response;
    await afterwards();
    throw new TypeError("the connection broke");
  };
}

const answering: FakeScript = async (turn) => await turn.text(`re: ${turn.prompt}`);

test("a message whose answer was lost: is sent once, although the client sends it again", async () => {
  const agent = unique("support");
  await using scene = await AnthropicScene.start([template(agent)], { script: answering });
  const { id } = await scene.create(agent);
  scene.wire = losingAnswers(2);
  const sent = await scene.sessions.events.send(id, { events: [message("once"), message("and once")] });
  expect(scene.log.filter((line) => line.startsWith("POST") && line.includes("/events"))).toHaveLength(1);
  const listed = await Array.fromAsync(scene.sessions.events.list(id, { types: ["user.message"] }));
  expect(listed.map((event) => event.id)).toEqual(sent.data?.map((event) => event.id));
  const turns = await scene.supervisor.session(scene.supervisor.listSessions()[0]?.name ?? "").turns();
  expect(turns.map(({ by }) => by)).toEqual(["tester", "tester"]);
  // The same words without a retry are another message.
  await scene.sessions.events.send(id, { events: [message("once"), message("and once")] });
  expect(await Array.fromAsync(scene.sessions.events.list(id, { types: ["user.message"] }))).toHaveLength(4);
});

test("a message whose answer was lost with the application: is sent once", async () => {
  const agent = unique("support");
  await using scene = await AnthropicScene.start([template(agent)], { script: answering });
  const { id } = await scene.create(agent);
  scene.wire = losingAnswers(1, () => scene.restart());
  await scene.sessions.events.send(id, { events: [message("once")] });
  expect(await Array.fromAsync(scene.sessions.events.list(id, { types: ["user.message"] }))).toHaveLength(1);
});

test("a session whose creation got no answer: is created once, also over a restart, with its first messages", async () => {
  const agent = unique("support");
  await using scene = await AnthropicScene.start([template(agent)], { script: answering });
  scene.wire = losingAnswers(1);
  const first = await scene.create(agent, { initial_events: [message("hi")] });
  scene.wire = losingAnswers(1, () => scene.restart());
  const second = await scene.create(agent, { title: "second", initial_events: [message("hi")] });
  const listed = await Array.fromAsync(scene.sessions.list({ agent_id: agent }));
  expect(listed.map(({ id }) => id)).toEqual([second.id, first.id]);
  for (const { id } of listed) {
    expect(await Array.fromAsync(scene.sessions.events.list(id, { types: ["user.message"] }))).toHaveLength(1);
  }
});

test("an interrupt that is sent again: does not stop the next turn", async () => {
  const agent = unique("support");
  let turns = 0;
  await using scene = await AnthropicScene.start([template(agent)], {
    script: async (turn) => {
      turns += 1;
      if (turns === 1) await turn.hang();
      else await turn.text("whole");
    },
  });
  const { id } = await scene.create(agent);
  await scene.sessions.events.send(id, { events: [message("one"), message("two")] });
  scene.wire = losingAnswers(1);
  await scene.sessions.events.send(id, { events: [{ type: "user.interrupt" }] });
  const turn = await scene.supervisor.session(scene.supervisor.listSessions()[0]?.name ?? "").turns();
  expect(turn.map(({ state }) => state)).not.toEqual(["interrupted", "interrupted"]);
  expect(await Array.fromAsync(scene.sessions.events.list(id, { types: ["user.interrupt"] }))).toHaveLength(1);
});

test("Idempotency-Key: one request of a key has an effect, and another body is refused", async () => {
  const agent = unique("support");
  await using scene = await AnthropicScene.start([template(agent)], { script: answering });
  const keyed = { headers: { "idempotency-key": "key-1" } };
  const params = { agent, environment_id: "env_local" };
  const session = await scene.sessions.create(params, keyed);
  await scene.restart();
  expect((await scene.sessions.create(params, keyed)).id).toBe(session.id);
  await expect(scene.sessions.create({ ...params, title: "other" }, keyed)).rejects.toMatchObject({ status: 400 });
  const [one, two] = await Promise.all(
    [1, 2].map(() => scene.sessions.events.send(session.id, { events: [message("once")] }, keyed)),
  );
  expect(one).toEqual(two);
  await scene.restart();
  const three = await scene.sessions.events.send(session.id, { events: [message("once")] }, keyed);
  expect(three.data?.[0]?.id).toBe(one?.data?.[0]?.id);
  const other = scene.sessions.events.send(session.id, { events: [message("twice")] }, keyed);
  await expect(other).rejects.toMatchObject({ status: 400 });
  expect(await Array.fromAsync(scene.sessions.events.list(session.id, { types: ["user.message"] }))).toHaveLength(1);
});
