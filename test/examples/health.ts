import { query, Supervisor } from "castellan";
import { expect, test } from "vitest";
import { healthOf, healthRoutes, modelAnswers } from "../../examples/health.ts";
import { onFake } from "./on-fake.ts";

test("health.ts: answers the probes of Kubernetes by the supervisor's health", async () => {
  const { options } = onFake(async (turn) => {
    await turn.crash();
  });
  const supervisor = await Supervisor.start([{ name: "assistant" }, { name: "other" }], { ...options, maxRestarts: 0 });
  const app = healthRoutes(supervisor);
  const statuses = async (): Promise<number[]> => {
    const all = await Promise.all(["/livez", "/readyz", "/health"].map((path) => app.request(path)));
    return all.map(({ status }) => status);
  };
  expect(await statuses()).toEqual([200, 200, 200]);
  expect(await healthOf("assistant")).toBe("healthy");
  await expect(query("assistant", "hi")).rejects.toMatchObject({ code: "SESSION_QUARANTINED" });
  expect(await healthOf("assistant")).toMatch(/^unhealthy: /);
  expect(await (await app.request("/health")).json()).toMatchObject({
    status: "degraded",
    states: { quarantined: 1, idle: 1 },
    details: [{ name: "assistant", status: "unhealthy" }],
  });
  expect(await statuses()).toEqual([200, 200, 200]);
  await expect(query("other", "hi")).rejects.toMatchObject({ code: "SESSION_QUARANTINED" });
  expect(await statuses()).toEqual([200, 503, 503]);
  await supervisor.stop();
  expect(await statuses()).toEqual([200, 503, 503]);
});

test("health.ts: probes the model without adding to the conversation", async () => {
  const { fake, options } = onFake(async (turn) => {
    if (turn.index === 0) return await turn.text("ok");
    await turn.fail({ status: 401 });
  });
  await using supervisor = await Supervisor.start([{ name: "assistant" }], options);
  expect(await modelAnswers()).toMatchObject({ ok: true, costUsd: 0.01 });
  expect(fake.transcript(supervisor.session("assistant").sessionId)).toEqual([]);
  expect(await modelAnswers()).toMatchObject({ ok: false, error: { code: expect.any(String) } });
});
