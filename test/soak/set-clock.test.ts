import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, it } from "vitest";

/** From Debian's package `libfaketime`. */
const LIBRARY = ["x86_64", "aarch64"]
  .map((machine) => `/usr/lib/${machine}-linux-gnu/faketime/libfaketimeMT.so.1`)
  .find((path) => existsSync(path));

const HOST = new URL("./shifted-host.ts", import.meta.url).pathname;

it.skipIf(LIBRARY === undefined)(
  "timers: fire neither early, late, twice nor never when the clock is set or daylight saving time changes",
  { timeout: 180_000 },
  async () => {
    const directory = mkdtempSync(join(tmpdir(), "castellan-clock-"));
    const file = join(directory, "offset");
    writeFileSync(file, "+0");
    const child = spawn(process.execPath, [HOST, file], {
      stdio: ["ignore", "pipe", "inherit"],
      env: {
        ...process.env,
        TZ: "Europe/Berlin",
        LD_PRELOAD: LIBRARY,
        FAKETIME_TIMESTAMP_FILE: file,
        FAKETIME_NO_CACHE: "1",
        FAKETIME_DONT_FAKE_MONOTONIC: "1",
        DONT_FAKE_MONOTONIC: "1",
        NO_FAKE_STAT: "1",
      },
    });
    const reports: { trial: string; faults: string[]; figures: object }[] = [];
    for await (const line of createInterface(child.stdout)) {
      reports.push(JSON.parse(line));
      console.log(line);
    }
    rmSync(directory, { recursive: true });
    expect(reports.filter(({ faults }) => faults.length > 0)).toEqual([]);
    expect(reports.length).toBe(2 + 4 * 4 + 2 + 1);
  },
);
