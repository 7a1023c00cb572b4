import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CastellanClient } from "castellan/client";
import { expect, onTestFinished, test } from "vitest";
import { startRelease } from "../../examples/deploys.ts";
import { freePort } from "../free-port.ts";
import { onFake } from "./on-fake.ts";

test("deploys.ts: starts a release that can be taken over, on a port that the next one can share", async () => {
  const folder = await mkdtemp(join(tmpdir(), "deploys-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const { options } = onFake();
  const port = await freePort();
  const supervisor = await startRelease(join(folder, "castellan.db"), port, options);
  const client = new CastellanClient({ url: `http://127.0.0.1:${port}` });
  expect((await client.session(["support", "ann"]).query("hi")).text).toBe("You said: hi");
  await supervisor.stop();
});
