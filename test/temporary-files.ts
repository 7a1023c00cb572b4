import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { shareCaches } from "./shared-caches.ts";

/** A file system in memory on most Linux machines. Containers may have a small one. */
const MEMORY = "/dev/shm";
/** Several times what all tests need at one time, in bytes. */
const ENOUGH = 2e9;

/**
 * Gives a run of the tests a folder for temporary files, in memory if there is room: on a disk, a quarter of the time
 * goes into the creation of files and the synchronisation of throw-away databases. Tests in test/soak use the disk.
 *
 * @returns a function that removes the folder, with what killed processes have left in it
 */
export default function provideTemporaryFiles(): () => void {
  const folder = folderInMemory() ?? mkdtempSync(join(tmpdir(), "castellan-tests-"));
  // Some tests run programs of other users.
  chmodSync(folder, 0o1777);
  process.env["TMPDIR"] = folder;
  shareCaches(folder);
  return () => rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
}

function folderInMemory(): string | undefined {
  let folder: string | undefined;
  try {
    const { bavail, bsize } = statfsSync(MEMORY);
    if (bavail * bsize < ENOUGH) return undefined;
    folder = mkdtempSync(join(MEMORY, "castellan-tests-"));
    // Containers often forbid to execute files there, which tests do.
    const program = join(folder, "program");
    writeFileSync(program, "#!/bin/sh\n", { mode: 0o755 });
    execFileSync(program);
    rmSync(program);
    return folder;
  } catch {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
    return undefined;
  }
}
