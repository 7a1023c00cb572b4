import { query, session } from "castellan";
import { mockApi } from "castellan/testing";
import { expect, test } from "vitest";
import { rehearse, remembersAfterAKill, startReal } from "../../examples/integration-tests.ts";

test("integration-tests.ts: runs the real Claude Code on a mock API, with its tools, and resumes after a kill", async () => {
  await using api = await mockApi();
  rehearse(api);
  await using supervisor = await startReal(api);
  expect(supervisor.notStarted).toEqual([]);
  expect(await query("assistant", "What is the capital of France?")).toMatchObject({ text: "Paris" });
  expect(await query("assistant", "list it")).toMatchObject({ text: "The tool said: a2b" });
  const { pid } = session("assistant").status();
  process.kill(pid ?? Number.NaN, "SIGKILL");
  expect(await query("assistant", "What did I just say?")).toMatchObject({ text: "You just said: list it" });
  expect(session("assistant").status()).toMatchObject({ restarts: 1 });
  expect(api.lastRequest?.messages.length).toBeGreaterThan(4);
  await expect(query("assistant", "are you busy?")).rejects.toMatchObject({
    code: "TURN_FAILED",
    details: { class: "overload", status: 529 },
  });
  expect(api.errors).toEqual([]);
});

test("integration-tests.ts: has a test that passes", remembersAfterAKill);
