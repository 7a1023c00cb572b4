/* Another application, which stops itself while it holds the guard, and ends when it continues. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileLocks } from "../../src/journal/sqlite/file-lock.ts";

const [config = ""] = process.argv.slice(2);
const folder = join(config, "castellan-locks");
mkdirSync(folder, { recursive: true });
const guard = (await fileLocks())(join(folder, "guard"));
if (guard === undefined) throw new Error("the guard is held");
process.stdout.write("held\n", () => {
  process.kill(process.pid, "SIGSTOP");
  guard.close();
});
