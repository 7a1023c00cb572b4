import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, CDPSession, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { dashboard } from "../../src/dashboard/index.ts";
import type { Change } from "../../src/index.ts";
import type { EventEntry } from "../../src/journal/model/event-entry.ts";
import { sqliteJournal } from "../../src/journal/sqlite/sqlite-journal.ts";
import { nameKey } from "../../src/names.ts";
import { type FakeClaude, fakeClaude } from "../../src/testing/index.ts";
import { run } from "../session-on-fake/application.ts";
import { chromiumWithPages, WAIT, watchedPage } from "./dashboard-page.ts";

/* How the page shows long records, in Chromium, whose graphics are computed by the processor here. */

let chromium: Browser;

beforeAll(async () => {
  chromium = await chromiumWithPages();
});
afterAll(async () => await chromium.close());

const EVENTS = 50_000;
const NAME = "assistant";
const TURN = 8;

/** The event of a number: turns with texts in Markdown, and tools with their results. */
function eventOf(number: number): EventEntry {
  const turn = `01980000-0000-7000-8000-${String(Math.floor(number / TURN)).padStart(12, "0")}`;
  const words = `Step **${number}** reads \`src/part-${number}.ts\`, and finds:\n\n- one thing\n- [another](https://docs.example/${number})\n\n${"seven letters ".repeat(number % 40)}`;
  const types = ["turn_accepted", "turn_started", "text", "tool_use", "tool_result", "text", "thinking", "turn_ended"];
  const type = types[number % TURN] ?? "text";
  const bodies: Readonly<Record<string, EventEntry["body"]>> = {
    turn_accepted: { origin: "caller", prompt: `Do step ${number}.`, by: "ann" },
    turn_started: { attempt: 1 },
    text: { text: words, block: `b${number}` },
    thinking: { text: words, block: `b${number}` },
    tool_use: { id: `toolu_${number}`, name: "Bash", input: { command: `make part-${number}`, description: "Build" } },
    tool_result: { toolUseId: `toolu_${number - 1}`, output: "built\n".repeat(20), failed: number % 5_000 === 4 },
    turn_ended: { state: "completed", costUsd: 0.01, durationMs: 4_200 },
  };
  return {
    session: nameKey(NAME),
    number,
    at: Date.now() - (EVENTS - number) * 1_000,
    type,
    turn,
    body: { v: 1, ...bodies[type] },
  };
}

/** A supervisor whose session has a long record, and its page. */
class LongRecord implements AsyncDisposable {
  readonly url: string;
  readonly note: (count: number) => Promise<void>;
  readonly #end: () => Promise<void>;

  private constructor(url: string, note: (count: number) => Promise<void>, end: () => Promise<void>) {
    this.url = url;
    this.note = note;
    this.#end = end;
  }

  static async start(): Promise<LongRecord> {
    const folder = await mkdtemp(join(tmpdir(), "castellan-long-record-"));
    const sqlite = join(folder, "castellan.db");
    await fill(sqlite);
    const fake: FakeClaude = fakeClaude();
    const supervisor = await run({ fake, journal: sqliteJournal({ sqlite }) }, [{ name: NAME }]);
    const page = dashboard(supervisor, { auth: false });
    const server = createServer((request, response) => page.listener(request, response));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const session = supervisor.session(NAME);
    const note = async (count: number): Promise<void> => {
      const all = Array.from({ length: count }, (_, index) =>
        session.note({ kind: "step", data: { text: `Step ${index} is done.` } }),
      );
      await Promise.all(all);
    };
    const end = async (): Promise<void> => {
      page.drain();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await supervisor.stop();
      await rm(folder, { recursive: true });
    };
    return new LongRecord(`http://127.0.0.1:${port}/dashboard/sessions/%22${NAME}%22`, note, end);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end();
  }
}

async function fill(sqlite: string): Promise<void> {
  const journal = sqliteJournal({ sqlite });
  await journal.open({ id: "filling", pid: process.pid, host: "here", startedAt: 0 });
  for (let first = 1; first <= EVENTS; first += 1_000) {
    const changes = Array.from(
      { length: 1_000 },
      (_, index): Change => ({ type: "event_appended", event: eventOf(first + index) }),
    );
    await journal.write({ number: Math.ceil(first / 1_000), changes, durable: false });
  }
  await journal.close();
}

/** Returns how much memory the page's objects take, in megabytes, and how many elements it has. */
async function memoryOf(
  page: Page,
  devtools: CDPSession,
): Promise<{ readonly heap: number; readonly elements: number }> {
  await devtools.send("HeapProfiler.collectGarbage");
  const { metrics } = await devtools.send("Performance.getMetrics");
  const heap = metrics.find(({ name }) => name === "JSHeapUsedSize")?.value ?? Number.NaN;
  return { heap: heap / 1e6, elements: await page.evaluate<number>("document.querySelectorAll('*').length") };
}

const shown = (page: Page, number: number): Promise<void> =>
  page.locator(`[id="event-${number}"]`).first().waitFor({ state: "attached", timeout: WAIT });

/** Resolves once an expression is true, which is looked at in each frame: the page's policy forbids `waitForFunction`. */
async function until(page: Page, expression: string): Promise<void> {
  const wait = `new Promise((resolve) => {
    const begun = performance.now();
    const look = () => {
      if (${expression}) resolve(true);
      else if (performance.now() - begun > ${WAIT}) resolve(false);
      else requestAnimationFrame(look);
    };
    look();
  })`;
  expect(await page.evaluate<boolean>(wait), expression).toBe(true);
}

/** Notes when the first events have been painted. */
const PAINTED = `{
  const look = () => {
    if (document.querySelector(".record .item") === null) requestAnimationFrame(look);
    else requestAnimationFrame(() => setTimeout(() => { globalThis.painted = performance.now(); }));
  };
  requestAnimationFrame(look);
}`;

/** Makes, lays out and removes elements, as a page does. Returns how long that takes at best, in milliseconds. */
const LAY_OUT = `(() => {
  let best = Infinity;
  for (let round = 0; round < 15; round++) {
    const begun = performance.now();
    const root = document.createElement("div");
    for (let item = 0; item < 5000; item++) {
      const part = document.createElement("p");
      part.textContent = "item " + item + " of a list that is laid out";
      root.append(part);
    }
    document.body.append(root);
    void root.offsetHeight;
    root.remove();
    best = Math.min(best, performance.now() - begun);
  }
  return best;
})()`;

/**
 * What that takes on a machine that opens the record in 312 ms at best, by the figures of one that needs 591 ms and 159 ms.
 * The 500 ms are those of that machine.
 */
const LAID_OUT_MS = 84;

/** Returns how many times as slow this machine's browser is; 1 if it is as fast, or faster. */
async function slownessOf(page: Page): Promise<number> {
  return Math.max(1, (await page.evaluate<number>(LAY_OUT)) / LAID_OUT_MS);
}

/** Scrolls up until the record begins. Returns the most items and elements that the document had. */
const SCROLL_BACK = `(async () => {
  let [items, elements] = [0, 0];
  for (;;) {
    scrollTo(0, 0);
    await new Promise((resolve) => requestAnimationFrame(resolve));
    items = Math.max(items, document.querySelectorAll(".record .item").length);
    elements = Math.max(elements, document.querySelectorAll("*").length);
    if (document.querySelector(".record-top")?.textContent?.includes("begins") === true) return { items, elements };
  }
})()`;

describe("a long record on the dashboard", () => {
  test("opens within 500 ms, scrolls back through 50,000 events and on with bounded memory, and finds each by its address", async () => {
    await using record = await LongRecord.start();
    const { page, complaints } = await watchedPage(chromium, record.url);
    await page.context().addInitScript(PAINTED);
    const opened: number[] = [];
    for (let load = 0; load < 5; load++) {
      await page.goto("about:blank");
      await page.goto(record.url);
      await shown(page, EVENTS);
      await until(page, "globalThis.painted > 0");
      opened.push(await page.evaluate<number>("globalThis.painted"));
    }
    const slowness = await slownessOf(page);
    console.log(
      `opened within ${opened.map(Math.round).join(", ")} ms, on a machine ${slowness.toFixed(2)} times as slow`,
    );
    const devtools = await page.context().newCDPSession(page);
    await devtools.send("Performance.enable");
    const before = await memoryOf(page, devtools);
    const begun = performance.now();
    const most = await page.evaluate<{ items: number; elements: number }>(SCROLL_BACK);
    const seconds = (performance.now() - begun) / 1_000;
    await shown(page, 2);
    const after = await memoryOf(page, devtools);
    console.log(
      `scrolled back in ${seconds.toFixed(1)} s: at most ${most.items} items, ${most.elements} elements; ` +
        `heap ${before.heap.toFixed(1)} MB, then ${after.heap.toFixed(1)} MB`,
    );
    expect(most.items).toBeLessThanOrEqual(600);
    expect(after.heap).toBeLessThan(before.heap + 15);

    // An address, on a fresh load: the event is in sight, and what is around it can be read.
    for (const number of [25_003, 2, EVENTS - 2_004]) {
      await page.goto("about:blank");
      await page.goto(`${record.url}#event-${number}`);
      const asked = page.locator(".item.asked");
      await asked.waitFor({ timeout: WAIT });
      expect(
        await asked
          .locator(`[id="event-${number}"]`)
          .or(page.locator(`.asked[id="event-${number}"]`))
          .count(),
      ).toBe(1);
      await until(
        page,
        "(({ top, bottom }) => top > 100 && bottom < innerHeight)(document.querySelector('.asked').getBoundingClientRect())",
      );
      await shown(page, number + 10);
    }
    // Down from the first events, page by page, and to the end.
    await page.goto("about:blank");
    await page.goto(`${record.url}#event-2`);
    await page.locator(".asked").waitFor({ timeout: WAIT });
    for (const number of [700, 1_000]) {
      await until(
        page,
        `(scrollTo(0, document.documentElement.scrollHeight), document.querySelector('[id="event-${number}"]') !== null)`,
      );
    }
    expect(await page.locator("[id='event-2']").count()).toBe(0);
    await page.getByRole("button", { name: "Latest" }).click();
    await shown(page, EVENTS);

    await page.goto("about:blank");
    await page.goto(`${record.url}#event-999999`);
    await page.getByText("Event 999,999 is not in the record").waitFor({ timeout: WAIT });
    // A link within the page.
    await page.goto(`${record.url}#event-25003`);
    await page.locator(".asked").waitFor({ timeout: WAIT });

    // A filter reads on until something is found.
    await page.goto("about:blank");
    await page.goto(`${record.url}?show=tools&failed=1`);
    await page.getByText("The record begins here").waitFor({ timeout: WAIT });
    expect(await page.locator(".item").count()).toBe(failures());
    expect(complaints).toEqual([]);
    // Another program on the machine makes loads late, but not all of them.
    expect(Math.min(...opened) / slowness).toBeLessThan(500);
  }, 240_000);

  test("keeps its memory over 100,000 live events, at its end and while somebody reads", async () => {
    await using record = await LongRecord.start();
    const { page, complaints } = await watchedPage(chromium, record.url);
    await shown(page, EVENTS);
    const devtools = await page.context().newCDPSession(page);
    await devtools.send("Performance.enable");
    const step = async (): Promise<void> => {
      for (let batch = 0; batch < 25; batch++) await record.note(1_000);
    };
    const last = async (): Promise<number> =>
      await page.evaluate<number>("Number([...document.querySelectorAll('.record-list .item')].at(-1).id.slice(6))");
    await record.note(1_000);
    await until(page, "Number([...document.querySelectorAll('.record-list .item')].at(-1)?.id.slice(6)) > 51000");
    const sizes = [await memoryOf(page, devtools)];
    for (let part = 1; part <= 4; part++) {
      // In the last part, somebody reads what is above.
      const place = part < 4 ? undefined : await page.evaluate<string>(READ_ABOVE);
      await step();
      if (place === undefined) {
        await until(
          page,
          `Number([...document.querySelectorAll('.record-list .item')].at(-1)?.id.slice(6)) > ${EVENTS + 1_000 + part * 25_000}`,
        );
      } else {
        await page.getByRole("button", { name: /Latest · [\d,]+ new/ }).waitFor({ timeout: WAIT });
        expect(await page.evaluate<string>(PLACE)).toBe(place);
      }
      sizes.push(await memoryOf(page, devtools));
    }
    console.log(sizes.map(({ heap, elements }) => `${heap.toFixed(1)} MB, ${elements} elements`).join("; "));
    const [first, ...others] = sizes;
    for (const { heap, elements } of others) {
      expect(heap).toBeLessThan((first?.heap ?? 0) + 10);
      expect(elements).toBeLessThan(12_000);
    }
    await page.getByRole("button", { name: /Latest/ }).click();
    await until(
      page,
      `Number([...document.querySelectorAll('.record-list .item')].at(-1)?.id.slice(6)) > ${EVENTS + 101_000}`,
    );
    expect(await last()).toBeGreaterThan(EVENTS + 101_000);
    expect(complaints).toEqual([]);
  }, 240_000);
});

/** The failed tools of the record. */
function failures(): number {
  return Array.from({ length: EVENTS }, (_, index) => eventOf(index + 1)).filter(({ body }) => body["failed"] === true)
    .length;
}

const PLACE = `(() => {
  const item = document.elementFromPoint(innerWidth / 2, innerHeight / 2).closest(".item");
  return item.id + " at " + Math.round(item.getBoundingClientRect().top);
})()`;

const READ_ABOVE = `(async () => {
  scrollBy(0, -2000);
  for (let frame = 0; frame < 3; frame++) await new Promise((resolve) => requestAnimationFrame(resolve));
  return ${PLACE};
})()`;
