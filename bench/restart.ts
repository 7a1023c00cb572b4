import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { Supervisor } from "../src/index.ts";
import { BareSession } from "./bare-session.ts";
import { type Ground, realClaude } from "./ground.ts";
import { type Line, rowOf } from "./line.ts";
import { compete, timed } from "./rounds.ts";

/**
 * From `kill -9` to the moment at which another process has done its handshake, with the conversation; beside a first start with the
 * bare SDK, from the call to the end of the handshake, which has no conversation to read.
 */
export const restart: Line = {
  name: "restart",
  rounds: 15,
  measure: async ({ rounds, directory }) => {
    const ground = await realClaude();
    const rivals = [
      { name: "bare SDK", round: () => coldStart(ground) },
      { name: "Castellan", round: () => killed(ground, join(directory, `${randomUUID()}.db`)) },
    ];
    const scores = await compete(rivals, rounds);
    await ground.close();
    return [rowOf("kill -9 to ready", ground.name, "ms", scores, { atMost: 1.1 })];
  },
};

async function coldStart(ground: Ground): Promise<number> {
  const since = performance.now();
  const session = new BareSession(ground);
  await session.ready;
  const ms = performance.now() - since;
  await session.end();
  return ms;
}

async function killed(ground: Ground, sqlite: string): Promise<number> {
  const name = randomUUID();
  await using supervisor = await Supervisor.start([{ name }], { journal: { sqlite }, defaults: ground.options });
  const session = supervisor.session(name);
  await session.query("Hello");
  const { pid } = session.status();
  if (pid === undefined) throw new Error("there is no process to kill");
  const events = session.events();
  return await timed(async () => {
    process.kill(pid, "SIGKILL");
    for await (const _ of events) {
      const status = session.status();
      if (status.state === "idle" && status.pid !== pid) return;
    }
    throw new Error("the session has not come back");
  });
}
