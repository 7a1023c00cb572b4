import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { query } from "castellan";
import { expect, onTestFinished, test, vi } from "vitest";
import { startServices, startWithServer } from "../../examples/several-services.ts";
import { onFake } from "./on-fake.ts";

test("several-services.ts: gives each service its own key, model and processes", async () => {
  vi.stubEnv("SUPPORT_KEY", "sk-support");
  vi.stubEnv("RESEARCH_KEY", "sk-research");
  onTestFinished(() => void vi.unstubAllEnvs());
  const { fake, options } = onFake();
  await using _services = await startServices(options);
  expect(fake.processes.map(({ env }) => env["ANTHROPIC_API_KEY"])).toEqual([
    "sk-support",
    "sk-support",
    "sk-research",
  ]);
  expect(await query(["research", "reader"], "hi")).toMatchObject({ text: "You said: hi" });
});

test("several-services.ts: restarts a worker of the tree after a fault, and stops it with the tree", async () => {
  const { options } = onFake();
  const started: PromiseWithResolvers<Server>[] = [Promise.withResolvers(), Promise.withResolvers()];
  let starts = 0;
  const supervisor = await startWithServer((server) => started[starts++]?.resolve(server), options);
  const [first, second] = await Promise.all(
    started.map(async ({ promise }, at) => {
      const server = await promise;
      const { port } = server.address() as AddressInfo;
      const url = `http://127.0.0.1:${port}`;
      const answer = await (await fetch(url, { method: "POST", body: `question ${at}` })).text();
      if (at === 0) server.emit("error", new Error("out of luck"));
      return { url, answer };
    }),
  );
  expect([first?.answer, second?.answer]).toEqual(["You said: question 0", "You said: question 1"]);
  expect(supervisor.countChildren()).toMatchObject({ workers: 2, active: 2 });
  await supervisor.stop();
  await expect(fetch(second?.url ?? "")).rejects.toThrow();
});
