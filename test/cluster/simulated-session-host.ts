import type { OwnedEpochs } from "../../src/cluster/owned-epochs.ts";
import type { HostedSession, SessionHost } from "../../src/cluster/session-host.ts";
import { CastellanError } from "../../src/errors.ts";
import { nameKey, type SessionName } from "../../src/names.ts";
import type { Removed } from "../../src/session/persistence/erasure.ts";
import { type SessionPlace, SimulatedSession } from "./simulated-session.ts";

/** Hosts the simulated sessions of one run of a node. */
export class SimulatedSessionHost implements SessionHost {
  readonly #place: SessionPlace;
  readonly #sessions = new Map<string, SimulatedSession>();

  constructor(place: Omit<SessionPlace, "epochOf" | "nextNumber">, owned: OwnedEpochs) {
    const numbers = new Map<string, number>();
    const nextNumber = (key: string, epoch: number): number => {
      const number = (numbers.get(`${key} ${epoch}`) ?? 0) + 1;
      numbers.set(`${key} ${epoch}`, number);
      return number;
    };
    this.#place = { ...place, epochOf: (key) => owned.epochOf(key), nextNumber };
  }

  get load(): number {
    return [...this.#sessions.values()].reduce((sum, session) => sum + session.load, 0);
  }

  session(name: SessionName): HostedSession {
    const key = nameKey(name);
    const session = this.#sessions.get(key) ?? new SimulatedSession(key, this.#place);
    this.#sessions.set(key, session);
    return session;
  }

  pool(): undefined {}

  async release(name: SessionName, deadlineMs: number): Promise<void> {
    const key = nameKey(name);
    const session = this.#sessions.get(key);
    await session?.release(deadlineMs);
    this.#sessions.delete(key);
  }

  async eraseFiles(): Promise<Removed> {
    return { conversations: [], transcripts: 0, files: 0, left: [] };
  }

  /** Writes again what the engine lacks since it failed over. Of a session that another node has taken, the run is lost. */
  async catchUp(): Promise<void> {
    const { port, writes, remembers, epochOf } = this.#place;
    try {
      await Promise.all([...this.#sessions.values()].map((session) => session.catchUp()));
      // What it has written for sessions that it has released.
      if (remembers) for (const key of await writes.restore(port, epochOf)) throw notOwner(key);
    } catch (error) {
      if (CastellanError.is(error, "NOT_OWNER")) this.#place.lost(error);
      throw error;
    }
  }

  async kill(cause: CastellanError): Promise<void> {
    await Promise.all([...this.#sessions.values()].map((session) => session.kill(cause)));
  }

  async stop(): Promise<void> {}
}

function notOwner(key: string): CastellanError<"NOT_OWNER"> {
  return new CastellanError("NOT_OWNER", `${key} has another owner since the failover.`);
}
