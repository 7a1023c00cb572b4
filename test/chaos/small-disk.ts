import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmdirSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Mounting a file system that this process sees takes the superuser of Linux. */
export const mayMount: boolean = process.platform === "linux" && process.getuid?.() === 0;

const BLOCK = Buffer.alloc(2 ** 20);

/** A file system of its own that can be filled to the last byte. Where this process may not mount one, it is a folder and never full. */
export class SmallDisk implements Disposable {
  readonly folder: string = mkdtempSync(join(tmpdir(), "castellan-disk-"));
  wasFull = false;

  constructor(megabytes: number) {
    if (mayMount) execFileSync("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m`, "tmpfs", this.folder]);
  }

  /** Leaves no room. */
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

  /** Gives back what `fill` took. */
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
