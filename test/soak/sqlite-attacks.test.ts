import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as after } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { canSlowDown } from "../journal/slow-disk.ts";
import { type Answer, Application, canMount, PrivateDisk } from "../journal/sqlite-application.ts";
import { accepting, turn } from "../journal/sqlite-scene.ts";
import { ATTACKS, type Attack } from "./sqlite-attacks.ts";

/*
 * Attacks the files of an open journal. At the next start everything acknowledged is there, or the application was told
 * that something is wrong. The prompt is long enough that the writes span several checkpoints.
 */

const BEFORE = 70;
const AFTER = 70;
const PROMPT = "x".repeat(80_000);

/** As long as a writer retries before it refuses, and how often it tries in that time. */
const TRIES = 12;
const PAUSE_MS = 50;

interface Story {
  /** The number of acknowledged batches that are missing. */
  readonly lost: number;
  readonly lostAfterAttack: number;
  readonly refused: number;
  /** Whether the last write was accepted. */
  readonly taken: boolean;
  /** The last refusal. */
  readonly refusal?: string;
  /** The result of the next start. */
  readonly start: string;
  /** The damage that the next start reported. */
  readonly damage: unknown;
}

const codeOf = (answer: Answer | undefined): string =>
  answer === undefined
    ? "gone"
    : answer.error === undefined
      ? "taken"
      : `${answer.error.details["reason"] ?? answer.error.code}`;

async function write(application: Application, number: number): Promise<Answer | undefined> {
  return await application.order({ do: "write", batch: accepting(number, turn(`t${number}`, { prompt: PROMPT })) });
}

/** Writes, attacks, writes again, ends the application, and returns what the next start finds. */
async function tell(attack: Attack, end: "kill" | "stop", writes = AFTER): Promise<Story> {
  const base = mkdtempSync(join(tmpdir(), "castellan-attack-"));
  const folder = join(base, "data");
  const path = join(folder, "castellan.db");
  mkdirSync(folder);
  await using disk = attack.disk === undefined ? undefined : await PrivateDisk.at(folder, attack.disk);
  const options = { within: disk?.within ?? [], env: attack.env?.(folder) ?? {} };
  const acknowledged: number[] = [];
  let refused = 0;
  let refusal: string | undefined;
  let last = "";
  try {
    await using application = new Application(path, options);
    expect(await application.order({ do: "open" })).toEqual({});
    for (let number = 1; number <= BEFORE; number += 1) {
      expect(await write(application, number)).toEqual({});
      acknowledged.push(number);
      if (number === BEFORE / 2 && disk === undefined) backUp(path, join(base, "backup"));
    }
    const pid = application.pid;
    const run = (...command: string[]): void => disk?.run(...command);
    const takeBack = await attack.attack({ path, pid, backup: join(base, "backup"), run });
    for (let number = BEFORE + 1; number <= BEFORE + writes; number += 1) {
      for (let tried = 0; tried < TRIES; tried += 1) {
        const answer = await write(application, number);
        last = codeOf(answer);
        if (last === "taken" || last === "gone") break;
        refused += 1;
        refusal = answer?.error?.message;
        await after(PAUSE_MS);
      }
      if (last !== "taken") break;
      acknowledged.push(number);
    }
    if (end === "stop") await application.order({ do: "close" });
    await application.kill();
    await takeBack?.();
    await using next = new Application(path, options);
    const start = codeOf(await next.order({ do: "open" }));
    const damage = (await next.order({ do: "damage" }))?.value;
    const turns = acknowledged.map((number) => `t${number}`);
    const found = (await next.order({ do: "find", turns }))?.value as string[] | undefined;
    const lost = acknowledged.filter((number) => !found?.includes(`t${number}`));
    const lostAfterAttack = lost.filter((number) => number > BEFORE).length;
    return {
      lost: lost.length,
      lostAfterAttack,
      refused,
      taken: last === "taken",
      start,
      damage,
      ...(refusal !== undefined && { refusal }),
    };
  } finally {
    rmSync(base, { recursive: true, force: true });
  }
}

function backUp(path: string, backup: string): void {
  using copying = new DatabaseSync(path, { readOnly: true });
  copying.exec(`VACUUM INTO '${backup}'`);
  for (const part of ["-wal", "-shm"]) copyFileSync(path + part, backup + part);
}

const isPossible = (attack: Attack): boolean =>
  (attack.disk === undefined || canMount) && (attack.env === undefined || canSlowDown);

describe.concurrent("SQLite journal under attack", {
  timeout: 120_000,
}, () => {
  for (const attack of ATTACKS) {
    for (const end of ["kill", "stop"] as const) {
      it.skipIf(!isPossible(attack))(
        `keeps what it acknowledged, or refuses: ${attack.name}; then a ${end}`,
        async () => {
          const story = await tell(attack, end);
          if (process.env["TELL_ATTACKS"]) console.log(`${attack.name}; ${end}: ${JSON.stringify(story)}`);
          expect(story.lostAfterAttack, JSON.stringify(story)).toBe(0);
          if (story.refused === 0)
            expect(story, "without having refused anything").toMatchObject({ lost: 0, taken: true });
          if (attack.harmless === true) expect(story).toMatchObject({ lost: 0, taken: true, start: "taken" });
        },
      );
    }
  }

  for (const attack of ATTACKS.filter(({ leavesNothing }) => leavesNothing !== true)) {
    for (const end of ["kill", "stop"] as const) {
      it.skipIf(!isPossible(attack))(
        `reports what it lost without a further write: ${attack.name}; then a ${end}`,
        async () => {
          const story = await tell(attack, end, 0);
          if (process.env["TELL_ATTACKS"]) console.log(`${attack.name}, no write; ${end}: ${JSON.stringify(story)}`);
          const reported = story.start !== "taken" || story.damage !== undefined;
          expect(reported || story.lost === 0, JSON.stringify(story)).toBe(true);
          if (attack.harmless === true) expect(story).toMatchObject({ lost: 0, start: "taken" });
        },
      );
    }
  }

  it("meets at least forty attacks", () => expect(ATTACKS.length).toBeGreaterThanOrEqual(40));
});
