import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Browser, Locator, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CastellanClient } from "../../src/client/index.ts";
import { type MockApi, mockApi } from "../../src/testing/index.ts";
import { RunningCommand } from "../cli/command-line.ts";
import { freePort } from "../free-port.ts";
import { PostgresServer } from "../journal/postgres-server.ts";
import { chromiumWithPages, expectAccessible, picture, Served, WAIT, watchedPage } from "./dashboard-page.ts";

/* The page of the cluster: three nodes of `castellan serve` with the real Claude Code, on one PostgreSQL. */

const LIBRARY = pathToFileURL(join(import.meta.dirname, "../../src/index.ts")).href;

let chromium: Browser;
let server: PostgresServer;

beforeAll(async () => {
  [chromium, server] = await Promise.all([chromiumWithPages(), PostgresServer.start()]);
}, 120_000);
afterAll(async () => {
  await chromium.close();
  await server?.remove();
});

describe("the dashboard's cluster", () => {
  test("shows nodes and owners, moves a session, and tells of a lost node, a drained one and a lost database", async () => {
    await using api = await mockApi();
    const where = server.fresh();
    await using nodes = await Nodes.start(api, where, ["one", "two", "three"]);
    const client = nodes.client("one");
    const names = ["ann", "bob", "cy"].map((user) => ({ global: ["support", user] }) as const);
    for (const name of names) await client.session(name).query(`I am ${name.global[1]}`);
    await client.session(names[0] ?? "").describe({ title: "Bills" });
    const watched = await watchedPage(chromium, `${nodes.url("one")}/dashboard/`);
    const { page, complaints } = watched;
    await page.getByRole("navigation", { name: "Pages" }).getByText("Cluster").click();
    await nodeCard(page, "three").getByText("Alive").waitFor({ timeout: WAIT });
    expect(await page.locator(".node").count()).toBe(3);
    await nodeCard(page, "one").getByText("this server").waitFor();
    await nodeCard(page, "two").getByText("zone=b").waitFor();
    await nodeCard(page, "one").getByText(`Node.js ${process.versions.node}`).waitFor();
    await page
      .locator(".card", { hasText: "Database" })
      .getByText(/^PostgreSQL \d+/)
      .waitFor({ timeout: WAIT });
    await page
      .locator(".card", { hasText: "Journal" })
      .getByText(/^SQLite 3\.\d+/)
      .waitFor();

    // Owners are those of the database, and searchable.
    for (const name of names) await ownerShown(page, client, name.global[1]);
    const owned = async (node: string): Promise<number> =>
      (await Array.fromAsync(client.globalSessions())).filter((session) => session.node === node).length;
    for (const node of ["one", "two", "three"]) {
      const count = nodeCard(page, node).locator("button.link");
      await count.getByText(String(await owned(node)), { exact: true }).waitFor({ timeout: WAIT });
    }
    const busiest = (await client.listGlobalSessions()).sessions.find(({ node }) => node !== undefined)?.node ?? "";
    await nodeCard(page, busiest)
      .getByText(/Claude Code 2\.1\.\d+/)
      .waitFor({ timeout: WAIT });
    await expectAccessible(page, "the cluster");
    await picture(watched, "cluster", { full: true });
    await page.getByLabel("Search names, titles, labels and nodes").fill("user=bob");
    await page.waitForURL("**/cluster?q=user%3Dbob");
    expect(await page.locator(".owners tbody tr").count()).toBe(1);
    await page.getByLabel("Search names, titles, labels and nodes").fill("nobody");
    await page.getByText("No session matches.").waitFor();
    await page.getByLabel("Search names, titles, labels and nodes").fill("");

    // A move.
    const before = await ownerOf(client, "ann");
    await page.getByRole("button", { name: "Move support / ann" }).click();
    await page.getByRole("heading", { name: "Move support / ann?" }).waitFor();
    await expectAccessible(page, "the question before a move");
    await picture(watched, "cluster-move");
    const choice = page.locator(".dialog.move .menu-item").first();
    const target = await choice.locator("b").innerText();
    expect(target).not.toBe(before);
    await choice.click();
    await page.getByText(`support / ann is on ${target}.`).waitFor({ timeout: WAIT });
    await ownerRow(page, "ann").getByText(target, { exact: true }).waitFor();
    expect(await ownerOf(client, "ann")).toBe(target);
    const [ann] = names;
    expect((await client.session(ann ?? "").query("What did I just say?")).text).toContain("I am ann");

    // A node is lost while a session moves to it.
    const lost = (await ownerOf(client, "bob")) === "three" ? "two" : "three";
    await page.getByRole("button", { name: "Move support / bob" }).click();
    await page.locator(".dialog.move .menu-item", { hasText: lost }).waitFor();
    await nodes.kill(lost);
    await page.locator(".dialog.move .menu-item", { hasText: lost }).click();
    await ownerRow(page, "bob").getByText(`moving to ${lost}…`).waitFor();
    await nodeCard(page, lost).getByText("Dead", { exact: true }).waitFor({ timeout: WAIT });
    await page.locator(".problems").getByText(`${lost} is dead.`).waitFor();
    await page.getByText(`support / bob has not moved to ${lost}`).waitFor({ timeout: 2 * WAIT });
    expect((await client.session(names[1] ?? "").query("again")).text).toBe("You said: again");
    await ownerShown(page, client, "bob");
    await page.locator(".costs-cards .card.bad", { hasText: "Nodes" }).getByText("1 dead").waitFor();
    await expectAccessible(page, "a lost node");
    await picture(watched, "cluster-lost", { full: true });

    // This server's node drains, and the page says so. Another server has the page as well.
    await nodeCard(page, "one").getByRole("button", { name: "Drain" }).click();
    await page.getByRole("heading", { name: "Drain one?" }).waitFor();
    await page.locator("dialog").getByRole("button", { name: "Drain" }).click();
    await page.getByText("one has drained", { exact: true }).waitFor({ timeout: 2 * WAIT });
    await expectAccessible(page, "a drained node");
    const left = lost === "two" ? "three" : "two";
    const other = await watchedPage(chromium, `${nodes.url(left)}/dashboard/cluster`, { dark: true });
    await nodeCard(other.page, left).getByText("Alive").waitFor({ timeout: WAIT });
    await other.page.locator('.node[data-node="one"]').waitFor({ state: "detached" });
    for (const { global } of names) await ownerShown(other.page, nodes.client(left), global[1]);
    await picture(other, "cluster-dark", { full: true });

    // The database is lost.
    await server.end("crash");
    await other.page.locator(".card.bad", { hasText: "Database" }).getByText("Fault").waitFor({ timeout: WAIT });
    await other.page
      .locator(".problems")
      .getByText(/Sessions that are not global go on\./)
      .waitFor();
    await expectAccessible(other.page, "a lost database");
    await picture(other, "cluster-no-database");
    // Browsers log what the server refuses: the failed move, and requests to what has stopped.
    const refused = /^Failed to load resource: the server responded with a status of (?:400|503) /;
    expect([...complaints, ...other.complaints].filter((text) => !refused.test(text))).toEqual([]);
  }, 300_000);

  test("is hidden without one", async () => {
    await using api = await mockApi();
    await using served = await Served.start(api, [{ name: "assistant", activation: "lazy" }]);
    const watched = await watchedPage(chromium, `${served.url}/dashboard/cluster`);
    const { page, complaints } = watched;
    await page.getByText("No cluster").waitFor({ timeout: WAIT });
    expect(await page.getByRole("navigation", { name: "Pages" }).getByText("Cluster").count()).toBe(0);
    await expectAccessible(page, "no cluster");
    await picture(watched, "cluster-none");
    await page.getByRole("link", { name: "Show all sessions" }).click();
    await page.getByText("assistant").first().waitFor();
    expect(complaints).toEqual([]);
  }, 120_000);
});

const nodeCard = (page: Page, name: string): Locator => page.locator(`.node[data-node="${name}"]`);

const ownerRow = (page: Page, user: string): Locator =>
  page.locator(".owners tbody tr", { hasText: `support / ${user}` });

async function ownerOf(client: CastellanClient, user: string): Promise<string | undefined> {
  const { sessions } = await client.listGlobalSessions({ prefix: ["support", user] });
  return sessions[0]?.node;
}

/** Resolves once the page shows who owns a session. */
async function ownerShown(page: Page, client: CastellanClient, user: string): Promise<void> {
  const owner = (await ownerOf(client, user)) ?? "in the database only";
  await ownerRow(page, user).getByText(owner, { exact: true }).waitFor({ timeout: WAIT });
}

/** Nodes of `castellan serve`. */
class Nodes implements AsyncDisposable {
  readonly #nodes = new Map<string, { readonly url: string; readonly process: RunningCommand }>();

  static async start(api: MockApi, where: object, names: readonly string[]): Promise<Nodes> {
    const nodes = new Nodes();
    await Promise.all(names.map((name, index) => nodes.#start(api, where, name, "abc".charAt(index))));
    return nodes;
  }

  url(name: string): string {
    return this.#nodes.get(name)?.url ?? "";
  }

  client(name: string): CastellanClient {
    return new CastellanClient({ url: this.url(name) });
  }

  async kill(name: string): Promise<void> {
    const node = this.#nodes.get(name);
    node?.process.child.kill("SIGKILL");
    await node?.process.ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#nodes.keys()].map((name) => this.kill(name)));
  }

  async #start(api: MockApi, where: object, name: string, zone: string): Promise<void> {
    const folder = join(api.cwd, name);
    await mkdir(folder);
    const cluster = {
      ...where,
      ...{ name, labels: { zone }, maxProcesses: 4, advertise: "http://127.0.0.1:0", secret: "s".repeat(32) },
      ...{ beat: "300ms", staleAfter: "3s", margin: "500ms", patience: "10s" },
    };
    const options = { name: "shop", cluster, journal: { sqlite: "castellan.db" } };
    const defaults = { cwd: folder, env: api.env };
    const config = `import { global, template } from ${JSON.stringify(LIBRARY)};
export default {
  ...${JSON.stringify(options)},
  defaults: ${JSON.stringify(defaults)},
  children: [template(global("support"), (user) => ({ labels: { user } })), { name: "local", activation: "lazy" }],
};
`;
    await writeFile(join(folder, "castellan.config.mjs"), config);
    const url = `http://127.0.0.1:${await freePort()}`;
    const process = new RunningCommand(["serve", "--json", "--listen", new URL(url).host], { cwd: folder });
    this.#nodes.set(name, { url, process });
    await process.firstLine();
  }
}
