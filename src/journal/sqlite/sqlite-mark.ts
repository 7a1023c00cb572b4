import { readFileSync } from "node:fs";
import { checksumOf } from "./sqlite-checksum.ts";

/** How much has been written to a journal: how often it has been opened to be written, and the last batch since then. */
export interface Extent {
  readonly openings: number;
  readonly written: number;
}

/**
 * The same, as it stands in a file of its own beside the journal, without waiting for the disk: it outlives the application, and tells the next
 * one what the journal had that is not there any more.
 */
export interface Mark extends Extent {
  /** The last batch that the disk was waited for. */
  readonly durable: number;
  /** Which run of the machine it was; empty if that is not known. */
  readonly boot: string;
}

/** Where the mark of the journal at `path` stands. */
export function markPath(path: string): string {
  return `${path}-written`;
}

/** As long each time, so that one can be written over another. */
export function textOf({ openings, written, durable, boot }: Mark): string {
  const text = `${openings} ${written} ${durable} ${boot || "-"}`;
  return `${`${text} ${checksumOf(text)}`.padEnd(127)}\n`;
}

/** What is marked for the journal at `path`; `undefined` if nothing is, or it is not what was written. */
export function readMark(path: string): Mark | undefined {
  let text: string;
  try {
    text = readFileSync(markPath(path), "utf8").trimEnd();
  } catch {
    return undefined;
  }
  const [, said = "", openings, written, durable, boot, checksum] =
    /^((\d+) (\d+) (\d+) (\S+)) (\d+)$/.exec(text) ?? [];
  if (checksum !== String(checksumOf(said))) return undefined;
  return {
    openings: Number(openings),
    written: Number(written),
    durable: Number(durable),
    boot: boot === "-" || boot === undefined ? "" : boot,
  };
}

/** What a journal lacks of what was written to it, in words, if it lacks something. */
export function missingFrom(found: Extent, mark: Mark | undefined, boot: string): string | undefined {
  if (mark === undefined || found.openings > mark.openings) return undefined;
  // A loss of power takes what the disk was not waited for.
  const kept = mark.boot !== "" && mark.boot === boot ? mark.written : mark.durable;
  if (found.openings === mark.openings) {
    const missing = kept - found.written;
    return missing > 0 ? `the last ${missing} of the ${kept} batches that were written to it are gone` : undefined;
  }
  const powerless = mark.boot !== boot && mark.durable === 0 && found.openings === mark.openings - 1;
  if (powerless) return undefined;
  return found.openings === 0
    ? "what was written to it before is gone"
    : "it is an older copy, and what was written after that is gone";
}

/** Which run of the machine this is; empty where the system does not say. */
export function bootOf(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return "";
  }
}
