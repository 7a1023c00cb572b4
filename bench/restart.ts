import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { Supervisor } from "../src/index.ts";
import { BareSession } from "./bare-session.ts";
import { type Ground, realClaude } from "./ground.ts";
import { type Line, rowOf } from "./line.ts";
import { compete, ratioTo, timed } from "./rounds.ts";

/**
 * From `kill -9` to the moment at which another process has done its handshake, with the conversation; beside a start with the bare
 * SDK, from the call to the end of the handshake. The budget is for a first start, which has no conversation to read.
 */
export const restart: Line = {
  name: "restart",
  rounds: 15,
  measure: async ({ rounds, directory }) => {
    const ground = await realClaude();
    const first = new BareSession(ground);
    await first.ask("Hello");
    await first.end();
    const rivals = [
      { name: "bare SDK", round: () => start(ground) },
      { name: "bare SDK, resume", round: () => start(ground, first.id) },
      { name: "Castellan", round: () => killed(ground, join(directory, `${randomUUID()}.db`)) },
    ];
    const [cold, resumed, castellan] = await compete(rivals, rounds);
    await ground.close();
    if (cold === undefined || resumed === undefined || castellan === undefined)
      throw new Error("three have to compete");
    const besideResume = { ...castellan, ratio: ratioTo(resumed.figures, castellan.figures) };
    return [
      rowOf("kill -9 to ready, beside a first start", ground.name, "ms", [cold, castellan], { atMost: 1.1 }),
      rowOf("kill -9 to ready, beside `resume`", ground.name, "ms", [resumed, besideResume]),
    ];
  },
};

async function start(ground: Ground, resume?: string): Promise<number> {
  const since = performance.now();
  const session = new BareSession(ground, resume);
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
