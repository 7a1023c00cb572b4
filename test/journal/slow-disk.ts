import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/*
 * A disk that takes its time: a library that is loaded before all others and lets a process wait whenever it waits for the disk.
 */
const SOURCE = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static void wait_for_disk(void) {
  const char *ms = getenv("SLOW_DISK_MS");
  long delay = ms ? atol(ms) : 0;
  struct timespec left = { delay / 1000, (delay % 1000) * 1000000 };
  while (nanosleep(&left, &left) != 0) {}
}

int fsync(int fd) {
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  wait_for_disk();
  return real(fd);
}

int fdatasync(int fd) {
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  wait_for_disk();
  return real(fd);
}
`;

let library: string | undefined;

/** Whether a slow disk can be had here: on Linux, with a C compiler. */
export const canSlowDown: boolean = (() => {
  if (process.platform !== "linux") return false;
  const folder = mkdtempSync(join(tmpdir(), "castellan-slow-disk-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, "slow.c"), SOURCE);
  try {
    const args = ["-shared", "-fPIC", "-o", join(folder, "slow.so"), join(folder, "slow.c"), "-ldl"];
    execFileSync("cc", args, { stdio: "pipe" });
    library = join(folder, "slow.so");
    return true;
  } catch {
    console.warn("Tests of slow disks are left out. They need a C compiler: apt-get install gcc libc6-dev");
    return false;
  }
})();

/** The environment of a process whose disk takes `ms` each time it has to write. */
export function slowDisk(ms: number): NodeJS.ProcessEnv {
  return { LD_PRELOAD: library, SLOW_DISK_MS: String(ms) };
}
