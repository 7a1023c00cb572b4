import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { dashboard } from "../../src/dashboard/index.ts";
import { global, Supervisor, template } from "../../src/index.ts";
import { listen } from "../../src/server/listen.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { PostgresServer } from "../journal/postgres-server.ts";
import { unique } from "../session-on-fake/scene.ts";
import { chromiumWithPages, expectAccessible, picture, WAIT, watchedPage } from "./dashboard-page.ts";

/* The page of a session that exists once in a cluster. */

let chromium: Browser;
let server: PostgresServer;

beforeAll(async () => {
  [chromium, server] = await Promise.all([chromiumWithPages(), PostgresServer.start()]);
}, 120_000);
afterAll(async () => {
  await chromium?.close();
  await server?.remove();
});

describe("a global session's page", () => {
  test("takes prompts, tells its node and options, and offers no fork", async () => {
    const support = unique("support");
    const gate = Promise.withResolvers<void>();
    const fake = fakeClaude(async (turn) => {
      if (turn.prompt === "work") await gate.promise;
      await turn.text(`re: ${turn.prompt}`);
    });
    const cluster = { ...server.fresh(), name: "one", advertise: "http://127.0.0.1:0", secret: "s".repeat(32) };
    const supervisor = await Supervisor.start([template(global(support), { maxTurns: 7 })], {
      journal: "memory",
      cluster,
      logger: { info: () => {}, warn: () => {} },
      defaults: { spawnClaudeCodeProcess: fake.spawn },
    });
    await using _ = supervisor;
    const listening = await listen(supervisor, { mounts: { "/dashboard": dashboard(supervisor, { auth: false }) } });
    const name = global([support, "ann"]);
    await supervisor.session(name).query("hello");
    const path = encodeURIComponent(JSON.stringify({ global: [support, "ann"] }));
    const watched = await watchedPage(chromium, `${listening.url}/dashboard/sessions/${path}?details=`);
    const { page, complaints } = watched;
    await page.locator(".session-title .state").getByText("idle").waitFor({ timeout: WAIT });
    await page.locator(".facts").getByText("one", { exact: true }).waitFor({ timeout: WAIT });
    const option = page.locator(".options > div", { has: page.getByText("maxTurns", { exact: true }) });
    await option
      .locator(".option-origin")
      .getByText(/^template/)
      .waitFor({ timeout: WAIT });
    await page.getByLabel("Prompt", { exact: true }).fill("work");
    await page.keyboard.press("Enter");
    await page.getByRole("radio", { name: "Queue" }).waitFor({ timeout: WAIT });
    await page.getByLabel("Prompt", { exact: true }).fill("next");
    await page.keyboard.press("Enter");
    await page.locator(".waiting").getByText("next").waitFor({ timeout: WAIT });
    await picture(watched, "controls-global");
    await expectAccessible(page, "a global session");
    gate.resolve();
    await page.locator(".item.is-text").getByText("re: next").waitFor({ timeout: WAIT });
    await page.getByRole("button", { name: /^Actions for global/ }).click();
    await page.locator("dialog.menu").getByRole("button", { name: "Export…" }).waitFor();
    expect(await page.locator("dialog.menu").getByRole("button", { name: "Fork…" }).count()).toBe(0);
    await page.keyboard.press("Escape");
    expect(complaints).toEqual([]);
    listening.drain();
    await listening.close();
  }, 120_000);
});
