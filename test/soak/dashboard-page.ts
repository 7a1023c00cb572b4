import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import axe from "axe-core";
import { type Browser, chromium, type Locator, type Page } from "playwright-core";
import { expect } from "vitest";
import { CastellanClient } from "../../src/client/index.ts";
import type { MockApi } from "../../src/testing/index.ts";
import { RunningCommand } from "../cli/command-line.ts";
import { freePort } from "../free-port.ts";
import { chromiumPath } from "./browser.ts";

/** Starts a headless Chromium. */
export async function chromiumWithPages(): Promise<Browser> {
  return await chromium.launch({ executablePath: chromiumPath(), args: ["--no-sandbox"] });
}

/** A page, and whatever went wrong in it. */
export interface WatchedPage {
  readonly page: Page;
  /** Errors, warnings, and violations of the policy. */
  readonly complaints: string[];
  /** The hosts that the page has asked. */
  readonly hosts: Set<string>;
}

/** Opens a page and notes what goes wrong, except requests that fail because the server is away or asks for a login. */
export async function watchedPage(
  browser: Browser,
  url: string,
  { width = 1280, height = 800, dark = false }: { width?: number; height?: number; dark?: boolean } = {},
): Promise<WatchedPage> {
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: dark ? "dark" : "light",
    reducedMotion: "reduce",
    timezoneId: "Asia/Kolkata",
  });
  const page = await context.newPage();
  const complaints: string[] = [];
  const hosts = new Set<string>();
  page.on("console", (message) => {
    const text = message.text();
    const isExpected = /^Failed to load resource: (?:net::ERR_|the server responded with a status of 401)/.test(text);
    if (["error", "warning"].includes(message.type()) && !isExpected)
      complaints.push(`${text} ${message.location().url}`);
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => hosts.add(new URL(request.url()).host));
  await page.goto(url);
  return { page, complaints, hosts };
}

/** Expects that axe finds nothing wrong with what the page shows. */
export async function expectAccessible(page: Page, what: string): Promise<void> {
  await page.evaluate(axe.source);
  const violations = await page.evaluate<{ id: string; nodes: { html: string }[] }[]>(
    "axe.run(document).then(({ violations }) => violations.map(({ id, nodes }) => ({ id, nodes: nodes.map(({ html, failureSummary }) => ({ html, failureSummary })) })))",
  );
  expect(violations, what).toEqual([]);
}

const SHOTS = join(import.meta.dirname, "../../reports/dashboard");

/** Keeps pictures of the page at three sizes in reports/dashboard, with `DASHBOARD_SHOTS=1`. @param options.full with what is below the fold */
export async function picture({ page }: WatchedPage, name: string, { full = false } = {}): Promise<void> {
  if (process.env["DASHBOARD_SHOTS"] === undefined) return;
  await mkdir(SHOTS, { recursive: true });
  for (const width of [1280, 768, 390]) {
    await page.setViewportSize({ width, height: width === 390 ? 844 : 800 });
    await page.screenshot({ path: join(SHOTS, `${name}-${width}.png`), fullPage: full });
  }
  await page.setViewportSize({ width: 1280, height: 800 });
}

/** How long a change may take to be seen, in milliseconds. */
export const WAIT = 30_000;

/** Where Claude Code works, and how it reaches a model. */
type Home = Pick<MockApi, "cwd" | "env">;

/** `castellan serve`, which can end and start again at the same address. */
export class Served implements AsyncDisposable {
  readonly url: string;
  readonly #api: Home;
  #process: RunningCommand;

  private constructor(api: Home, url: string, process: RunningCommand) {
    this.#api = api;
    this.url = url;
    this.#process = process;
  }

  /** @param options of the supervisor */
  static async start(api: Home, children: readonly object[], options: object = {}): Promise<Served> {
    const config = {
      journal: { sqlite: "castellan.db" },
      ...options,
      children,
      defaults: { cwd: api.cwd, env: api.env, includePartialMessages: true, approvals: true },
    };
    await writeFile(join(api.cwd, "castellan.config.json"), JSON.stringify(config));
    const url = `http://127.0.0.1:${await freePort()}`;
    return new Served(api, url, await begin(api, url));
  }

  get client(): CastellanClient {
    return new CastellanClient({ url: this.url });
  }

  clientWith(token: string): CastellanClient {
    return new CastellanClient({ url: this.url, token });
  }

  async end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    this.#process.child.kill(signal);
    await this.#process.ended;
  }

  async again(): Promise<void> {
    this.#process = await begin(this.#api, this.url);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end("SIGTERM");
  }
}

async function begin(api: Home, url: string): Promise<RunningCommand> {
  const process = new RunningCommand(["serve", "--json", "--listen", new URL(url).host], { cwd: api.cwd });
  await process.firstLine();
  return process;
}

/** The row of a session. */
export const rowOf = (page: Page, name: string): Locator =>
  page.locator(".list-body .row", { has: page.getByRole("link", { name, exact: true }) });

/** Resolves once the row of a session has a text. */
export async function shows(page: Page, name: string, text: string | RegExp): Promise<void> {
  await rowOf(page, name).filter({ hasText: text }).waitFor({ timeout: WAIT });
}
