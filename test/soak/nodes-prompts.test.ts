import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { connect } from "../../src/connect.ts";
import { command, global, pool, Supervisor, template } from "../../src/index.ts";
import { type FakeScript, fakeClaude } from "../../src/testing/index.ts";
import { PostgresServer } from "../journal/postgres-server.ts";
import { document, image } from "../session/prompt-contents.ts";
import { failure } from "../session-on-fake/scene.ts";

let server: PostgresServer;

beforeAll(async () => {
  server = await PostgresServer.start();
});

afterAll(async () => {
  await server?.remove();
});

/** Returns a cluster of one node at a time, and a client. `blocked` keeps processes from starting. */
function place() {
  const state = { blocked: false };
  const sent: unknown[] = [];
  const tell: FakeScript = async (turn) => {
    sent.push(turn.message.message.content);
    await turn.text(`${turn.verbatim ? "text" : "typed"}: ${turn.prompt}`);
  };
  const fake = fakeClaude(tell, {
    commands: ["greet"],
    startup: () => (state.blocked ? new Promise(() => {}) : undefined),
  });
  const database = server.fresh();
  const secret = "a secret of at least thirty-two characters";
  const start = async () => {
    const children = [
      template(global("chat")),
      template(global("trusting"), { verbatimPrompts: false }),
      pool(global("crew"), { size: 1 }),
    ];
    const supervisor = await Supervisor.start(children, {
      cluster: { ...database, secret, advertise: "http://127.0.0.1:0", name: "one" },
      defaults: { spawnClaudeCodeProcess: fake.spawn },
      logger: { info: () => {}, warn: () => {} },
    });
    onTestFinished(() => supervisor.stop());
    return supervisor;
  };
  const client = connect({ ...database, secret, patience: "20s" });
  onTestFinished(() => client.close());
  return { state, fake, client, start, sent };
}

test("global sessions and pools: send prompts verbatim, and run commands by name", async () => {
  const { fake, client, start } = place();
  await start();
  const [chat, trusting] = [client.session(global(["chat", 1])), client.session(global(["trusting", 1]))];
  const replies = [
    await chat.query("/clear"),
    await chat.query("/x", { verbatimPrompts: false }),
    await trusting.query("/x"),
    await trusting.query("/x", { verbatimPrompts: true }),
    await client.query(global("crew"), "/compact"),
    await chat.query(command("greet", "Ada")),
    await client.query(global("crew"), command("greet", "Ada")),
    await trusting.query(command("greet", "@notes.md")),
  ];
  expect(replies.map(({ text }) => text)).toEqual([
    "text: /clear",
    "typed: /x",
    "typed: /x",
    "text: /x",
    "text: /compact",
    "typed: /greet Ada",
    "typed: /greet Ada",
    "typed: /greet @notes.md",
  ]);
  const turn = chat.stream(command("compact"));
  expect(await Array.fromAsync(turn.text())).toEqual(["The conversation has been compacted."]);
  expect(await turn.result()).toMatchObject({ command: "compact" });
  expect(await chat.compact()).toMatchObject({ command: "compact" });
  await failure(chat.query(command("greet", "@notes.md")), "INVALID_OPTIONS");
  await failure(chat.query(command("model", "opus")), "INVALID_OPTIONS");
  const error = await failure(chat.query(command("gret")), "COMMAND_NOT_FOUND");
  expect({ ...error.details }).toEqual({ command: "gret", nearMisses: ["greet"] });
  expect(fake.errors).toEqual([]);
});

test("waiting turns of a global session: keep how their prompts are interpreted with the next owner", async () => {
  const { state, client, start } = place();
  state.blocked = true;
  const first = await start();
  const chat = client.session(global(["chat", 2]));
  const ids = [
    await chat.enqueue("/one"),
    await chat.enqueue("/two", { verbatimPrompts: false }),
    await chat.enqueue(command("greet", "Ada")),
  ];
  await first.stop();
  state.blocked = false;
  await start();
  const turns = await Promise.all(ids.map((id) => chat.turn(id)));
  const replies = await Promise.all(turns.map((turn) => turn?.result()));
  expect(replies.map((reply) => reply?.text)).toEqual(["text: /one", "typed: /two", "typed: /greet Ada"]);
});

test("global sessions and pools: send content blocks, also those that wait for the next owner", async () => {
  const { state, client, start, sent } = place();
  const first = await start();
  const chat = client.session(global(["chat", 3]));
  // The largest prompt: 20 million characters.
  const text = { type: "text", text: "Compare" } as const;
  const largest = [text, document(14_900_000)];
  const blocks = [text, image];
  expect((await chat.query(largest)).text).toBe("text: Compare");
  expect((await first.query(global("crew"), largest)).text).toBe("text: Compare");
  await client.query(global("crew"), blocks, { verbatimPrompts: false });
  await chat.query(blocks, { idempotencyKey: "k" });
  await chat.query(blocks, { idempotencyKey: "k" });
  expect(sent).toEqual([largest, largest, blocks, blocks]);
  await failure(chat.query([image], { idempotencyKey: "k" }), "INVALID_OPTIONS");
  const error = await failure(chat.enqueue([image, { type: "text", text: "" }]), "INVALID_OPTIONS");
  expect(error.details.problems.map(({ field }) => field)).toEqual(["prompt.1.text"]);

  state.blocked = true;
  const other = client.session(global(["chat", 4]));
  const ids = [await other.enqueue(blocks), await other.enqueue(blocks.toReversed())];
  await first.stop();
  state.blocked = false;
  await start();
  for (const id of ids) expect((await (await other.turn(id))?.result())?.text).toBe("text: Compare");
  expect(sent.slice(4)).toEqual([blocks, blocks.toReversed()]);
});
