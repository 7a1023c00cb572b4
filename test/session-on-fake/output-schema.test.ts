import { expect, expectTypeOf, test } from "vitest";
import { z } from "zod";
import { once, query } from "../../src/castellan.ts";
import type { OutputSchema } from "../../src/session/options/output-schema.ts";
import type { FakeScript } from "../../src/testing/index.ts";
import { failure, Scene, unique } from "./scene.ts";

/** Returns the prompt's JSON as structured output. */
const data: FakeScript = async (turn) => {
  const structuredOutput: unknown = turn.prompt.startsWith("{") ? JSON.parse(turn.prompt) : undefined;
  await turn.text("as data");
  await turn.result(structuredOutput === undefined ? {} : { structuredOutput });
};

const city = z.object({ name: z.string(), inhabitants: z.number().int() });

test("outputSchema: parses the answer into `reply.structured` with its type", async () => {
  await using scene = await Scene.open({ script: data, session: { outputSchema: city } });
  const reply = await query(scene.name, '{"name":"Bern","inhabitants":134000}', { outputSchema: city });
  expectTypeOf(reply.structured).toEqualTypeOf<{ name: string; inhabitants: number } | undefined>();
  expect(reply.structured).toEqual({ name: "Bern", inhabitants: 134_000 });
  expect(reply.text).toBe("as data");
  const schema: unknown = scene.fake.processes[0]?.initialize?.["jsonSchema"];
  expect(schema).toMatchObject({ type: "object", required: ["name", "inhabitants"] });
});

test("outputSchema: accepts a JSON Schema, and rejects an answer that violates it", async () => {
  const outputSchema = { type: "object", properties: { ok: { type: "boolean" } }, required: ["ok"] };
  await using scene = await Scene.open({ script: data, session: { outputSchema } });
  expect((await query(scene.name, '{"ok":true}')).structured).toEqual({ ok: true });
  const error = await failure(query(scene.name, '{"ok":"yes"}'), "TURN_FAILED");
  expect(error.details.class).toBe("turn");
});

test("outputSchema: applies transforms and defaults of the schema", async () => {
  const schema = z.object({ day: z.string().transform((day) => new Date(day)), note: z.string().default("none") });
  await using scene = await Scene.open({ script: data, session: { outputSchema: schema } });
  const reply = await query(scene.name, '{"day":"2024-02-29"}', { outputSchema: schema });
  expect(reply.structured).toEqual({ day: new Date("2024-02-29"), note: "none" });
});

test("outputSchema: a turn's own schema replaces the session's", async () => {
  await using scene = await Scene.open({ script: data, session: { outputSchema: city } });
  const name = z.object({ name: z.string() }).transform((found) => found.name);
  expect((await query(scene.name, '{"name":"Bern","inhabitants":1}', { outputSchema: name })).structured).toBe("Bern");
});

test.each([
  ["of another shape", '{"name":"Bern"}', "inhabitants"],
  ["without data", "just words", "no data"],
])("outputSchema: an answer %s rejects its turn with TURN_FAILED and the reason", async (_, prompt, why) => {
  await using scene = await Scene.open({ script: data, session: { outputSchema: city } });
  const error = await failure(query(scene.name, prompt), "TURN_FAILED");
  expect(error.details).toMatchObject({ class: "turn", partialText: "as data" });
  expect(error.message).toContain(why);
  expect((await query(scene.name, '{"name":"Bern","inhabitants":1}')).structured).toBeDefined();
  expect(scene.fake.processes).toHaveLength(1);
});

test.each<[string, z.ZodType]>([
  [
    "throws",
    z.object({}).transform(() => {
      throw new Error("out of order");
    }),
  ],
  ["is asynchronous", z.object({}).refine(async () => true)],
])("outputSchema: a schema that %s rejects its turn with TURN_FAILED, and nothing else", async (_, outputSchema) => {
  await using scene = await Scene.open({ script: data, session: { outputSchema } });
  const error = await failure(query(scene.name, "{}"), "TURN_FAILED");
  expect(error.message).toContain("its schema failed");
  await failure(query(scene.name, "{}"), "TURN_FAILED");
  expect(scene.session.status()).toMatchObject({ state: "idle", restarts: 0, starts: 1 });
});

test("outputSchema: rejects with TURN_FAILED when Claude Code runs out of retries", async () => {
  await using scene = await Scene.open({
    session: { outputSchema: city },
    script: (turn) => turn.result({ subtype: "error_max_structured_output_retries" }),
  });
  const error = await failure(query(scene.name, "hi"), "TURN_FAILED");
  expect(error.details.class).toBe("turn");
});

const foreign: OutputSchema = { "~standard": { version: 1, vendor: "another" } };

test.each<[string, object, string]>([
  ["beside `outputFormat`", { outputFormat: { type: "json_schema", schema: {} }, outputSchema: city }, "outputFormat"],
  ["that JSON Schema cannot express", { outputSchema: z.object({ at: z.date() }) }, "Date"],
  ["of another library", { outputSchema: foreign }, "zod 4"],
])("outputSchema: rejects a schema %s", async (_, options, why) => {
  await using scene = await Scene.open();
  const error = await failure(scene.supervisor.startSession({ name: unique(), ...options }), "INVALID_OPTIONS");
  expect(error.details.problems.map(({ field }) => field)).toEqual(["outputSchema"]);
  expect(error.message).toContain(why);
});

test("outputSchema: rejects a turn's schema when the session has none", async () => {
  await using scene = await Scene.open();
  const error = await failure(query(scene.name, "hi", { outputSchema: city }), "INVALID_OPTIONS");
  expect(error.details.problems.map(({ field }) => field)).toEqual(["outputSchema"]);
});

test("outputSchema: a fork inherits it, and may replace it", async () => {
  await using scene = await Scene.open({ script: data, session: { outputSchema: city } });
  const fork = await scene.session.fork(unique("fork"));
  await failure(fork.query('{"name":7}'), "TURN_FAILED");
  const other = await scene.session.fork(unique("fork"), { outputSchema: z.object({ ok: z.boolean() }) });
  expect((await other.query('{"ok":true}')).structured).toEqual({ ok: true });
});

test("once(): applies `outputSchema`", async () => {
  await using scene = await Scene.open({ script: data });
  const spawnClaudeCodeProcess = scene.fake.spawn;
  const reply = await once('{"name":"Bern","inhabitants":1}', { spawnClaudeCodeProcess, outputSchema: city });
  expectTypeOf(reply.structured).toEqualTypeOf<{ name: string; inhabitants: number } | undefined>();
  expect(reply.structured?.name).toBe("Bern");
  await failure(once("words", { spawnClaudeCodeProcess, outputSchema: city }), "TURN_FAILED");
});
