import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Browser, Locator, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type MessagesAnswer,
  type MessagesRequest,
  type MockApi,
  messagesApi,
  mockApi,
} from "../../src/testing/index.ts";
import { castellan } from "../cli/command-line.ts";
import {
  chromiumWithPages,
  expectAccessible,
  picture,
  Served,
  WAIT,
  type WatchedPage,
  watchedPage,
} from "./dashboard-page.ts";

/* The page of approvals in Chromium, with the real Claude Code. `DASHBOARD_SHOTS=1` keeps pictures in reports/dashboard. */

const HOSTILE = `<img src=x onerror="document.title='owned'">`;

const QUESTIONS = [
  {
    question: "Which library?",
    header: "Library",
    options: [
      { label: "date-fns", description: "Small, and made of functions" },
      { label: "luxon", description: "Complete", preview: "DateTime.now().plus({ days: 1 })" },
    ],
    multiSelect: false,
  },
  {
    question: "Which tests?",
    header: "Tests",
    options: [
      { label: "unit", description: "Fast" },
      { label: "end to end", description: "Slow" },
      { label: "load", description: "Slower" },
    ],
    multiSelect: true,
  },
];

let chromium: Browser;

beforeAll(async () => {
  chromium = await chromiumWithPages();
});
afterAll(async () => await chromium.close());

const cardOf = (page: Page, session: string): Locator =>
  page.locator(".approval", { has: page.getByRole("link", { name: session, exact: true }) });

const openCardOf = (page: Page, session: string): Locator => cardOf(page, session).and(page.locator(".is-open"));

async function opened(served: Served, options: Parameters<typeof watchedPage>[2] = {}): Promise<WatchedPage> {
  const watched = await watchedPage(chromium, `${served.url}/dashboard/approvals`, options);
  await watched.page.locator(".link-dot.is-live").waitFor({ timeout: WAIT });
  return watched;
}

/** Has the model read a file and then edit it, since Claude Code edits no file that has not been read. */
function editing(api: MockApi, path: string): void {
  const texts = { old_string: "const a = 1;\nconst b = 2;", new_string: "const a = 1;\nconst b = 3;\nconst c = 4;" };
  api.reply("edit", { toolUses: [{ name: "Read", input: { file_path: path } }] });
  api.reply(
    ({ prompt, toolResults }) => prompt === "edit" && toolResults.some(({ text }) => text.includes("const a")),
    { toolUses: [{ name: "Edit", input: { file_path: path, ...texts } }] },
  );
}

/** Makes a token, and returns it with its id. */
async function tokenIn(cwd: string, scopes: readonly string[]): Promise<{ token: string; id: string }> {
  const { stdout } = await castellan(["token", "create", "--scope", ...scopes, "--json"], { cwd });
  return JSON.parse(stdout) as { token: string; id: string };
}

async function loggedIn(served: Served, token: string): Promise<WatchedPage> {
  const watched = await watchedPage(chromium, `${served.url}/dashboard/approvals`);
  await watched.page.getByLabel("Token").fill(token);
  await watched.page.keyboard.press("Enter");
  await watched.page.locator(".link-dot.is-live").waitFor({ timeout: WAIT });
  return watched;
}

describe("the page of approvals", () => {
  test("the keyboard alone allows, denies with a reason, ticks a suggestion and answers questions", async () => {
    await using api = await mockApi();
    const path = join(api.cwd, "source.ts");
    await writeFile(path, "const a = 1;\nconst b = 2;\n");
    const command = "touch made && echo it is made";
    api.reply("make", { toolUses: [{ name: "Bash", input: { command, description: "Make a file" } }] });
    editing(api, path);
    api.reply("ask", { toolUses: [{ name: "AskUserQuestion", input: { questions: QUESTIONS } }] });
    const names = ["builder", "editor", "asker"];
    await using served = await Served.start(
      api,
      names.map((name) => ({ name })),
    );
    const watched = await opened(served);
    const { page, complaints, hosts } = watched;
    await page.getByText("Nothing waits for a decision").waitFor({ timeout: WAIT });
    await expectAccessible(page, "no approvals");
    await picture(watched, "approvals-empty");

    // Approvals appear at once, the oldest first, and their number in the bar and in the title.
    const made = await served.client.session("builder").enqueue("make");
    await cardOf(page, "builder").waitFor({ timeout: WAIT });
    const edited = await served.client.session("editor").enqueue("edit");
    await cardOf(page, "editor").waitFor({ timeout: WAIT });
    const asked = await served.client.session("asker").enqueue("ask");
    await cardOf(page, "asker").waitFor({ timeout: WAIT });
    expect(await page.locator(".approval h2 a").allInnerTexts()).toEqual(names);
    await page.locator(".bar .count").getByText("3", { exact: true }).waitFor();
    await expect.poll(() => page.title()).toMatch(/^\(3\) Approvals/);
    await cardOf(page, "builder").getByText("Turn of local: make").waitFor({ timeout: WAIT });
    await cardOf(page, "builder")
      .getByText(/denied by itself in (?:9|10) min/)
      .waitFor();
    await expectAccessible(page, "three approvals");
    await picture(watched, "approvals");

    // The keys are told.
    await page.keyboard.press("?");
    await page.getByRole("heading", { name: "Keys of this page" }).waitFor();
    await expectAccessible(page, "the keys");
    await page.keyboard.press("a");
    await page.keyboard.press("Escape");
    expect(await openCardOf(page, "builder").count()).toBe(1);

    // A command is allowed. Typing the letter elsewhere decides nothing.
    await page.keyboard.press("a");
    await cardOf(page, "builder").getByText("Allowed by you").waitFor({ timeout: WAIT });
    expect((await served.client.session("builder").wait(made)).reply?.text).toContain("it is made");
    expect(existsSync(join(api.cwd, "made"))).toBe(true);

    // An edit is denied, and the model is told why.
    await page.keyboard.press("j");
    expect(await page.evaluate("document.activeElement.id")).toBe(await cardOf(page, "editor").getAttribute("id"));
    const diff = openCardOf(page, "editor").locator(".diff");
    expect(await diff.locator("ins").allInnerTexts()).toEqual(["const b = 3;", "const c = 4;"]);
    await page.keyboard.press("d");
    await page.keyboard.type("a dad says: use let");
    await picture(watched, "approvals-reason");
    await expectAccessible(page, "a reason");
    await page.keyboard.press("Enter");
    await cardOf(page, "editor").getByText("Denied by you").waitFor({ timeout: WAIT });
    expect((await served.client.session("editor").wait(edited)).reply?.text).toContain("a dad says: use let");
    expect(await readFile(path, "utf8")).toBe("const a = 1;\nconst b = 2;\n");

    // Questions are answered by number, and in other words.
    await page.keyboard.press("j");
    await page.keyboard.press("a");
    await page.getByText("Choose an answer first.").waitFor();
    await page.keyboard.press("2");
    await page.keyboard.press("1");
    await page.keyboard.press("3");
    await page.keyboard.press("o");
    await page.keyboard.type("add a jest test");
    await page.keyboard.press("Escape");
    await picture(watched, "approvals-question");
    await expectAccessible(page, "answers");
    await page.keyboard.press("a");
    await cardOf(page, "asker").getByText("Answered by you").waitFor({ timeout: WAIT });
    const { reply } = await served.client.session("asker").wait(asked);
    expect(reply?.text).toContain(`"Which library?"="luxon"`);
    expect(reply?.text).toContain(`"Which tests?"="unit, load, add a jest test"`);

    // A suggestion is ticked: the session does not ask again.
    const again = await served.client.session("editor").enqueue("edit");
    await openCardOf(page, "editor")
      .getByText("Edit files in the working directories without asking")
      .waitFor({ timeout: WAIT });
    await page.keyboard.press("j");
    await page.keyboard.press("1");
    await openCardOf(page, "editor").getByRole("button", { name: "Allow, with 1 change of permissions" }).waitFor();
    await page.keyboard.press("a");
    await served.client.session("editor").wait(again);
    expect(await readFile(path, "utf8")).toBe("const a = 1;\nconst b = 3;\nconst c = 4;\n");
    await writeFile(path, "const a = 1;\nconst b = 2;\n");
    await served.client.session("editor").query("edit");
    expect(await readFile(path, "utf8")).toBe("const a = 1;\nconst b = 3;\nconst c = 4;\n");

    // What has been decided is listed, and goes when somebody says so.
    await expect.poll(() => page.title(), { timeout: WAIT }).toMatch(/^Approvals/);
    expect(await page.locator(".bar .count").count()).toBe(0);
    await page.locator(".past li", { hasText: "a dad says: use let" }).waitFor({ timeout: WAIT });
    expect(await page.locator(".past li").count()).toBe(4);
    await picture(watched, "approvals-decided");
    await expectAccessible(page, "decided approvals");
    await page.getByRole("button", { name: "Dismiss 4 decided" }).click();
    await page.getByText("Nothing waits for a decision").waitFor();
    await page.reload();
    await page.locator(".past li", { hasText: "a dad says: use let" }).waitFor({ timeout: WAIT });
    expect([...hosts]).toEqual([new URL(served.url).host]);
    expect(complaints).toEqual([]);
  }, 180_000);

  test("a card stays where it is while a mouse button is pressed on it", async () => {
    await using api = await mockApi();
    api.reply("make", { toolUses: [{ name: "Bash", input: { command: "touch made" } }] });
    await using served = await Served.start(api, [{ name: "one" }, { name: "builder" }]);
    const { page } = await opened(served, { height: 460 });
    for (const name of ["one", "builder"]) {
      await served.client.session(name).enqueue("make");
      await openCardOf(page, name).waitFor({ timeout: WAIT });
    }
    const card = openCardOf(page, "builder");
    const button = card.getByRole("button", { name: "Allow" });
    // The end of the card is below the window: its selection would scroll it into view.
    const box = await button.boundingBox();
    if (box === null) throw new Error("The button is not on the page.");
    await page.evaluate(`scrollBy(0, ${box.y + box.height} - innerHeight + 2)`);
    const before = await button.boundingBox();
    await page.mouse.move(box.x + box.width / 2, (before?.y ?? 0) + box.height / 2);
    await page.mouse.down();
    await card.and(page.locator(".selected")).waitFor();
    const frames = "requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(resolve)))";
    await page.evaluate(`new Promise((resolve) => ${frames})`);
    expect(await button.boundingBox()).toEqual(before);
    await page.mouse.up();
    await cardOf(page, "builder").getByText("Allowed by you").waitFor({ timeout: WAIT });
    await served.client.session("one").interrupt();
  }, 120_000);

  test("of two operators one wins, and the other is told who decided what", async () => {
    await using api = await mockApi();
    api.reply("make", { toolUses: [{ name: "Bash", input: { command: "touch made" } }] });
    const scopes = ["read", "talk", "approve"];
    const [ann, bob, eve] = [
      await tokenIn(api.cwd, scopes),
      await tokenIn(api.cwd, scopes),
      await tokenIn(api.cwd, ["read"]),
    ];
    await using served = await Served.start(api, [{ name: "builder" }]);
    const pages = [await loggedIn(served, ann.token), await loggedIn(served, bob.token)] as const;
    const watching = await loggedIn(served, eve.token);
    const [one, other] = [pages[0].page, pages[1].page];
    const session = served.clientWith(ann.token).session("builder");

    // One decides: the card of the other stays where it is, and tells.
    const first = await session.enqueue("make");
    for (const { page } of [...pages, watching]) await openCardOf(page, "builder").waitFor({ timeout: WAIT });
    expect(await watching.page.getByRole("button", { name: /^Allow/ }).count()).toBe(0);
    await watching.page.getByText("You may look, but not decide").waitFor();
    await one.keyboard.press("d");
    await one.keyboard.type("not today");
    await one.keyboard.press("Enter");
    for (const { page } of [pages[1], watching]) {
      await cardOf(page, "builder").getByText(`Denied by token:${ann.id}`).waitFor({ timeout: WAIT });
      await cardOf(page, "builder").getByText("not today").waitFor();
    }
    await other.keyboard.press("a");
    expect((await session.wait(first)).reply?.text).toContain("not today");

    // Both decide at the same moment: the second answer is on its way when the first arrives.
    const second = await session.enqueue("make");
    for (const { page } of pages) await openCardOf(page, "builder").waitFor({ timeout: WAIT });
    const held = Promise.withResolvers<void>();
    await other.route("**/approve", async (route) => {
      await held.promise;
      await route.continue();
    });
    await openCardOf(other, "builder").getByRole("button", { name: "Allow" }).click();
    await cardOf(other, "builder").and(other.locator(".is-sent")).waitFor();
    await openCardOf(one, "builder").getByRole("button", { name: "Deny" }).click();
    await one.keyboard.press("Enter");
    await cardOf(one, "builder").getByText("Denied by you").nth(1).waitFor({ timeout: WAIT });
    held.resolve();
    const told = `Your answer came too late. Bash of builder: Denied by token:${ann.id}.`;
    await other.locator(".notice", { hasText: told }).waitFor({ timeout: WAIT });
    expect(await cardOf(other, "builder").getByText(`Denied by token:${ann.id}`).count()).toBe(2);
    await picture(pages[1], "approvals-late");
    await expectAccessible(other, "an answer that came too late");
    await session.wait(second);
    expect(existsSync(join(api.cwd, "made"))).toBe(false);
    expect([...pages, watching].flatMap(({ complaints }) => complaints)).toEqual([]);
  }, 180_000);

  test("shows hostile input exactly, changes an input, and tells what nobody has decided", async () => {
    await using api = await mockApi();
    const command = `echo safe; touch owned # ${HOSTILE}\u202e\u200b`;
    const reason = `<script>document.title='owned'</script>`;
    api.reply("hostile", { toolUses: [{ name: "Bash", input: { command, description: reason } }] });
    await using served = await Served.start(api, [
      { name: "builder" },
      { name: HOSTILE, approvals: { timeout: "4s" } },
    ]);
    const watched = await opened(served, { dark: true });
    const { page, complaints } = watched;
    const hostile = await served.client.session("builder").enqueue("hostile");
    const card = cardOf(page, "builder");
    await card.waitFor({ timeout: WAIT });
    const shown = (await card.locator(".long-text").first().innerText()).trimEnd();
    expect(shown).toBe(`echo safe; touch owned # ${HOSTILE}\\u202e\\u200b`);
    await card.getByText(reason).waitFor();
    await picture(watched, "approvals-hostile-dark");
    await expectAccessible(page, "hostile input in dark colours");

    // The operator changes the command before it runs.
    await card.getByRole("button", { name: "Change input" }).click();
    await page
      .getByLabel("Command", { exact: true })
      .and(page.locator("textarea"))
      .fill("echo harmless; touch harmless");
    await page.keyboard.press("Enter");
    await expectAccessible(page, "a changed input");
    await page.keyboard.press("Control+Enter");
    await card.getByText("Allowed by you").waitFor({ timeout: WAIT });
    await card.getByText("With another input.").waitFor();
    expect((await served.client.session("builder").wait(hostile)).reply?.text).toContain("harmless");
    expect([existsSync(join(api.cwd, "owned")), existsSync(join(api.cwd, "harmless"))]).toEqual([false, true]);

    // Nobody answers.
    const late = await served.client.session(HOSTILE).enqueue("hostile");
    await openCardOf(page, HOSTILE).locator(".time-left.soon").waitFor({ timeout: WAIT });
    await cardOf(page, HOSTILE).getByText("Denied, because nobody answered in time").waitFor({ timeout: WAIT });
    await served.client.session(HOSTILE).wait(late);
    await picture(watched, "approvals-expired-dark");

    // A server that dies withdraws what is open, and the page tells when it is back.
    await served.client.session("builder").enqueue("hostile");
    await openCardOf(page, "builder").waitFor({ timeout: WAIT });
    await served.end("SIGKILL");
    await page.locator(".banner").waitFor({ timeout: WAIT });
    await expectAccessible(page, "a lost connection");
    await served.again();
    await cardOf(page, "builder").getByText("Withdrawn").waitFor({ timeout: WAIT });
    expect(await page.locator("main img").count()).toBe(0);
    expect(await page.title()).toMatch(/^(?:\(\d+\) )?Approvals/);
    expect(complaints).toEqual([]);
  }, 180_000);

  test("a plan is read as text, goes back with what should change, and is approved", async () => {
    await using api = await messagesApi(planning);
    await using served = await Served.start(api, [{ name: "planner", permissionMode: "plan" }]);
    const watched = await opened(served);
    const { page, complaints } = watched;
    const session = served.client.session("planner");
    const turn = await session.enqueue("plan");
    // The list of sessions and the session itself lead to it.
    await page.getByRole("link", { name: "Fleet" }).click();
    await page.getByRole("link", { name: "1 for approval" }).click();
    await page.waitForURL("**/dashboard/approvals");
    await openCardOf(page, "planner").getByRole("link", { name: "planner", exact: true }).click();
    await page.getByRole("link", { name: "Decide" }).click();
    await page.waitForURL("**/dashboard/approvals?session=*");
    await page.getByRole("link", { name: "Only of planner. Show those of all sessions" }).waitFor();
    await openCardOf(page, "planner").locator(".long-text", { hasText: HOSTILE }).waitFor({ timeout: WAIT });
    expect(await page.getByRole("heading", { name: "Plan in planner" }).count()).toBe(1);
    await picture(watched, "approvals-plan");
    await expectAccessible(page, "a plan");
    await page.keyboard.press("d");
    await page.keyboard.type("tests first");
    await page.keyboard.press("Enter");
    expect((await session.wait(turn)).reply?.text).toContain("tests first");
    const again = await session.enqueue("plan");
    await openCardOf(page, "planner").getByRole("button", { name: "Approve the plan" }).click();
    expect((await session.wait(again)).reply?.text).toMatch(/approved/i);
    await expect.poll(async () => (await session.get()).status?.permissionMode).not.toBe("plan");
    expect(await page.locator("main img").count()).toBe(0);
    expect([api.errors, complaints]).toEqual([[], []]);
  }, 120_000);
});

/** A model that writes the plan file that Claude Code names, leaves plan mode, and repeats what that tool said. */
function planning({ body, texts }: MessagesRequest): MessagesAnswer {
  const since = body.messages.slice(body.messages.findLastIndex(({ role }) => role === "assistant") + 1);
  const last = JSON.stringify(since);
  if (!last.includes("tool_result")) {
    const path = texts
      .map(({ text }) => /create your plan at (\S+?\.md)|plan file already exists at (\S+?\.md)/.exec(text))
      .findLast(Boolean);
    const file = path?.[1] ?? path?.[2];
    if (file === undefined) return { text: "no plan mode" };
    return { toolUses: [{ name: "Write", input: { file_path: file, content: `# Plan\n\n1. ${HOSTILE}\n2. Tests` } }] };
  }
  const isWritten = /(?:File created|has been updated|The file)/.test(last) && !last.includes("tests first");
  return isWritten && !/approved/i.test(last) ? { toolUses: [{ name: "ExitPlanMode", input: {} }] } : { text: last };
}
