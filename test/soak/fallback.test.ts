import { expect, it, vi } from "vitest";
import { fallback, query, Supervisor, session, stream } from "../../src/index.ts";
import { mockApi } from "../../src/testing/index.ts";
import { unique } from "../session-on-fake/scene.ts";

it("fallback: answers from the back-up once the primary's key is refused, and does not ask the primary again", async () => {
  await using api = await mockApi();
  const [primary, backup] = [unique("primary"), unique("backup")];
  await using supervisor = await Supervisor.start(
    [
      { name: primary, model: "claude-opus-5-5" },
      { name: backup, model: "claude-haiku-4-5" },
    ],
    { journal: "memory", defaults: { env: api.env, cwd: api.cwd }, logger: { info: () => {}, warn: () => {} } },
  );
  const both = fallback([primary, backup]);
  expect((await query(both, "one")).text).toBe("You said: one");
  expect(api.lastRequest?.model).toContain("opus");
  api.reply(({ model }) => model.includes("opus"), {
    error: { status: 401, message: "invalid x-api-key", type: "authentication_error" },
  });
  expect((await query(both, "two")).text).toBe("You said: two");
  expect(api.lastRequest?.model).toContain("haiku");
  await vi.waitUntil(() => session(primary).status().state === "quarantined", { interval: 5, timeout: 30_000 });
  const asked = api.requests.length;
  expect((await query(both, "three")).text).toBe("You said: three");
  expect((await stream(both, "four").result()).text).toBe("You said: four");
  expect(api.requests.slice(asked).every(({ model }) => model.includes("haiku"))).toBe(true);
  // Once its quarantine is lifted, the primary is the first choice again.
  api.clear();
  await supervisor.restartSession(primary);
  expect((await query(both, "five")).text).toBe("You said: five");
  expect(api.lastRequest?.model).toContain("opus");
});
