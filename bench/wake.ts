import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { Supervisor } from "../src/index.ts";
import { realClaude } from "./backend.ts";
import { BareSession } from "./bare-session.ts";
import { type Line, rowOf } from "./line.ts";
import { compete, timed } from "./rounds.ts";

const PROMPT = "What did I just say?";

/**
 * Measures the time from the query of a hibernated session to its reply. Compares it to `resume` on the bare SDK, from the call with the
 * prompt to the result. Both conversations grow by one turn per round.
 */
export const wake: Line = {
  name: "wake",
  rounds: 15,
  measure: async ({ rounds, directory }) => {
    const backend = await realClaude();
    const first = new BareSession(backend);
    await first.ask("Hello");
    await first.end();
    const name = randomUUID();
    const journal = { sqlite: join(directory, `${randomUUID()}.db`) };
    const supervisor = await Supervisor.start([{ name }], { journal, defaults: backend.options });
    const session = supervisor.session(name);
    await session.query("Hello");
    const resumed = async (): Promise<number> => {
      const since = performance.now();
      const again = new BareSession(backend, first.id);
      await again.ask(PROMPT);
      const ms = performance.now() - since;
      await again.end();
      return ms;
    };
    const woken = async (): Promise<number> => {
      await session.hibernate();
      return await timed(() => session.query(PROMPT));
    };
    const rivals = [
      { name: "bare SDK", round: resumed },
      { name: "Castellan", round: woken },
    ];
    const scores = await compete(rivals, rounds);
    await supervisor.stop();
    await backend.close();
    return [rowOf("wake to the reply", backend.name, "ms", scores, { atMost: 1.05 })];
  },
};
