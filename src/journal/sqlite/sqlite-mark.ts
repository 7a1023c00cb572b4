import { readFileSync } from "node:fs";
import { checksumOf } from "./sqlite-checksum.ts";

/** Progress of a journal: the number of its openings for writing, and of the last batch since the last opening. */
export interface Extent {
  readonly openings: number;
  readonly written: number;
}

/**
 * The same in a file beside the journal, written without waiting for the disk. It outlives the application, so the next
 * one can tell what the journal has lost.
 */
export interface Mark extends Extent {
  /** The last batch for which the disk was waited. */
  readonly durable: number;
  /** Boot id of the machine; "" if unknown. */
  readonly boot: string;
}

/** Returns the path of a journal's mark. */
export function markPath(path: string): string {
  return `${path}-written`;
}

/** Has a fixed length, so that one mark can overwrite another. */
export function formatMark({ openings, written, durable, boot }: Mark): string {
  const text = `${openings} ${written} ${durable} ${boot || "-"}`;
  return `${`${text} ${checksumOf(text)}`.padEnd(127)}\n`;
}

/** Reads the mark of a journal; undefined if there is none or it is damaged. */
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

/** Returns what a journal has lost, or undefined. */
export function missingFrom(found: Extent, mark: Mark | undefined, boot: string): string | undefined {
  if (mark === undefined || found.openings > mark.openings) return undefined;
  // A power loss takes the writes that did not wait for the disk.
  const kept = mark.boot !== "" && mark.boot === boot ? mark.written : mark.durable;
  if (found.openings === mark.openings) {
    const missing = kept - found.written;
    return missing > 0 ? `the last ${missing} of its ${kept} batches are gone` : undefined;
  }
  const powerless = mark.boot !== boot && mark.durable === 0 && found.openings === mark.openings - 1;
  if (powerless) return undefined;
  return found.openings === 0 ? "its earlier contents are gone" : "it is an older copy, and later writes are gone";
}

/** Returns the boot id of the machine; "" where the system has none. */
export function machineBootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return "";
  }
}
