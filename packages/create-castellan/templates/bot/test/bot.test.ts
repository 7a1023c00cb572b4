import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Supervisor } from "castellan";
import { fakeClaude } from "castellan/testing";
import { createApp } from "../src/app.ts";
import { chats } from "../src/bot.ts";

/* The bot on a fake Claude, which answers at once: `npm test` needs no key, no network and no real process. */

const fake = fakeClaude();
let supervisor: Supervisor;

before(async () => {
  supervisor = await Supervisor.start([chats], { journal: "memory", defaults: { spawnClaudeCodeProcess: fake.spawn } });
});

after(() => supervisor.stop());

async function post(body: object, { secret, sent }: { secret?: string; sent?: string } = {}): Promise<Response> {
  const headers = sent === undefined ? {} : { authorization: `Bearer ${sent}` };
  return await createApp(secret).request("/messages", { method: "POST", headers, body: JSON.stringify(body) });
}

test("a message is answered", async () => {
  const response = await post({ id: "1", chat: "ada", text: "Hello" });
  assert.deepEqual(await response.json(), { text: "You said: Hello" });
});

test("a message that is delivered twice is answered once", async () => {
  const message = { id: "7", chat: "grace", text: "Hello" };
  const answers = await Promise.all([post(message), post(message)]);
  for (const answer of answers) assert.deepEqual(await answer.json(), { text: "You said: Hello" });
  assert.equal(supervisor.session(["bot", "grace"]).status().mailbox, 0);
  assert.equal(fake.processes.flatMap(({ prompts }) => prompts).filter((prompt) => prompt === "Hello").length, 2);
});

test("what is no message, and a caller without the secret, is refused", async () => {
  assert.equal((await post({ chat: "ada", text: "Hello" })).status, 400);
  const message = { id: "2", chat: "ada", text: "Hello" };
  assert.equal((await post(message, { secret: "s" })).status, 401);
  assert.equal((await post(message, { secret: "s", sent: "t" })).status, 401);
  assert.equal((await post(message, { secret: "s", sent: "s" })).status, 200);
});
