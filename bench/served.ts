import { randomUUID } from "node:crypto";
import { CastellanClient } from "../src/client/index.ts";
import { type JournalOptions, Supervisor } from "../src/index.ts";
import { listen } from "../src/server/index.ts";
import type { Backend } from "./backend.ts";

/** The same sessions in this process, and over HTTP from this process. */
export interface Served extends AsyncDisposable {
  readonly supervisor: Supervisor;
  readonly client: CastellanClient;
  readonly names: readonly string[];
}

/** Starts sessions, and a server of them on the loopback interface. */
export async function served(backend: Backend, journal: JournalOptions, sessions: number): Promise<Served> {
  const names = Array.from({ length: sessions }, () => randomUUID());
  const supervisor = await Supervisor.start(
    names.map((name) => ({ name, mailboxLimit: 1_000 })),
    { journal, defaults: backend.options },
  );
  const [failed] = supervisor.notStarted;
  if (failed !== undefined) throw failed.error;
  const server = await listen(supervisor, { tokens: false, rateLimit: false });
  return {
    supervisor,
    client: new CastellanClient({ url: server.url }),
    names,
    [Symbol.asyncDispose]: async () => {
      await server.close();
      await supervisor.stop();
    },
  };
}
