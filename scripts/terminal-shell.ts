import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TmuxScreen } from "../test/soak/tmux-screen.ts";

const ROOT = join(import.meta.dirname, "..");

/**
 * Calls `use` with the command of a shell, in a temporary folder that has `config` as its `castellan.config.ts`. In this shell,
 * `castellan` is the command line of this checkout.
 *
 * @throws Error if tmux is not installed
 */
export async function withShell<Result>(config: string, use: (shell: string) => Promise<Result>): Promise<Result> {
  if (!(await TmuxScreen.isThere())) throw new Error("tmux is not installed");
  const folder = await mkdtemp(join(tmpdir(), "castellan-terminal-"));
  try {
    await writeFile(join(folder, "castellan.config.ts"), config);
    const shell = [
      "PS1='$ '",
      `cd ${folder}`,
      `castellan() { NO_COLOR=1 ${process.execPath} ${join(ROOT, "src/cli/main.ts")} "$@"; }`,
      "bind 'set enable-bracketed-paste off'",
    ];
    await writeFile(join(folder, "shell"), `${shell.join("\n")}\n`);
    return await use(`bash --noprofile --rcfile ${join(folder, "shell")} -i`);
  } finally {
    await rm(folder, { recursive: true });
  }
}
