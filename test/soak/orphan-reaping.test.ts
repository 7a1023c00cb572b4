import { execFile, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const run = promisify(execFile);
const CONTAINER = ["--pid", "--fork", "--mount-proc"];
const host = fileURLToPath(new URL("first-process.ts", import.meta.url));

/** Whether this user may create a pid namespace, as a container has. */
const contains = spawnSync("unshare", [...CONTAINER, "true"]).status === 0;

async function inContainer(...command: string[]) {
  const { stdout, stderr } = await run("unshare", [...CONTAINER, ...command]);
  return { said: JSON.parse(stdout) as object, stderr };
}

test.skipIf(!contains)("NO_INIT: is emitted once when Node.js is process 1 of a container", async () => {
  const { said, stderr } = await inContainer(process.execPath, host);
  expect(said).toEqual({ pid: 1, isNode: true, reaps: false, zombies: 1 });
  expect(stderr.match(/NO_INIT/g)).toHaveLength(1);
  expect(stderr).toContain("run an init as the first process: `docker run --init`");
});

test.skipIf(!contains)("NO_INIT: is emitted below a Node.js that is process 1, as with `npm start`", async () => {
  const npm = 'require("node:child_process").spawn(process.execPath, process.argv.slice(1), { stdio: "inherit" })';
  const { said, stderr } = await inContainer(process.execPath, "-e", npm, "--", host);
  expect(said).toMatchObject({ isNode: true, reaps: false, zombies: 1 });
  expect(stderr.match(/NO_INIT/g)).toHaveLength(1);
});

test.skipIf(!contains)("NO_INIT: is not emitted below a process 1 that reaps orphans", async () => {
  const { said, stderr } = await inContainer("sh", "-c", '"$0" "$1"; true', process.execPath, host);
  expect(said).toMatchObject({ isNode: false, reaps: true, zombies: 0 });
  expect(stderr).not.toContain("NO_INIT");
});
