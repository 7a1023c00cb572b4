import { expect, test } from "vitest";
import { pool } from "../../src/index.ts";
import { failure, Scene, unique } from "./scene.ts";

const WRONG = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -1, 0.5, "1" as unknown as number];

/** Expects INVALID_OPTIONS that names the field, and nothing else. */
async function refusedFor(field: string, call: (value: number) => unknown): Promise<void> {
  for (const value of WRONG) {
    const { details } = await failure(
      (async () => {
        await call(value);
      })(),
      "INVALID_OPTIONS",
    );
    expect(details.problems.map((problem) => problem.field)).toEqual([field]);
  }
}

test("numbers in options of responses and pages: NaN, Infinity, negative ones and fractions are refused by name", async () => {
  const crew = unique("pool");
  await using scene = await Scene.open({ children: [{ name: "one" }, pool(crew, { size: 1 })] });
  const { supervisor } = scene;
  const session = supervisor.session("one");
  const turn = session.stream("hello");
  await turn.result();
  const jobs = supervisor.pool(crew);
  await refusedFor("heartbeatMs", (heartbeatMs) => turn.toResponse({ heartbeatMs }));
  await refusedFor("heartbeatMs", (heartbeatMs) => turn.toUIMessageStreamResponse({ heartbeatMs }));
  await refusedFor("after", (after) => session.events({ after, live: false }).next());
  await refusedFor("before", (before) => session.pastEvents({ before }));
  await refusedFor("limit", (limit) => session.pastEvents({ limit }));
  await refusedFor("limit", (limit) => session.turns({ limit }));
  await refusedFor("limit", (limit) => jobs.turns({ limit }));
  await refusedFor("limit", (limit) => supervisor.findSessions({ limit }));
  // What is allowed still works.
  expect(await turn.toResponse({ heartbeatMs: 1 }).text()).toContain("event: result");
});
