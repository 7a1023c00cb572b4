import { randomUUID } from "node:crypto";
import { type JournalOptions, type Session, Supervisor } from "../src/index.ts";
import type { Contender } from "./contender.ts";

/** Castellan with a journal. @param ask how a session is asked; default: by `query` */
export function castellan(
  name: string,
  journal: () => JournalOptions,
  ask: (session: Session, prompt: string) => Promise<unknown> = (session, prompt) => session.query(prompt),
): Contender {
  return {
    name,
    open: async (fake, count) => {
      const names = Array.from({ length: count }, () => randomUUID());
      const supervisor = await Supervisor.start(
        names.map((name) => ({ name })),
        { journal: journal(), defaults: { spawnClaudeCodeProcess: fake.spawn } },
      );
      const sessions = names.map((name) => supervisor.session(name));
      return {
        ask: async (index, prompt) => {
          const session = sessions[index];
          if (session !== undefined) await ask(session, prompt);
        },
        close: () => supervisor.stop(),
      };
    },
  };
}

/** Has the turn on disk before it runs, then waits for its end. */
export async function enqueue(session: Session, prompt: string): Promise<void> {
  const turn = await session.turn(await session.enqueue(prompt));
  await turn?.result();
}
