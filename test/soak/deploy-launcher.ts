import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/* Starts a release for each line of its input, with the listening socket that it has as descriptor 3, as systemd would. */

const host = fileURLToPath(new URL("deploy-host.ts", import.meta.url));
createInterface(process.stdin)
  .on("line", (line) => {
    const child = spawn(process.execPath, [host, line], { stdio: ["ignore", "inherit", "inherit", 3] });
    children.add(child);
    child.once("exit", () => children.delete(child));
  })
  .on("close", () => {
    for (const child of children) child.kill("SIGTERM");
  });
const children = new Set<ReturnType<typeof spawn>>();
