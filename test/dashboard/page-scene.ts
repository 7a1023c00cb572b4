import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Dashboard, dashboardOf } from "../../src/dashboard/dashboard.ts";
import type { DashboardOptions } from "../../src/dashboard/dashboard-options.ts";
import { PageFiles } from "../../src/dashboard/page-files.ts";
import type { ServerScene } from "../server/scene.ts";

export const ORIGIN = "http://127.0.0.1:4870";

/** The body of a file of the page. */
export const SCRIPT = `export const page = "${"castellan ".repeat(200)}";\n`;

/** Returns a dashboard of the scene's supervisor, with a page of one script. */
export async function dashboardOn(scene: ServerScene, options: Partial<DashboardOptions> = {}): Promise<Dashboard> {
  const folder = join(scene.folder, "page");
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "page.js"), SCRIPT);
  await writeFile(join(folder, "secret.txt"), "not a file of the page");
  return dashboardOf(scene.supervisor, { auth: scene.tokens, ...options }, new PageFiles(folder));
}

/** Returns a request as a browser with the page open makes it. */
export function pageRequest(path: string, init: RequestInit = {}): Request {
  const headers = new Headers(init.headers);
  if (!headers.has("origin") && init.method !== undefined && init.method !== "GET") headers.set("origin", ORIGIN);
  if (headers.get("origin") === "none") headers.delete("origin");
  if (!headers.has("host")) headers.set("host", new URL(ORIGIN).host);
  return new Request(`${ORIGIN}${path}`, { ...init, headers });
}

/** Logs in with a token. Returns the `Set-Cookie` and the `Cookie` of later requests. */
export async function loggedIn(
  page: Dashboard,
  token: string,
  base = "/dashboard",
): Promise<{ readonly set: string; readonly cookie: string }> {
  const answer = await page(pageRequest(`${base}/login`, { method: "POST", body: token }));
  const set = answer.headers.get("set-cookie") ?? "";
  return { set, cookie: set.split(";")[0] ?? "" };
}
