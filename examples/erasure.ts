import { createWriteStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { CastellanError, type ErasureReport, type ExportedLine, type Supervisor } from "castellan";

// #region erase
export async function eraseUser(supervisor: Supervisor, userId: number): Promise<ErasureReport> {
  const report = await supervisor.eraseSession(["support", userId]);
  for (const { what, where, why } of report.left) console.warn(`${what} in ${where} was left: ${why}`);
  return report;
}
// #endregion

// #region again
export async function eraseForGood(supervisor: Supervisor, userId: number): Promise<boolean> {
  try {
    await supervisor.eraseSession(["support", userId], { memory: true }); // no other session uses its working directory
    return true;
  } catch (error) {
    if (CastellanError.is(error, "JOURNAL_UNAVAILABLE")) return false; // nothing is lost: try again later
    if (CastellanError.is(error, "ERASURE_INCOMPLETE")) {
      console.error("still there:", error.details.remaining);
      return false;
    }
    throw error;
  }
}
// #endregion

// #region export
export async function exportUser(supervisor: Supervisor, userId: number, path: string): Promise<void> {
  await pipeline(supervisor.exportSession(["support", userId]), createWriteStream(path));
}
// #endregion

// #region read
export async function promptsOf(supervisor: Supervisor, userId: number): Promise<string[]> {
  const prompts: string[] = [];
  for await (const line of supervisor.exportSession(["support", userId])) {
    const entry = JSON.parse(line) as ExportedLine;
    if (entry.type !== "turn") continue;
    const isJson = entry.promptKind?.endsWith("_json") === true;
    prompts.push(isJson ? JSON.parse(entry.prompt).beginning : entry.prompt);
  }
  return prompts;
}
// #endregion

// #region clear
export async function endChat(supervisor: Supervisor, userId: number): Promise<void> {
  await supervisor.terminateSession(["support", userId], { conversation: "clear" });
}
// #endregion
