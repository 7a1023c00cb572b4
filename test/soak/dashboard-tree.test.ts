import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Browser, Locator, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sdkBinary } from "../../src/claude/process-run.ts";
import { mockApi } from "../../src/testing/index.ts";
import { castellan } from "../cli/command-line.ts";
import { chromiumWithPages, expectAccessible, picture, Served, WAIT, watchedPage } from "./dashboard-page.ts";

/* The tree of `castellan serve` in Chromium, with the real Claude Code. `DASHBOARD_SHOTS=1` keeps pictures in reports/dashboard. */

const HOSTILE = `<img src=x onerror="document.title='owned'">`;

let chromium: Browser;

beforeAll(async () => {
  chromium = await chromiumWithPages();
});
afterAll(async () => await chromium.close());

const rowOf = (page: Page, label: string): Locator =>
  page.getByRole("treeitem").filter({ has: page.locator(".tree-label").getByText(label, { exact: true }) });

const labels = (page: Page): Promise<string[]> => page.locator(".tree-row .tree-label").allInnerTexts();

/** Returns a program that fails to start Claude Code, and tells why, until a file exists. */
async function brokenClaude(cwd: string, repaired: string): Promise<string> {
  const path = join(cwd, "broken-claude");
  const claude = sdkBinary().pathToClaudeCodeExecutable;
  const lines = [
    "#!/bin/sh",
    `[ -e '${repaired}' ] && exec '${claude}' "$@"`,
    "echo 'the vault is sealed' >&2",
    "exit 3",
  ];
  await writeFile(path, lines.join("\n"));
  await chmod(path, 0o755);
  return path;
}

describe("the tree", () => {
  test("shows strategies, restarts, quarantine with stderr, and what brings a child back", async () => {
    await using api = await mockApi();
    const repaired = join(api.cwd, "repaired");
    const broken = await brokenClaude(api.cwd, repaired);
    await using served = await Served.start(api, [
      { name: "assistant" },
      {
        name: "team",
        strategy: "one_for_all",
        maxRestarts: 2,
        maxSeconds: 60,
        children: [{ name: "writer" }, { name: "reader" }, { name: "inner", children: [{ name: HOSTILE }] }],
      },
      { name: "vault", pathToClaudeCodeExecutable: broken },
      { template: "support", sessions: { idleTimeout: "10m" } },
    ]);
    for (let key = 1; key <= 3; key++) await served.client.session(["support", key]).query("hello");
    const watched = await watchedPage(chromium, `${served.url}/dashboard/tree`);
    const { page, complaints } = watched;

    // A session that cannot start waits longer and longer, and is quarantined with what its process said.
    await rowOf(page, "vault")
      .locator(".state.is-quarantined")
      .waitFor({ timeout: 2 * WAIT });
    await rowOf(page, "vault").click();
    const details = page.locator(".tree-details");
    await details.getByText("the vault is sealed").first().waitFor({ timeout: WAIT });
    expect(await details.locator(".tree-exits li").count()).toBeGreaterThan(1);
    expect(await details.locator(".tree-exits").getByText("code 3").count()).toBeGreaterThan(1);
    await picture(watched, "tree-quarantine");
    await expectAccessible(page, "a quarantined child");
    await writeFile(repaired, "");
    await details.getByRole("button", { name: "Restart", exact: true }).click();
    await rowOf(page, "vault").locator(".state.is-idle").waitFor({ timeout: WAIT });

    // Groups are nested; the strategy is explained, and restarts all.
    const levels = await page
      .locator(".tree-row")
      .evaluateAll((rows) =>
        rows.map(
          (row) =>
            `${row.getAttribute("aria-level")} ${row.getAttribute("aria-posinset")}/${row.getAttribute("aria-setsize")}`,
        ),
      );
    expect(levels).toEqual([
      "1 1/1",
      "2 1/4",
      "2 2/4",
      "3 1/3",
      "3 2/3",
      "3 3/3",
      "4 1/1",
      "2 3/4",
      "2 4/4",
      "3 1/3",
      "3 2/3",
      "3 3/3",
    ]);
    await rowOf(page, "team").click();
    await details.getByText("When a child exits, all children are restarted.").waitFor();
    await details.getByText("2 restarts in 60 s per child; a child with more is quarantined").waitFor();
    await picture(watched, "tree");
    await page.setViewportSize({ width: 390, height: 844 });
    await details.getByRole("button", { name: "Close the details" }).click();
    expect(await details.isVisible()).toBe(false);
    await expectAccessible(page, "a tree on a phone");
    await page.setViewportSize({ width: 1280, height: 800 });
    await rowOf(page, "team").click();
    await expectAccessible(page, "a supervisor");
    const status = async (name: string) => (await served.client.session(name).get()).status;
    const before = (await status("reader"))?.pid;
    process.kill((await status("writer"))?.pid ?? 0, "SIGKILL");
    await expect
      .poll(async () => [(await status("reader"))?.state, (await status("reader"))?.pid === before], { timeout: WAIT })
      .toEqual(["idle", false]);
    await rowOf(page, "reader").click();
    await details.getByText("2 starts in all").waitFor({ timeout: WAIT });
    await rowOf(page, "writer").click();
    await details.locator(".tree-exits").getByText("SIGKILL").first().waitFor({ timeout: WAIT });

    // The keyboard reaches everything, as in any tree.
    await rowOf(page, "team").focus();
    await page.keyboard.press("ArrowLeft");
    expect(await rowOf(page, "writer").count()).toBe(0);
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowRight");
    expect(await page.evaluate("document.activeElement.textContent")).toContain("writer");
    await page.keyboard.press("End");
    await page.keyboard.press("ArrowLeft");
    expect(await page.evaluate("document.activeElement.textContent")).toContain("support");
    await page.keyboard.press("v");
    expect(await page.evaluate("document.activeElement.textContent")).toContain("vault");

    // Actions ask before something is lost, and the tree follows.
    await details.getByRole("button", { name: "Hibernate" }).click();
    await rowOf(page, "vault").locator(".state.is-hibernated").waitFor({ timeout: WAIT });
    await details.getByRole("button", { name: "Wake" }).click();
    await rowOf(page, "vault").locator(".state.is-idle").waitFor({ timeout: WAIT });
    await rowOf(page, "team").click();
    await details.getByRole("button", { name: "Terminate child" }).click();
    await page.getByText("It and all its children stop").waitFor();
    await expectAccessible(page, "a question");
    await page.keyboard.press("Escape");
    expect((await served.client.children()).children[1]?.state).toBe("running");
    await details.getByRole("button", { name: "Terminate child" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Terminate child" }).click();
    await rowOf(page, "team").locator(".state.is-terminated").waitFor({ timeout: WAIT });
    await details.getByRole("button", { name: "Restart child" }).click();
    await rowOf(page, "team").locator(".state.is-running").waitFor({ timeout: WAIT });
    await rowOf(page, "assistant").click();
    await details.getByRole("button", { name: "Terminate child" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Terminate child" }).click();
    await details.getByRole("button", { name: "Delete child" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete child" }).click();
    await rowOf(page, "assistant").waitFor({ state: "detached", timeout: WAIT });

    // A search shows what matches with what it stands in, and has an address.
    await page.keyboard.press("/");
    await page.keyboard.type("img");
    expect((await labels(page)).slice(1)).toEqual(["team", "inner", HOSTILE]);
    await page.waitForURL(/\?q=img/);
    await page.reload();
    await rowOf(page, HOSTILE).waitFor({ timeout: WAIT });
    await page.getByLabel("Search names, kinds and states").fill("nothing has this name");
    await page.getByText("Nothing matches").waitFor();
    await expectAccessible(page, "nothing found");
    expect(await page.locator("main img").count()).toBe(0);
    // The browser tells that the deleted session is not there.
    expect(complaints.filter((text) => !text.includes("404"))).toEqual([]);
  }, 240_000);

  test("counts thousands of sessions by state, renders few, counts a back-off down, and tells who may not see it", async () => {
    await using api = await mockApi();
    const token = async (...args: string[]): Promise<string> => {
      const { stdout } = await castellan(["token", "create", ...args, "--json"], { cwd: api.cwd });
      return (JSON.parse(stdout) as { token: string }).token;
    };
    const [all, short] = [await token("--scope", "read"), await token("--scope", "read", "--prefix", "support")];
    await using served = await Served.start(api, [{ name: "assistant" }, { template: "support", sessions: {} }]);
    const watched = await watchedPage(chromium, `${served.url}/dashboard/tree`, { dark: true });
    const { page, complaints } = watched;
    await page.getByLabel("Token").fill(short);
    await page.keyboard.press("Enter");
    await page.getByText("The tree is not for this user").waitFor({ timeout: WAIT });
    await expectAccessible(page, "a short reach");
    await page.getByRole("button", { name: "Log out" }).click();
    await page.route("**/castellan/v1/tree?*", async (route) => {
      const answer = await route.fetch();
      if (!answer.ok()) return await route.fulfill({ response: answer });
      const tree = (await answer.json()) as { children: { kind: string; status: object }[] };
      const { status } = tree.children.find(({ kind }) => kind === "session") ?? { status: {} };
      const many = Array.from({ length: 5_000 }, (_, index) => {
        const own = { ...status, name: ["support", index], state: index === 4_321 ? "restarting" : "hibernated" };
        const retry = index === 4_321 ? { retryAt: Date.now() + 90_000 } : {};
        return { kind: "session", restarts: 0, lastExits: [], status: { ...own, ...retry } };
      });
      await route.fulfill({ json: { ...tree, children: [...tree.children, ...many] } });
    });
    await page.getByLabel("Token").fill(all);
    await page.keyboard.press("Enter");
    await rowOf(page, "support").getByText("1 restarting").waitFor({ timeout: WAIT });
    await rowOf(page, "support").getByText("4,999 hibernated").waitFor();
    expect(await page.getByRole("treeitem").count()).toBe(3);
    // The token only reads.
    await rowOf(page, "assistant").click();
    expect(await page.locator(".tree-actions").count()).toBe(0);
    await rowOf(page, "support").click();
    await page.keyboard.press("ArrowRight");
    await expect.poll(async () => await page.getByRole("treeitem").count()).toBeGreaterThan(10);
    await page.keyboard.press("End");
    await rowOf(page, "support / 4999").waitFor({ timeout: WAIT });
    expect(await page.evaluate("document.activeElement.textContent")).toContain("support / 4999");
    expect(await page.getByRole("treeitem").count()).toBeLessThan(80);
    await page.keyboard.press("/");
    await page.keyboard.type("restarting");
    await rowOf(page, "support / 4321")
      .getByText(/tries again in 1 min \d\d s/)
      .waitFor({ timeout: WAIT });
    await picture(watched, "tree-many-dark");
    await expectAccessible(page, "many sessions in dark colours");
    expect(complaints.filter((text) => !text.includes("403"))).toEqual([]);
  }, 120_000);
});
