import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Supervisor } from "castellan";
import { fakeClaude } from "castellan/testing";
import { createApp } from "../src/app.ts";
import { chats } from "../src/chats.ts";

/* The application on a fake Claude, which answers at once: `npm test` needs no key, no network and no real process. */

const fake = fakeClaude(async (turn) => {
  if (turn.prompt === "Fail") await turn.fail({ status: 400 });
  if (turn.prompt === "Die") {
    await turn.text("I begin", { partials: false });
    await turn.crash({ signal: "SIGKILL" });
  }
  await turn.text(`You said: ${turn.prompt}`);
});
const app = createApp();
let supervisor: Supervisor;

before(async () => {
  supervisor = await Supervisor.start([chats], { journal: "memory", defaults: { spawnClaudeCodeProcess: fake.spawn } });
});

after(() => supervisor.stop());

/** The cookie of a new visitor. */
async function visitor(): Promise<string> {
  const response = await app.request("/");
  return response.headers.get("set-cookie")?.split(";")[0] ?? "";
}

async function send(cookie: string, id: string, text: string): Promise<string> {
  const response = await app.request("/messages", {
    method: "POST",
    headers: { cookie },
    body: JSON.stringify({ id, text }),
  });
  assert.equal(response.status, 202);
  const { turn } = (await response.json()) as { readonly turn: string };
  return turn;
}

async function streamed(cookie: string, turn: string): Promise<string> {
  return await (await app.request(`/turns/${turn}`, { headers: { cookie } })).text();
}

test("a message is answered in a stream", async () => {
  const cookie = await visitor();
  const turn = await send(cookie, "1", "Hello");
  assert.match(await streamed(cookie, turn), /event: text\n.*You said: Hello/s);
});

test("a message that is sent twice counts once", async () => {
  const cookie = await visitor();
  assert.equal(await send(cookie, "1", "Hello"), await send(cookie, "1", "Hello"));
});

test("visitors see their own conversation, and no other", async () => {
  const [one, other] = [await visitor(), await visitor()];
  const turn = await send(one, "1", "My secret");
  await streamed(one, turn);
  const history = async (cookie: string) => await (await app.request("/history", { headers: { cookie } })).json();
  assert.deepEqual(await history(one), [{ turn, text: "My secret", answer: "You said: My secret", isOpen: false }]);
  assert.deepEqual(await history(other), []);
  assert.equal((await app.request(`/turns/${turn}`, { headers: { cookie: other } })).status, 404);
});

test("the history says which answers are missing, and which are incomplete", async () => {
  const cookie = await visitor();
  for (const text of ["Fail", "Die"]) await streamed(cookie, await send(cookie, text, text));
  const history = (await (await app.request("/history", { headers: { cookie } })).json()) as object[];
  assert.partialDeepStrictEqual(history, [
    { answer: "", error: "This was not answered." },
    { answer: "I begin", error: "The answer is incomplete." },
  ]);
});
