import { randomUUID } from "node:crypto";
import { type JournalOptions, Supervisor } from "../src/index.ts";
import { listen } from "../src/server/index.ts";
import type { Backend } from "./backend.ts";
import { ClientProcess } from "./client-process.ts";

/** The same sessions in this process, and over HTTP from a client in another process. */
export interface Served extends AsyncDisposable {
  readonly supervisor: Supervisor;
  readonly client: ClientProcess;
  readonly names: readonly string[];
}

/** Starts sessions, a server of them on the loopback interface, and a client. */
export async function served(backend: Backend, journal: JournalOptions, sessions: number): Promise<Served> {
  const names = Array.from({ length: sessions }, () => randomUUID());
  const supervisor = await Supervisor.start(
    names.map((name) => ({ name, mailboxLimit: 1_000 })),
    { journal, defaults: backend.options },
  );
  const [failed] = supervisor.notStarted;
  if (failed !== undefined) throw failed.error;
  const server = await listen(supervisor, { tokens: false, rateLimit: false });
  const client = await ClientProcess.start(server.url, names);
  return {
    supervisor,
    client,
    names,
    [Symbol.asyncDispose]: async () => {
      await client[Symbol.asyncDispose]();
      await server.close();
      await supervisor.stop();
    },
  };
}
