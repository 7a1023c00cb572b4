import { execFileSync, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { createInterface } from "node:readline";
import { CastellanError } from "../../src/errors.ts";
import type { Batch } from "../../src/journal/model/change.ts";
import { sqliteJournal } from "../../src/journal/sqlite/sqlite-journal.ts";

/*
 * An application with a journal in a process of its own, for tests that kill it, fill its disk or change its user. Each
 * line of its input is an order. Each line of its output is the answer.
 */

export type Order =
  | { readonly do: "open" | "close" }
  /** Returns the reason why the journal is read-only. */
  | { readonly do: "unwritable" }
  /** Returns the damage that the journal found. */
  | { readonly do: "damage" }
  | { readonly do: "write"; readonly batch: Batch }
  /** Returns the turns of these that the journal has. */
  | { readonly do: "find"; readonly turns: readonly string[] }
  /** Runs a command and waits for its end. */
  | { readonly do: "run"; readonly command: readonly string[] }
  /** Starts a command that inherits every inheritable descriptor, and returns its pid. */
  | { readonly do: "spawn"; readonly command: readonly string[] };

const journal = sqliteJournal({ sqlite: process.argv[2] ?? "" });
const owner = { id: randomUUID(), pid: process.pid, host: hostname(), startedAt: Math.round(performance.timeOrigin) };

for await (const line of createInterface(process.stdin)) {
  const answer = await execute(JSON.parse(line) as Order).then(
    (value) => ({ value }),
    ({ code, message, details }) => ({ error: { code, message, details } }),
  );
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

async function execute(order: Order): Promise<unknown> {
  switch (order.do) {
    case "open":
      return await journal.open(owner);
    case "close":
      return await journal.close();
    case "unwritable":
      return CastellanError.is(journal.unwritable, "JOURNAL_UNAVAILABLE")
        ? journal.unwritable.details.reason
        : undefined;
    case "damage":
      return journal.damage;
    case "write":
      return await journal.write(order.batch);
    case "find": {
      const found = await Promise.all(order.turns.map((id) => journal.turn(id)));
      return found.flatMap((turn) => (turn === undefined ? [] : [turn.id]));
    }
    case "run": {
      const [program = "", ...args] = order.command;
      execFileSync(program, args, { stdio: "ignore" });
      return undefined;
    }
    case "spawn": {
      const [program = "", ...args] = order.command;
      return spawn(program, args, { stdio: "inherit" }).pid;
    }
  }
}
