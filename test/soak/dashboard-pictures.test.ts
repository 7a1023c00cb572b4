import { chmod, mkdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { mockApi } from "../../src/testing/index.ts";
import { chromiumWithPages, rowOf, Served, shows, WAIT, watchedPage } from "./dashboard-page.ts";

/* The pictures of the guide, of a service with sessions in every state. `npm run docs:pictures` keeps them in docs/pictures. */

const FOLDER = join(import.meta.dirname, "../../docs/pictures");

let chromium: Browser;

beforeAll(async () => {
  chromium = await chromiumWithPages();
});
afterAll(async () => await chromium.close());

const REVIEW = `I have read the module. Two things stand out:

1. **Rounding.** \`total()\` adds floats, so 0.1 + 0.2 is off by a hair. Amounts belong in cents.
2. **Time zones.** An invoice of the last evening of a month counts for the next month in Tokyo.

| case | before | after |
|---|---|---|
| 3 × 0.10 | 0.30000000000000004 | 0.30 |
| Dec 31, 23:30 in Tokyo | January | December |`;

const TITLES = [
  "Refund for order 4711",
  "Invoice in another currency",
  "Cannot log in",
  "Delivery to an island",
  "Two orders, one parcel",
];

test("the pages show a service with sessions in every state", async () => {
  await using api = await mockApi();
  // A folder whose name readers of the guide can guess.
  const cwd = join(tmpdir(), "shop");
  await mkdir(cwd, { recursive: true });
  const source = join(cwd, "invoice.ts");
  await writeFile(
    source,
    "export const total = (lines: Line[]) =>\n  lines.reduce((sum, { price }) => sum + price, 0);\n",
  );
  const broken = join(api.cwd, "broken-claude");
  await writeFile(broken, "#!/bin/sh\necho 'config.json: unexpected end of input' >&2\nexit 3\n");
  await chmod(broken, 0o755);
  api.reply("Review the invoices", { text: REVIEW });
  api.reply("Fix the rounding", { toolUses: [{ name: "Read", input: { file_path: source } }] });
  api.reply(
    ({ prompt, toolResults }) =>
      prompt === "Fix the rounding" && toolResults.some(({ text }) => text.includes("total")),
    {
      toolUses: [
        {
          name: "Edit",
          input: {
            file_path: source,
            old_string: "sum + price, 0);",
            new_string: "sum + Math.round(price * 100), 0) / 100;",
          },
        },
      ],
    },
  );
  api.reply("Run the tests", {
    toolUses: [{ name: "Bash", input: { command: "npm test -- --coverage", description: "Run the tests" } }],
  });
  api.reply("Summarise the week", {
    text: Array.from({ length: 400 }, (_, word) => `word${word}`).join(" "),
    tokensPerSecond: 8,
  });
  await using served = await Served.start(
    api,
    [
      { name: "reviewer", title: "Reviews pull requests", cwd, labels: { team: "platform" } },
      { name: "fixer", title: "Repairs what the reviewer finds", labels: { team: "platform" } },
      { name: "tester", labels: { team: "platform" } },
      { name: "reporter", title: "The weekly report", labels: { team: "office" } },
      { name: "importer", title: "Nightly import", labels: { team: "office" }, pathToClaudeCodeExecutable: broken },
      { template: "support", sessions: { labels: { team: "support" }, idleTimeout: "10m" } },
    ],
    { name: "shop", capacity: { maxProcesses: 12 }, budget: { usd: 25, per: "day" } },
  );
  const { client } = served;
  for (const [index, title] of TITLES.entries()) {
    await client.session(["support", 4711 + index]).query("hello");
    await client.session(["support", 4711 + index]).describe({ title });
  }
  for (const index of [2, 3, 4]) await client.session(["support", 4711 + index]).hibernate();
  await client.session("reviewer").query("Review the invoices");
  await client.session("reviewer").enqueue("Fix the rounding");
  await client.session("tester").enqueue("Run the tests");
  await client.session("reporter").enqueue("Summarise the week");
  const watched = await watchedPage(chromium, `${served.url}/dashboard/`);
  const { page, complaints } = watched;
  const keep = async (name: string): Promise<void> => {
    if (process.env["DOCS_PICTURES"] === undefined) return;
    await mkdir(FOLDER, { recursive: true });
    await page.screenshot({ path: join(FOLDER, `${name}.png`) });
  };

  await shows(page, "importer", /quarantined/i);
  for (const name of ["reviewer", "tester"]) await shows(page, name, /waiting/i);
  await shows(page, "reporter", /busy/i);
  await shows(page, "support / 4715", /hibernated/i);
  await page.locator(".bar nav").getByText("2", { exact: true }).waitFor({ timeout: WAIT });
  await keep("fleet");

  await page.getByRole("link", { name: /^Approvals/ }).click();
  await page.locator("del.diff-row").first().waitFor({ timeout: WAIT });
  await page.getByText("npm test -- --coverage").first().waitFor({ timeout: WAIT });
  await keep("approvals");

  await page.getByRole("link", { name: "Tree", exact: true }).click();
  await page.getByRole("treeitem", { name: /importer/ }).click();
  await page.getByText("unexpected end of input").first().waitFor({ timeout: WAIT });
  await keep("tree");

  await page.getByRole("link", { name: "Costs", exact: true }).click();
  await page.getByRole("button", { name: "Session", exact: true }).click();
  await page.locator("tbody").getByText("reviewer").waitFor({ timeout: WAIT });
  await keep("costs");

  await page.getByRole("link", { name: "Fleet", exact: true }).click();
  await rowOf(page, "reviewer").getByRole("link", { name: "reviewer" }).click();
  await page.getByRole("cell", { name: "0.30000000000000004" }).waitFor({ timeout: WAIT });
  await keep("session");
  expect(complaints).toEqual([]);
  await rm(cwd, { recursive: true });
}, 180_000);
