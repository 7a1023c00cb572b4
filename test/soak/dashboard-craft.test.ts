import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { mockApi } from "../../src/testing/index.ts";
import { castellan } from "../cli/command-line.ts";
import { chromiumWithPages, rowOf, Served, shows, WAIT, watchedPage } from "./dashboard-page.ts";

/* What people notice only when it is missing: a page that keeps still, a tab that slept, a user who may see little. */

let chromium: Browser;

beforeAll(async () => {
  chromium = await chromiumWithPages();
});
afterAll(async () => await chromium.close());

/** Begins to note what moves without anybody having touched the page. */
async function watchShifts(page: Page): Promise<void> {
  await page.evaluate(`
    window.shifts = [];
    new PerformanceObserver((list) => {
      for (const { value, hadRecentInput, sources } of list.getEntries()) {
        if (!hadRecentInput) window.shifts.push({ value, of: sources.map(({ node }) => node?.parentElement?.outerHTML.slice(0, 200)) });
      }
    }).observe({ type: "layout-shift", buffered: false });
  `);
}

/** Stops or continues all that the page does, as an operating system that sleeps. */
async function freeze(page: Page, state: "frozen" | "active"): Promise<void> {
  const devtools = await page.context().newCDPSession(page);
  await devtools.send("Page.setWebLifecycleState", { state });
  await devtools.detach();
}

describe("the dashboard", () => {
  test("keeps still while turns begin, stream and end", async () => {
    await using api = await mockApi();
    api.reply("go", {
      text: Array.from({ length: 60 }, (_, index) => `word${index}`).join(" "),
      tokensPerSecond: 30,
    });
    const names = ["one", "two", "three", "four"];
    await using served = await Served.start(
      api,
      names.map((name) => ({ name, labels: { team: "blue" } })),
    );
    const { page, complaints } = await watchedPage(chromium, `${served.url}/dashboard/?order=name`);
    for (const name of names) await shows(page, name, /idle/i);
    await page.locator(".link-dot.is-live").waitFor({ timeout: WAIT });
    await watchShifts(page);
    const turns = await Promise.all(names.map((name) => served.client.session(name).enqueue("go")));
    await shows(page, "one", /busy/i);
    await Promise.all(names.map((name, index) => served.client.session(name).wait(turns[index] ?? "")));
    for (const name of names) await shows(page, name, /idle/i);
    await page
      .locator(".card-value")
      .getByText(/\$0\.\d/)
      .waitFor({ timeout: WAIT });
    expect(await page.evaluate("shifts")).toEqual([]);
    expect(complaints).toEqual([]);
  }, 120_000);

  test("a tab that slept while the server restarted and sessions came and went catches up", async () => {
    await using api = await mockApi();
    await using served = await Served.start(api, [{ name: "stays" }, { name: "goes" }]);
    const fleet = await watchedPage(chromium, `${served.url}/dashboard/`);
    const session = await watchedPage(chromium, `${served.url}/dashboard/sessions/%22stays%22`);
    await shows(fleet.page, "goes", /idle/i);
    await session.page.getByText(/Started · process \d+/).waitFor({ timeout: WAIT });
    await freeze(fleet.page, "frozen");
    await freeze(session.page, "frozen");
    await served.client.session("stays").query("hello there");
    await served.end("SIGKILL");
    await served.again();
    await served.client.session("goes").stop();
    await served.client.session("stays").query("good evening");
    await served.client.session("stays").hibernate();
    await freeze(fleet.page, "active");
    await freeze(session.page, "active");
    await shows(fleet.page, "stays", /hibernated/i);
    await rowOf(fleet.page, "goes").waitFor({ state: "detached", timeout: WAIT });
    for (const prompt of ["hello there", "good evening"]) {
      await session.page.locator(".is-prompt", { hasText: prompt }).waitFor({ timeout: WAIT });
      expect(await session.page.locator(".is-prompt", { hasText: prompt }).count()).toBe(1);
    }
    for (const { page } of [fleet, session]) await page.locator(".link-dot.is-live").waitFor({ timeout: WAIT });
    expect([...fleet.complaints, ...session.complaints]).toEqual([]);
  }, 180_000);

  test("shows somebody with a short reach their sessions only, and their changes", async () => {
    await using api = await mockApi();
    const args = ["token", "create", "--scope", "read", "talk", "--prefix", "support", "--json"];
    const { token } = JSON.parse((await castellan(args, { cwd: api.cwd })).stdout) as { token: string };
    const all = await castellan(["token", "create", "--scope", "read", "talk", "operate", "--json"], { cwd: api.cwd });
    await using served = await Served.start(api, [{ name: ["support", 1] }, { name: ["sales", 1] }]);
    const { page, complaints } = await watchedPage(chromium, `${served.url}/dashboard/`);
    await page.getByLabel("Token").fill(token);
    await page.keyboard.press("Enter");
    await shows(page, "support / 1", /idle/i);
    await page.locator(".link-dot.is-polling").waitFor({ timeout: WAIT });
    expect(await rowOf(page, "sales / 1").count()).toBe(0);
    const operator = served.clientWith((JSON.parse(all.stdout) as { token: string }).token);
    await operator.session(["support", 1]).hibernate();
    await shows(page, "support / 1", /hibernated/i);
    await rowOf(page, "support / 1").getByRole("link").click();
    await page.getByLabel("Prompt").fill("hello");
    await page.keyboard.press("Enter");
    await page
      .locator(".item")
      .getByText(/^completed/)
      .waitFor({ timeout: WAIT });
    await served.end("SIGKILL");
    await page.getByText("Disconnected").waitFor({ timeout: WAIT });
    await served.again();
    await page.locator(".link-dot.is-polling").waitFor({ timeout: WAIT });
    expect(complaints).toEqual([]);
    await page.goto(`${served.url}/dashboard/sessions/${encodeURIComponent('["sales",1]')}`);
    await page.getByText("There is no such session").waitFor({ timeout: WAIT });
  }, 120_000);
});
