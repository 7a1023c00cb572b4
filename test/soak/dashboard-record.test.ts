import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type MessagesAnswer, type MessagesRequest, messagesApi } from "../../src/testing/index.ts";
import { chromiumWithPages, expectAccessible, picture, Served, WAIT, watchedPage } from "./dashboard-page.ts";
import { noisePicture } from "./picture.ts";

/* The record of a session on the page of `castellan serve`, in Chromium, with the real Claude Code. */

let chromium: Browser;

beforeAll(async () => {
  chromium = await chromiumWithPages();
});
afterAll(async () => await chromium.close());

const HOSTILE = `<svg onload="document.title='owned'">`;

const ANSWER = `## What has changed

I have **renamed** the greeting in \`note.ts\`, and checked it with \`snake_case_name\`.

- [x] edit the file
- [ ] tell [the team](https://chat.example/room/7), not [them](javascript:alert(1))

| file | lines | state |
|:-----|------:|:-----:|
| note.ts | 3 | changed |
| picture.png | 0 | read |

\`\`\`ts
const greeting = "good day";
\`\`\`

> ${HOSTILE} stays text, and so does \u202e this.

![a diagram](https://images.example/diagram.png)
`;

/** The turns of the model: the tools that it uses one after the other, and its last words. */
function modelIn(cwd: string): (request: MessagesRequest) => MessagesAnswer {
  const file = join(cwd, "note.ts");
  const steps = [
    { name: "Read", input: { file_path: file } },
    {
      name: "Edit",
      input: { file_path: file, old_string: 'const greeting = "hello";', new_string: 'const greeting = "good day";' },
    },
    { name: "Bash", input: { command: "printf '\\033[31mred\\033[0m and plain\\n'", description: "Print colours" } },
    { name: "Read", input: { file_path: join(cwd, "picture.png") } },
    {
      name: "Agent",
      input: { description: "Count the lines", prompt: "subtask: count", subagent_type: "general-purpose" },
    },
    { name: "Bash", input: { command: "echo to the errors >&2; exit 3", description: "Fail" } },
  ];
  return ({ body: { messages } }) => {
    const blocks = messages.flatMap(({ content }) => (typeof content === "string" ? [] : content));
    const results = blocks.filter(({ type }) => type === "tool_result").length;
    const first = JSON.stringify(messages[0]?.content ?? "");
    if (first.includes("subtask: count")) {
      const count = { name: "Bash", input: { command: "wc -l note.ts", description: "Count" } };
      return results === 0 ? { text: "I count.", toolUses: [count] } : { text: "There are 3 lines." };
    }
    const prompt = blocks.findLast(
      ({ type, text }) => type === "text" && /Wait for long|everything|hello/.test(String(text)),
    );
    const asked = String(prompt?.["text"] ?? "");
    if (asked.includes("Wait for long"))
      return {
        text: "It takes long.",
        toolUses: [{ name: "Bash", input: { command: "tail -f /dev/null", description: "Wait" } }],
      };
    // Claude Code tells of the subagent's end in a turn of its own.
    if (!asked.includes("everything") || JSON.stringify(messages).includes("What has changed")) return { text: "done" };
    const step = steps[results];
    return step === undefined ? { text: ANSWER } : { text: `Step ${results + 1}.`, toolUses: [step] };
  };
}

const addressOf = (url: string): string => `${url}/dashboard/sessions/%22assistant%22`;
const noteOf = (page: Page, text: RegExp) =>
  page.locator(".note", { hasText: text }).first().waitFor({ timeout: WAIT });

describe("the record on the dashboard", () => {
  test("shows tools in their way, Markdown, an image, a subagent, an approval, a failure, a crash and the return", async () => {
    await using api = await messagesApi();
    api.model = modelIn(api.cwd);
    await writeFile(join(api.cwd, "note.ts"), '// A note.\nconst greeting = "hello";\nexport { greeting };\n');
    await writeFile(join(api.cwd, "picture.png"), noisePicture(48));
    const allowedTools = ["Read", "Bash", "Agent"];
    await using served = await Served.start(api, [{ name: "assistant", allowedTools }]);
    const session = served.client.session("assistant");
    const watched = await watchedPage(chromium, addressOf(served.url));
    const { page, complaints, hosts } = watched;
    await noteOf(page, /Started/);
    const turn = await session.enqueue(`Do **everything**. Do everything! ${HOSTILE}`);

    // The edit waits for an answer.
    const open = page.locator(".is-approval", { hasText: "Waits for an answer" });
    await open.waitFor({ timeout: WAIT });
    await open.locator("ins.diff-row", { hasText: "good day" }).waitFor();
    expect(await open.getByRole("link", { name: "Answer" }).getAttribute("href")).toBe("/dashboard/approvals");
    await page.locator(".is-tool .tag", { hasText: "waits for approval" }).waitFor({ timeout: WAIT });
    await picture(watched, "record-approval");
    await expectAccessible(page, "an open approval");
    const [approval] = await session.approvals();
    await session.approve(approval?.id ?? "");
    await page.locator(".outcome.is-approved", { hasText: /Approved by .* at/ }).waitFor({ timeout: WAIT });
    await session.wait(turn);
    // The turn that tells of the subagent's end may have completed, too.
    const end = page.locator(".turn-end", { hasText: /completed/ }).first();
    await end.waitFor({ timeout: WAIT });
    expect(await end.innerText()).toMatch(/\d s[\s\S]*\$[\d.]+[\s\S]*tokens in, [\d,]+ out/);

    // Each tool.
    const tool = (name: string, brief: string) =>
      page.locator(".is-tool details", { hasText: name }).filter({ hasText: brief }).first();
    const edit = tool("Edit", "note.ts");
    expect(await edit.locator("del.diff-row").innerText()).toContain('"hello"');
    expect(await edit.locator("ins.diff-row").innerText()).toContain('"good day"');
    const colours = tool("Bash", "printf");
    await colours.locator("summary").click();
    await colours.locator(".result", { hasText: "red and plain" }).waitFor();
    const image = tool("Read", "picture.png").locator("img");
    await image.scrollIntoViewIfNeeded();
    await image.waitFor({ timeout: WAIT });
    expect(
      await page.evaluate<number>(
        "(async () => { const image = document.querySelector('.image img'); await image.decode(); return image.naturalWidth; })()",
      ),
    ).toBe(48);
    expect(await image.getAttribute("src")).toMatch(/^blob:/);
    const failing = tool("Bash", "exit 3");
    await failing.locator(".tag.bad", { hasText: "failed" }).waitFor();
    await failing.locator("summary").click();
    await failing.locator(".result.failed", { hasText: "to the errors" }).waitFor();
    const inner = page.locator(".of-subagent");
    await inner.first().waitFor();
    expect(await inner.first().locator("header .tag").innerText()).toBe("Count the lines");
    expect(await inner.filter({ hasText: "wc -l note.ts" }).count()).toBe(1);

    // The answer, and what is not in it.
    const answer = page.locator(".is-text", { hasText: "What has changed" });
    expect(await answer.locator("th.to-right").innerText()).toBe("lines");
    expect(await answer.locator(".task").count()).toBe(2);
    expect(await answer.locator(".code code").innerText()).toBe('const greeting = "good day";');
    const links = await page.evaluate<string[]>(
      "[...document.querySelectorAll('.words a')].map(({ href, rel }) => href + ' ' + rel)",
    );
    expect(links).toEqual([
      "https://chat.example/room/7 noopener noreferrer",
      "https://images.example/diagram.png noopener noreferrer",
    ]);
    expect(await answer.innerText()).toContain(HOSTILE);
    expect(await answer.innerText()).toContain("\\u202e this");
    expect(await answer.innerText()).toContain("snake_case_name");
    expect(await page.locator("svg[onload], .words svg, .words img").count()).toBe(0);
    await answer.scrollIntoViewIfNeeded();
    await picture(watched, "record-answer");
    await edit.scrollIntoViewIfNeeded();
    await picture(watched, "record-tools");
    await expectAccessible(page, "a whole turn");

    // A crash in a turn, and the return.
    await session.enqueue("Wait for long.");
    await page.locator(".is-tool .tag.busy", { hasText: /running for/ }).waitFor({ timeout: WAIT });
    process.kill((await session.get()).status?.pid ?? 0, "SIGKILL");
    await noteOf(page, /SIGKILL/);
    await noteOf(page, /Restarted/);
    await page
      .locator(".is-tool", { hasText: "tail -f" })
      .locator(".tag", { hasText: "no result" })
      .first()
      .waitFor({ timeout: WAIT });
    await session.interrupt();
    await picture(watched, "record-crash");
    await expectAccessible(page, "a crash");

    // Only what failed, in the address.
    await page.getByRole("button", { name: "Failed", exact: true }).click();
    await page.waitForURL("**?failed=1");
    await page.locator(".is-text").first().waitFor({ state: "detached" });
    expect(await page.locator(".is-tool", { hasText: "exit 3" }).count()).toBe(1);
    expect(await page.locator(".is-tool", { hasText: "printf" }).count()).toBe(0);
    await page.reload();
    await noteOf(page, /SIGKILL/);
    expect(await page.locator(".is-text").count()).toBe(0);
    await picture(watched, "record-failed");
    await page.getByRole("button", { name: "Failed", exact: true }).click();
    await page.getByRole("button", { name: "Approvals", exact: true }).click();
    await page.waitForURL("**?show=approvals");
    await page.locator(".is-tool").first().waitFor({ state: "detached" });
    expect(await page.locator(".item").count()).toBe(1);
    await page.getByRole("button", { name: "Approvals", exact: true }).click();

    // Hibernated and woken; new events wait while the reader pauses.
    await page.getByRole("button", { name: "Pause" }).click();
    await page.waitForURL("**?paused=1");
    const answers = page.locator(".is-text", { hasText: /^.*done$/ });
    const before = await answers.count();
    await session.query("hello");
    await page.getByRole("button", { name: /Resume \(\d+ new\)/ }).waitFor({ timeout: WAIT });
    expect(await answers.count()).toBe(before);
    await picture(watched, "record-paused");
    await session.hibernate();
    await session.wake();
    await page.getByRole("button", { name: /Resume/ }).click();
    await noteOf(page, /Hibernated/);
    await noteOf(page, /Woken/);
    await page
      .locator(".turn-end", { hasText: /completed/ })
      .nth(1)
      .waitFor({ timeout: WAIT });

    expect(await page.title()).not.toContain("owned");
    expect([...hosts].filter((host) => host !== "")).toEqual([new URL(served.url).host]);
    expect(complaints).toEqual([]);
    expect(api.errors).toEqual([]);
  }, 240_000);
});
