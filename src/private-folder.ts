import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/**
 * Creates a folder with mode 0700 unless it exists. It has a `.gitignore`, so that prompts are not committed, and
 * appears only when it is complete.
 */
export function makeFolder(folder: string): void {
  if (existsSync(folder)) return;
  mkdirSync(dirname(folder), { recursive: true });
  const unfinished = mkdtempSync(`${folder}-`);
  try {
    writeFileSync(join(unfinished, ".gitignore"), "*\n");
    renameSync(unfinished, folder);
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true });
    // Another process has created it first.
    if (!existsSync(folder)) throw error;
  }
}
