import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { Supervisor } from "../src/index.ts";
import { type Backend, realClaude } from "./backend.ts";
import { BareSession } from "./bare-session.ts";
import { type Line, rowOf } from "./line.ts";
import { compete, ratioTo, timed } from "./rounds.ts";

/**
 * Measures the time from `kill -9` to the end of the next process's handshake, in the same conversation. Compares it to starts on the bare
 * SDK, from the call to the end of the handshake. The budget compares to a first start, which reads no conversation.
 */
export const restart: Line = {
  name: "restart",
  rounds: 15,
  measure: async ({ rounds, directory }) => {
    const backend = await realClaude();
    const first = new BareSession(backend);
    await first.ask("Hello");
    await first.end();
    const rivals = [
      { name: "bare SDK", round: () => start(backend) },
      { name: "bare SDK, resume", round: () => start(backend, first.id) },
      { name: "Castellan", round: () => killed(backend, join(directory, `${randomUUID()}.db`)) },
    ];
    const [cold, resumed, castellan] = await compete(rivals, rounds);
    await backend.close();
    if (cold === undefined || resumed === undefined || castellan === undefined) throw new Error("needs three rivals");
    const besideResume = { ...castellan, ratio: ratioTo(resumed.figures, castellan.figures) };
    return [
      rowOf("kill -9 to ready, beside a first start", backend.name, "ms", [cold, castellan], { atMost: 1.1 }),
      rowOf("kill -9 to ready, beside `resume`", backend.name, "ms", [resumed, besideResume]),
    ];
  },
};

async function start(backend: Backend, resume?: string): Promise<number> {
  const since = performance.now();
  const session = new BareSession(backend, resume);
  await session.ready;
  const ms = performance.now() - since;
  await session.end();
  return ms;
}

async function killed(backend: Backend, sqlite: string): Promise<number> {
  const name = randomUUID();
  await using supervisor = await Supervisor.start([{ name }], { journal: { sqlite }, defaults: backend.options });
  const session = supervisor.session(name);
  await session.query("Hello");
  const { pid } = session.status();
  if (pid === undefined) throw new Error("no process to kill");
  const events = session.events();
  return await timed(async () => {
    process.kill(pid, "SIGKILL");
    for await (const _ of events) {
      const status = session.status();
      if (status.state === "idle" && status.pid !== pid) return;
    }
    throw new Error("the session did not restart");
  });
}
