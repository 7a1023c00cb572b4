import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/*
 * A slow or failing disk, as a library for LD_PRELOAD. It delays each fsync, and fails writes to a journal while a file
 * contains the number of an error.
 */
const SOURCE = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static int refused(int fd) {
  const char *flag = getenv("FAILING_DISK");
  FILE *file = flag ? fopen(flag, "r") : NULL;
  if (!file) return 0;
  int error = 0;
  if (fscanf(file, "%d", &error) != 1) error = 0;
  fclose(file);
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (error == 0 || length < 0) return 0;
  path[length] = 0;
  if (!strstr(path, "castellan.db")) return 0;
  errno = error;
  return 1;
}

ssize_t pwrite(int fd, const void *data, size_t count, off_t at) {
  ssize_t (*real)(int, const void *, size_t, off_t) = dlsym(RTLD_NEXT, "pwrite");
  return refused(fd) ? -1 : real(fd, data, count, at);
}

ssize_t pwrite64(int fd, const void *data, size_t count, off64_t at) {
  ssize_t (*real)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pwrite64");
  return refused(fd) ? -1 : real(fd, data, count, at);
}

static void wait_for_disk(void) {
  const char *ms = getenv("SLOW_DISK_MS"), *since = getenv("SLOW_DISK_SINCE");
  long delay = ms && (!since || access(since, F_OK) == 0) ? atol(ms) : 0;
  struct timespec left = { delay / 1000, (delay % 1000) * 1000000 };
  while (nanosleep(&left, &left) != 0) {}
}

int fsync(int fd) {
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  wait_for_disk();
  return refused(fd) ? -1 : real(fd);
}

int fdatasync(int fd) {
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  wait_for_disk();
  return refused(fd) ? -1 : real(fd);
}
`;

let library: string | undefined;

/** Whether this machine can simulate a slow disk: Linux with a C compiler. */
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

/** Returns the environment of a process whose every fsync takes `ms` longer, if there is a `flag` while that exists. */
export function slowDisk(ms: number, flag?: string): NodeJS.ProcessEnv {
  return { LD_PRELOAD: library, SLOW_DISK_MS: String(ms), ...(flag !== undefined && { SLOW_DISK_SINCE: flag }) };
}

/**
 * Returns the environment of a process whose disk fails writes to a journal while the file `flag` contains the number
 * of an error.
 */
export function failingDisk(flag: string): NodeJS.ProcessEnv {
  return { LD_PRELOAD: library, FAILING_DISK: flag };
}
