import { BareSession } from "./bare-session.ts";
import type { Contender } from "./contender.ts";

/** The bare Agent SDK. */
export const bareSdk: Contender = {
  name: "bare SDK",
  open: async (backend, count) => {
    const sessions = Array.from({ length: count }, () => new BareSession(backend));
    await Promise.all(sessions.map(({ ready }) => ready));
    const ask = async (index: number, prompt: string): Promise<number> => (await sessions[index]?.ask(prompt)) ?? 0;
    return {
      ask: async (session, prompt) => {
        await ask(session, prompt);
      },
      read: ask,
      close: async () => {
        await Promise.all(sessions.map((session) => session.end()));
      },
    };
  },
};
