import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { CastellanError } from "../../src/errors.ts";
import type { Batch, Change } from "../../src/journal/model/change.ts";
import type { JournalOwner } from "../../src/journal/model/journal.ts";
import type { AcceptedTurn } from "../../src/journal/model/turn-entry.ts";

export const OWNER: JournalOwner = { id: "owner", pid: process.pid, host: "here", startedAt: 1_700_000_000_000 };

/** Returns a new folder, which the test's end removes. */
export function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "castellan-sqlite-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export function turn(id: string, changed: Partial<AcceptedTurn> = {}): AcceptedTurn {
  return { id, session: '"a"', prompt: "hello", position: 0, durable: true, acceptedAt: 1, ...changed };
}

/** Returns a batch that accepts turns. */
export function accepting(number: number, ...turns: AcceptedTurn[]): Batch {
  const changes = turns.map((one): Change => ({ type: "turn_accepted", turn: one }));
  return { number, changes, durable: number % 2 === 0 };
}

/** Returns the error with which `work` rejects. */
export async function errorOf(work: Promise<unknown>): Promise<CastellanError> {
  return await work.then(
    () => Promise.reject(new Error("It succeeded.")),
    (error) => error as CastellanError,
  );
}
