import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const CONTENDER = fileURLToPath(new URL("./lock-contender.ts", import.meta.url));
const CONVERSATIONS = 3;

/** At most this many rounds pass between two kills. */
const KILL_EVERY = 60;
const LOOK_MS = 5;

export interface Contest {
  /** How often a conversation was locked. */
  readonly rounds: number;
  /** How many processes were killed while they held a lock. */
  readonly killedHolding: number;
  /** Log lines of each conversation with two simultaneous holders. */
  readonly violations: readonly string[];
}

/** Lets processes lock a few conversations at least `rounds` times, and kills one after another at random moments. */
export async function contest(home: string, { processes = 8, rounds = 1_000 } = {}): Promise<Contest> {
  const log = join(home, "log");
  writeFileSync(log, "");
  const conversations = Array.from({ length: CONVERSATIONS }, () => randomUUID());
  const start = (): ChildProcess =>
    spawn(process.execPath, [CONTENDER, home, log, ...conversations], { stdio: ["ignore", "ignore", "inherit"] });
  const running = Array.from({ length: processes }, start);
  const kill = (contender: ChildProcess): void => {
    appendFileSync(log, `kill - ${contender.pid}\n`);
    contender.kill("SIGKILL");
  };
  let next = 0;
  for (;;) {
    await delay(LOOK_MS);
    const soFar = readFileSync(log, "utf8");
    const done = roundsIn(soFar);
    if (done >= rounds) break;
    if (done < next) continue;
    next = done + Math.ceil(Math.random() * KILL_EVERY);
    // Half of the kills hit the process that wrote last, which is probably at work.
    const busy = Number(soFar.trimEnd().split(" ").at(-1));
    const index = Math.random() < 0.5 ? running.findIndex(({ pid }) => pid === busy) : -1;
    const [victim] = running.splice(index < 0 ? Math.floor(Math.random() * running.length) : index, 1, start());
    if (victim !== undefined) kill(victim);
  }
  await Promise.all(
    running.map(async (contender) => {
      const gone = new Promise((resolve) => contender.once("exit", resolve));
      kill(contender);
      await gone;
    }),
  );
  return verdict(readFileSync(log, "utf8"));
}

function roundsIn(log: string): number {
  return log.match(/^holds /gm)?.length ?? 0;
}

/**
 * Reads the log. A conversation has two holders when a process locks it while another, living one holds it, or when a killed
 * process goes on after another has locked it.
 */
export function verdict(log: string): Contest {
  const holders = new Map<string, string>();
  const killed = new Set<string>();
  const replaced = new Set<string>();
  const violations: string[] = [];
  let rounds = 0;
  let killedHolding = 0;
  for (const line of log.split("\n")) {
    const [what, conversation = "", pid = ""] = line.split(" ");
    const holder = holders.get(conversation);
    if (what === "kill") killed.add(pid);
    else if (what === "holds") {
      rounds += 1;
      if (holder !== undefined) {
        if (killed.has(holder)) killedHolding += 1;
        else violations.push(`${line}, which ${holder} holds`);
        replaced.add(`${conversation} ${holder}`);
      }
      holders.set(conversation, pid);
    } else if (replaced.has(`${conversation} ${pid}`) && holder !== pid)
      violations.push(`${line}, which ${holder} holds`);
    else if (what === "leaves") holders.delete(conversation);
  }
  return { rounds, killedHolding, violations };
}
