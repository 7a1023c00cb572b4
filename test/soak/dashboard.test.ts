import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { mockApi } from "../../src/testing/index.ts";
import { castellan } from "../cli/command-line.ts";
import {
  chromiumWithPages,
  expectAccessible,
  picture,
  rowOf,
  Served,
  shows,
  WAIT,
  watchedPage,
} from "./dashboard-page.ts";

/* The page of `castellan serve` in Chromium, with the real Claude Code. `DASHBOARD_SHOTS=1` keeps pictures in reports/dashboard. */

const HOSTILE = `<img src=x onerror="document.title='owned'">`;

let chromium: Browser;

beforeAll(async () => {
  chromium = await chromiumWithPages();
});
afterAll(async () => await chromium.close());

describe("the dashboard", () => {
  test("shows a crash and the return, a stream, and a restart of the server; operates one and many", async () => {
    await using api = await mockApi();
    const words = Array.from({ length: 40 }, (_, index) => `word${index}`).join(" ");
    api.reply("go", { text: `${words} ${HOSTILE}`, tokensPerSecond: 20 });
    const children = [
      { name: "assistant", title: HOSTILE, labels: { team: "blue" } },
      { name: HOSTILE, labels: { team: "<b>green</b>" } },
      { name: "third", labels: { team: "blue" } },
    ];
    await using served = await Served.start(api, children);
    const watched = await watchedPage(chromium, `${served.url}/dashboard/`);
    const { page, complaints, hosts } = watched;
    await shows(page, "assistant", /idle/i);
    await page.locator(".link-dot.is-live").waitFor({ timeout: WAIT });
    await expectAccessible(page, "the fleet");

    // A crash.
    const before = (await served.client.session("assistant").get()).status;
    process.kill(before?.pid ?? 0, "SIGKILL");
    await page
      .locator(".card", { hasText: "Failures, last hour" })
      .filter({ hasText: "1 restart" })
      .waitFor({ timeout: WAIT });
    await rowOf(page, "assistant").locator(".cell-restarts", { hasText: "1" }).waitFor({ timeout: WAIT });
    await shows(page, "assistant", /idle/i);
    await page.getByText("Failures, last hour").click();
    await page.locator(".exits").getByText("assistant").waitFor({ timeout: WAIT });
    await picture(watched, "fleet");
    await expectAccessible(page, "the fleet with its failures");
    await page.getByText("Failures, last hour").click();

    // Search and filters are in the address, and survive a reload and the back button.
    await page.getByRole("button", { name: "team=blue" }).first().click();
    await page.waitForURL("**/dashboard/?label=team%3Dblue");
    expect(await page.locator(".list-body .row").count()).toBe(2);
    await page.keyboard.press("/");
    await page.keyboard.type("thi");
    await page.waitForURL("**/dashboard/?q=thi&label=team%3Dblue");
    await page.reload();
    await shows(page, "third", /idle/i);
    expect(await page.locator(".list-body .row").count()).toBe(1);
    await page.getByLabel("Search names, titles and labels").fill("nobody has this name");
    await page.getByText("No session matches").waitFor();
    await expectAccessible(page, "the empty list");
    await page.getByRole("button", { name: "Show all sessions" }).click();

    // Actions on one and on many.
    await page.getByRole("button", { name: "Actions for third" }).click();
    await expectAccessible(page, "a menu");
    await page.getByRole("button", { name: "Stop", exact: true }).click();
    await page.getByRole("heading", { name: "Stop third?" }).waitFor();
    await expectAccessible(page, "a question");
    await page.keyboard.press("Escape");
    expect((await served.client.session("third").get()).state).toBe("idle");
    await page.getByLabel("Select all shown sessions").click();
    await page.getByText("3 sessions selected").waitFor();
    await page.locator(".selection").getByRole("button", { name: "Hibernate" }).click();
    await page.getByText("3 sessions hibernated.").waitFor({ timeout: WAIT });
    for (const name of ["assistant", HOSTILE, "third"]) await shows(page, name, /hibernated/i);
    await page.keyboard.press("Escape");

    // A stream.
    await rowOf(page, "assistant").getByRole("link", { name: "assistant" }).click();
    await page.getByRole("heading", { name: "assistant" }).waitFor();
    await page.getByLabel("Prompt").fill("go");
    await page.keyboard.press("Enter");
    await page
      .locator(".writing")
      .getByText(/word3 /)
      .waitFor({ timeout: WAIT });
    expect(await page.locator(".is-text").count()).toBe(1);
    await page
      .locator(".is-text:not(.writing)")
      .getByText(/word39/)
      .waitFor({ timeout: WAIT });
    await page
      .locator(".item")
      .getByText(/^completed/)
      .waitFor({ timeout: WAIT });
    expect(await page.locator(".is-text").innerText()).toContain(HOSTILE);
    await picture(watched, "session");
    await expectAccessible(page, "a session");

    // A restart of the server.
    await served.end("SIGKILL");
    await page.getByText("Disconnected").waitFor({ timeout: WAIT });
    await page.locator(".banner").waitFor();
    await picture(watched, "disconnected");
    await expectAccessible(page, "a lost connection");
    await served.again();
    await page.locator(".link-dot.is-live").waitFor({ timeout: WAIT });
    await page.getByRole("link", { name: "Back to all sessions" }).click();
    await shows(page, "assistant", /idle/i);
    await served.client.session("third").restart();
    await served.client.session("third").hibernate();
    await shows(page, "third", /hibernated/i);

    // What others wrote is text.
    expect(await page.locator("img:not(header img)").count()).toBe(0);
    expect(await page.title()).toContain("Fleet");
    expect([...hosts]).toEqual([new URL(served.url).host]);
    expect(complaints).toEqual([]);
  }, 180_000);

  test("asks for a token, takes none that is wrong, and leaves", async () => {
    await using api = await mockApi();
    const made = await castellan(["token", "create", "--scope", "read", "--json"], { cwd: api.cwd });
    const { token } = JSON.parse(made.stdout) as { token: string };
    await using served = await Served.start(api, [{ name: "assistant" }]);
    const watched = await watchedPage(chromium, `${served.url}/dashboard/sessions/%22assistant%22`, { dark: true });
    const { page, complaints } = watched;
    await page.getByLabel("Token").fill("castellan_wrong");
    await page.keyboard.press("Enter");
    await page.getByText("does not accept this token").waitFor({ timeout: WAIT });
    await expectAccessible(page, "the login");
    await picture(watched, "login-dark");
    await page.getByLabel("Token").fill(token);
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "assistant" }).waitFor({ timeout: WAIT });
    await page.getByRole("link", { name: "Back to all sessions" }).click();
    await shows(page, "assistant", /idle/i);
    // The token only reads.
    expect(await page.getByRole("button", { name: /^Actions for/ }).count()).toBe(0);
    expect(await page.evaluate("document.cookie")).toBe("");
    await expectAccessible(page, "the fleet in dark colours");
    await picture(watched, "fleet-dark");
    await page.getByRole("button", { name: "Log out" }).click();
    await page.getByLabel("Token").waitFor({ timeout: WAIT });
    expect(complaints).toEqual([]);
  }, 120_000);
});
