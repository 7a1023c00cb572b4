import { join } from "node:path";
import { build } from "tsdown";
import { page } from "../../tsdown.config.ts";

/** Builds the page of the dashboard where the sources look for it, once for all tests. */
export default async function buildPage(): Promise<void> {
  await build({ ...page, config: false, cwd: join(import.meta.dirname, "../.."), logLevel: "error" });
}
