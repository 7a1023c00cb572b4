import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmdirSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Whether this process may mount a file system, which needs root on Linux. */
export const mayMount: boolean = process.platform === "linux" && process.getuid?.() === 0;

const BLOCK = Buffer.alloc(2 ** 20);

/**
 * A file system of its own that can be filled to the last byte. Where this process may not mount one, it is a plain
 * folder that is never full.
 */
export class SmallDisk implements Disposable {
  readonly folder: string = mkdtempSync(join(tmpdir(), "castellan-disk-"));
  wasFull = false;

  constructor(megabytes: number) {
    if (mayMount) execFileSync("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m`, "tmpfs", this.folder]);
  }

  /** Writes until no byte is free. */
  fill(): void {
    if (!mayMount) return;
    this.wasFull = true;
    const file = openSync(this.#filler, "a");
    try {
      while (writeSync(file, BLOCK) > 0);
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "ENOSPC")) throw error;
    } finally {
      closeSync(file);
    }
  }

  /** Frees what `fill` took. */
  free(): void {
    rmSync(this.#filler, { force: true });
  }

  [Symbol.dispose](): void {
    this.free();
    if (mayMount) execFileSync("umount", ["--lazy", this.folder]);
    else rmSync(this.folder, { recursive: true });
    if (mayMount) rmdirSync(this.folder);
  }

  get #filler(): string {
    return join(this.folder, "filler");
  }
}
