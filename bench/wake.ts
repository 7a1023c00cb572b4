import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { Supervisor } from "../src/index.ts";
import { BareSession } from "./bare-session.ts";
import { realClaude } from "./ground.ts";
import { type Line, rowOf } from "./line.ts";
import { compete, timed } from "./rounds.ts";

const PROMPT = "What did I just say?";

/**
 * From asking a session that has no process to its reply; beside `resume` with the bare SDK, from the call, with the prompt at
 * hand, to the result. Both begin with nothing but a conversation, which grows by one turn a round on either side.
 */
export const wake: Line = {
  name: "wake",
  rounds: 15,
  measure: async ({ rounds, directory }) => {
    const ground = await realClaude();
    const first = new BareSession(ground);
    await first.ask("Hello");
    await first.end();
    const name = randomUUID();
    const journal = { sqlite: join(directory, `${randomUUID()}.db`) };
    const supervisor = await Supervisor.start([{ name }], { journal, defaults: ground.options });
    const session = supervisor.session(name);
    await session.query("Hello");
    const resumed = async (): Promise<number> => {
      const since = performance.now();
      const again = new BareSession(ground, first.id);
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
    await ground.close();
    return [rowOf("wake to the reply", ground.name, "ms", scores, { atMost: 1.1 })];
  },
};
