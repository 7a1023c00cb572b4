import { readFile } from "node:fs/promises";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { UsageReport } from "../../src/client/index.ts";
import { dollarsText } from "../../src/page/store/format.ts";
import { mockApi } from "../../src/testing/index.ts";
import { castellan } from "../cli/command-line.ts";
import { chromiumWithPages, expectAccessible, picture, Served, WAIT, watchedPage } from "./dashboard-page.ts";

/* The page of costs, with turns of the real Claude Code. */

const OPUS = "claude-opus-5-5";
const HAIKU = "claude-haiku-4-5-20251001";
/** A spreadsheet would run this name. */
const FORMULA = '=HYPERLINK("http://a.example","x")';

let chromium: Browser;

beforeAll(async () => {
  chromium = await chromiumWithPages();
});
afterAll(async () => await chromium.close());

describe("the dashboard's costs", () => {
  test("are those of the API, live, by day, model, label and session, as a plot, a table and CSV", async () => {
    await using api = await mockApi();
    api.reply("long", { text: "word ".repeat(400), usage: { inputTokens: 20_000, outputTokens: 9_000 } });
    const children = [
      { name: "writer", model: OPUS, labels: { team: "blue" } },
      { name: FORMULA, model: HAIKU, labels: { team: "red" }, budget: { usd: 0.000001, per: "day" } },
      { name: "idle", activation: "lazy" },
    ];
    await using served = await Served.start(api, children, {
      budget: { usd: 50 },
      capacity: { maxProcesses: 40, memoryBudget: "8GB" },
    });
    const watched = await watchedPage(chromium, `${served.url}/dashboard/costs`);
    const { page, complaints, hosts } = watched;
    await page.getByText("Nothing was spent").waitFor({ timeout: WAIT });
    await expectAccessible(page, "no costs");
    await picture(watched, "costs-empty");

    // Turns show as they end, without a reload.
    await served.client.session("writer").query("long");
    await spentOn(page, await served.client.usage());
    await served.client.session(FORMULA).query("hello");
    await served.client.session("writer").query("again");
    const reports = await served.client.usage();
    expect(reports).toMatchObject([{ turns: 3 }]);
    await spentOn(page, reports);
    await page.locator(".costs-cards .card", { hasText: "Turns" }).getByText("3", { exact: true }).waitFor();

    // Each dimension has the sums of the API.
    expect(await rowsOn(page)).toEqual(shown(await served.client.usage({ by: ["day"] }), () => today("medium")));
    await page.getByRole("button", { name: "Model" }).click();
    await page.waitForURL("**/costs?by=model");
    const models = await served.client.usage({ by: ["model"] });
    await page.locator(".costs-table tbody tr", { hasText: OPUS }).waitFor();
    expect(models.map(({ model }) => model)).toEqual(expect.arrayContaining([OPUS, HAIKU]));
    expect(await rowsOn(page)).toEqual(shown(models, ({ model }) => model));
    await page.getByRole("button", { name: "Label" }).click();
    await page.waitForURL("**/costs?by=label&label=team");
    await page.locator(".costs-table tbody tr", { hasText: "blue" }).waitFor();
    const labels = await served.client.usage({ label: "team" });
    expect(await rowsOn(page)).toEqual(shown(labels, ({ label }) => label));
    await page.getByRole("button", { name: "Session" }).click();
    await page.locator(".costs-table tbody tr", { hasText: "writer" }).waitFor();
    const sessions = await served.client.usage({ by: ["session"] });
    expect(await rowsOn(page)).toEqual(shown(sessions, ({ session }) => String(session)));
    await expectAccessible(page, "the costs by session");
    await picture(watched, "costs", { full: true });

    // The order is in the address, and survives a reload and the back button.
    await page.getByRole("columnheader", { name: "Session" }).getByRole("button").click();
    await page.waitForURL("**/costs?by=session&order=name");
    await page.reload();
    await page.locator(".costs-table tbody tr", { hasText: "writer" }).waitFor({ timeout: WAIT });
    expect((await rowsOn(page)).map(([name]) => name)).toEqual([FORMULA, "writer"]);
    expect(await page.locator("th[aria-sort=ascending]").innerText()).toContain("Session");
    await page.goBack();
    await page.waitForURL("**/costs?by=session");

    // The file has every row, and nothing that a spreadsheet would run.
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name: "Download CSV" }).click(),
    ]);
    expect(download.suggestedFilename()).toMatch(/^costs-by-session-\d{4}-\d\d-\d\d-\d{4}-\d\d-\d\d\.csv$/);
    const csv = await readFile(await download.path(), "utf8");
    const [head, ...lines] = csv.trimEnd().split("\r\n");
    expect(head).toBe("session,cost_usd,turns,input_tokens,output_tokens,cache_read_tokens,cache_write_tokens");
    expect(lines).toEqual(
      sessions.map(({ session, costUsd, turns, usage }) => {
        const name = session === FORMULA ? `"'${FORMULA.replaceAll('"', '""')}"` : String(session);
        const { inputTokens, outputTokens, cacheReadInputTokens, cacheCreationInputTokens } = usage;
        const tokens = [inputTokens, outputTokens, cacheReadInputTokens, cacheCreationInputTokens];
        return [name, Number(costUsd.toFixed(6)), turns, ...tokens].join(",");
      }),
    );

    // The plot answers to the pointer and to the keyboard, and says its values to screen readers.
    const last = page.locator(".plot-day").last();
    expect(await last.getAttribute("aria-label")).toBe(
      [`${today("medium")}: ${dollarsText(sum(sessions))}`]
        .concat(sessions.map(({ session, costUsd }) => `${session} ${dollarsText(costUsd)}`))
        .join(", "),
    );
    await last.hover();
    await page.locator(".plot-tip", { hasText: "writer" }).waitFor();
    await last.focus();
    await page.keyboard.press("ArrowLeft");
    await page.locator(".plot-tip").filter({ hasNotText: "writer" }).waitFor();
    expect(await page.locator(".plot-day:focus").getAttribute("aria-label")).toMatch(/: \$0$/);
    await page.keyboard.press("End");
    await page.locator(".plot-tip", { hasText: "writer" }).waitFor();
    const table = page.getByRole("table", { name: /^Costs by day/ });
    expect(await table.getByRole("row").count()).toBe(31);
    expect(await table.getByRole("row").last().innerText()).toContain(dollarsText(sessions[0]?.costUsd ?? 0));
    await expectAccessible(page, "a day of the plot");

    // A spent budget says so, as the API does.
    await expect(served.client.session(FORMULA).query("more")).rejects.toMatchObject({ code: "BUDGET_EXCEEDED" });
    const budgets = page.locator(".budget");
    await budgets.filter({ hasText: FORMULA }).getByText("Spent", { exact: true }).waitFor();
    await budgets
      .filter({ hasText: FORMULA })
      .getByText(/^resets in /)
      .waitFor();
    await budgets
      .filter({ hasText: "All sessions" })
      .getByText(`${dollarsText(50 - sum(sessions))} left`)
      .waitFor();
    await page.locator(".costs-cards .card.bad", { hasText: "Budgets" }).getByText("1 spent").waitFor();

    // A period of one's own.
    await page.getByRole("button", { name: "Custom" }).click();
    await page.getByLabel("First day").fill("2020-01-01");
    await page.getByLabel("Last day").fill("2020-01-31");
    await page.waitForURL("**/costs?from=2020-01-01&to=2020-01-31&by=session");
    await page.getByText("Nothing was spent").waitFor();
    await expectAccessible(page, "a period without costs");

    // The fleet tells how much of the capacity is used.
    await page.getByRole("link", { name: "Fleet" }).click();
    await page
      .locator(".card", { hasText: "Processes" })
      .getByText(/of 40, .* of 8 GB/)
      .waitFor({ timeout: WAIT });
    await expectAccessible(page, "the fleet with limits");
    expect([...hosts]).toEqual([new URL(served.url).host]);
    expect(complaints).toEqual([]);
  }, 180_000);

  test("are not for users who reach only some sessions, and are read again when the server is back", async () => {
    await using api = await mockApi();
    const tokenOf = async (...reach: string[]): Promise<string> => {
      const made = await castellan(["token", "create", "--scope", "read", ...reach, "--json"], { cwd: api.cwd });
      return (JSON.parse(made.stdout) as { token: string }).token;
    };
    const [few, all] = [await tokenOf("--prefix", "writer"), await tokenOf()];
    await using served = await Served.start(api, [{ name: "writer" }]);
    const watched = await watchedPage(chromium, `${served.url}/dashboard/costs`, { dark: true });
    const { page, complaints } = watched;
    await page.getByLabel("Token").fill(few);
    await page.keyboard.press("Enter");
    await page.getByText("Not for this user").waitFor({ timeout: WAIT });
    await expectAccessible(page, "costs that are not for the user");
    await page.getByRole("button", { name: "Log out" }).click();
    await page.getByLabel("Token").fill(all);
    await page.keyboard.press("Enter");
    await page.getByText("Nothing was spent").waitFor({ timeout: WAIT });
    await page.getByText("Nothing has a budget.").waitFor();
    await picture(watched, "costs-dark");
    await served.end("SIGKILL");
    await page.getByText("Disconnected").waitFor({ timeout: WAIT });
    await expectAccessible(page, "costs of a lost server");
    await served.again();
    await page.locator(".link-dot.is-live").waitFor({ timeout: WAIT });
    await page.getByRole("button", { name: "7 days" }).click();
    await page.waitForURL("**/costs?days=7");
    await page.getByText("Nothing was spent").waitFor();
    expect(complaints).toEqual([]);
  }, 180_000);
});

/** Resolves once the page shows what the reports have together. */
async function spentOn(page: Page, reports: readonly UsageReport[]): Promise<void> {
  const card = page.locator(".costs-cards .card", { hasText: "Spent" }).first();
  await card.getByText(dollarsText(sum(reports)), { exact: true }).waitFor({ timeout: WAIT });
}

/** Returns name, cost and turns of each row of the table. */
async function rowsOn(page: Page): Promise<(string | undefined)[][]> {
  return await page
    .locator(".costs-table tbody tr")
    .evaluateAll((rows) =>
      rows.map((row) =>
        ["th", ".cost", "td:nth-of-type(2)"].map((part) => row.querySelector(part)?.textContent.trim()),
      ),
    );
}

/** Returns the rows that reports should have, what cost most first. */
function shown(reports: readonly UsageReport[], name: (report: UsageReport) => string | undefined): unknown[] {
  return reports
    .toSorted((one, other) => other.costUsd - one.costUsd)
    .map((report) => [name(report), dollarsText(report.costUsd), String(report.turns)]);
}

function sum(reports: readonly UsageReport[]): number {
  return reports.reduce((total, { costUsd }) => total + costUsd, 0);
}

function today(dateStyle: "medium"): string {
  return new Intl.DateTimeFormat("en", { dateStyle, timeZone: "UTC" }).format(Date.now());
}
