import { readdirSync, readFileSync } from "node:fs";
import { firstProcessIsNode, reapsOrphans } from "../../src/claude/orphan-reaping.ts";
import { systemClock } from "../../src/clock.ts";
import { Supervisor } from "../../src/index.ts";

/*
 * An application that is process 1 of a container. It reports what it finds. Two supervisors, so that a double warning
 * would show.
 */

for (const name of ["one", "two"]) await (await Supervisor.start([], { name, journal: "memory" })).stop();
const reaps = await reapsOrphans(systemClock);
const states = readdirSync("/proc")
  .filter((entry) => /^\d+$/.test(entry))
  .map((pid) =>
    readFileSync(`/proc/${pid}/stat`, "latin1")
      .replace(/^.*\) /s, "")
      .slice(0, 1),
  );
const zombies = states.filter((state) => state === "Z").length;
console.log(JSON.stringify({ pid: process.pid, isNode: firstProcessIsNode(), reaps, zombies }));
