import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { type JournalOptions, type Session, Supervisor } from "../src/index.ts";
import type { Contender } from "./contender.ts";

/** Castellan with a journal. @param ask sends a prompt to a session. Default: `query` */
export function castellan(
  name: string,
  journal: () => JournalOptions,
  ask: (session: Session, prompt: string) => Promise<unknown> = (session, prompt) => session.query(prompt),
): Contender {
  return {
    name,
    open: async (backend, count) => {
      const names = Array.from({ length: count }, () => randomUUID());
      const supervisor = await Supervisor.start(
        names.map((name) => ({ name })),
        { journal: journal(), defaults: backend.options },
      );
      if (supervisor.notStarted.length > 0) throw new Error(`not started: ${JSON.stringify(supervisor.notStarted)}`);
      const sessions = names.map((name) => supervisor.session(name));
      return {
        ask: async (index, prompt) => {
          const session = sessions[index];
          if (session !== undefined) await ask(session, prompt);
        },
        read: async (index, prompt) => {
          let count = 0;
          for await (const _ of sessions[index]?.stream(prompt) ?? []) count += 1;
          return count;
        },
        close: () => supervisor.stop(),
      };
    },
  };
}

/** Sends a prompt that is on disk before it runs, and awaits the end of its turn. */
export async function enqueue(session: Session, prompt: string): Promise<void> {
  const turn = await session.turn(await session.enqueue(prompt));
  await turn?.result();
}

/** Castellan with its default journal, a SQLite file. */
export function castellanOnSqlite(directory: string): Contender {
  return castellan("Castellan", () => sqlite(directory));
}

/** A journal in a new file. */
export function sqlite(directory: string): { sqlite: string } {
  return { sqlite: join(directory, `${randomUUID()}.db`) };
}
