/* Another application that is stopped while it takes a lock; when it goes on, it ends. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileLocks } from "../../src/journal/sqlite/file-lock.ts";

const [config = ""] = process.argv.slice(2);
const folder = join(config, "castellan-locks");
mkdirSync(folder, { recursive: true });
const guard = (await fileLocks())(join(folder, "guard"));
if (guard === undefined) throw new Error("somebody has it");
process.stdout.write("held\n", () => {
  process.kill(process.pid, "SIGSTOP");
  guard.close();
});
