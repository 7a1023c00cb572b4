import { join } from "node:path";

/** Has the tests of a run share in `folder` what each would make anew. */
export function shareCaches(folder: string): void {
  process.env["POSTGRES_TEMPLATE"] = join(folder, "postgres-template");
  // Processes of tests load the sources in half the CPU time once one of them has ended.
  process.env["NODE_COMPILE_CACHE"] = join(folder, "compile-cache");
}
