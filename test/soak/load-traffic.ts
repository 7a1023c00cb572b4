import { CastellanError, type ErrorCode } from "../../src/errors.ts";
import { query, type Supervisor, session, stream } from "../../src/index.ts";

/** An action of a caller, its share in percent, and the errors that it may end with. */
interface Action {
  readonly share: number;
  readonly errors: readonly ErrorCode[];
  run(name: Name, number: number): Promise<void>;
}

type Name = readonly [string, number];

const ACTIONS: Readonly<Record<string, Action>> = {
  // A clear interrupts the running turn.
  ask: { share: 70, errors: ["TURN_INTERRUPTED"], run: ask },
  stopReading: { share: 9, errors: ["TURN_INTERRUPTED"], run: stopReading },
  interrupt: { share: 5, errors: ["TURN_INTERRUPTED"], run: interrupt },
  timeOut: { share: 3, errors: ["TURN_TIMEOUT", "TURN_INTERRUPTED"], run: timeOut },
  kill: { share: 5, errors: ["TURN_INTERRUPTED"], run: kill },
  hibernate: { share: 6, errors: ["SESSION_BUSY", "SESSION_STOPPED"], run: (name) => session(name).hibernate() },
  clear: { share: 2, errors: ["SESSION_STOPPED"], run: (name) => session(name).clear() },
};

/** Callers that perform random actions on the sessions of one family. */
export class LoadTraffic {
  /** How often each action happened, with its outcome: `ask`, `kill TURN_INTERRUPTED`. */
  readonly outcomes = new Map<string, number>();
  /** Outcomes that must not happen. */
  readonly faults: unknown[] = [];
  /** The number of finished actions. */
  done = 0;
  readonly #family: string;
  readonly #names: number;
  readonly #random: () => number;

  constructor(family: string, names: number, random: () => number) {
    this.#family = family;
    this.#names = names;
    this.#random = random;
  }

  /** Runs until `enough` returns true after an action. */
  async run(callers: number, enough: () => boolean): Promise<void> {
    let over = false;
    const call = async (): Promise<void> => {
      while (!over && this.faults.length === 0) {
        await this.#step();
        over ||= enough();
      }
    };
    await Promise.all(Array.from({ length: callers }, call));
  }

  async #step(): Promise<void> {
    const name = [this.#family, Math.floor(this.#random() * this.#names)] as const;
    const [what, action] = this.#pickAction();
    let outcome = what;
    try {
      await action.run(name, this.done);
    } catch (error) {
      if (CastellanError.is(error) && action.errors.includes(error.code)) outcome += ` ${error.code}`;
      else this.faults.push(new Error(`${what} failed`, { cause: error }));
    }
    this.done += 1;
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1);
  }

  #pickAction(): [string, Action] {
    let left = this.#random() * 100;
    for (const entry of Object.entries(ACTIONS)) {
      left -= entry[1].share;
      if (left < 0) return entry;
    }
    throw new Error("the shares do not add up to 100");
  }
}

/** Returns the quarantined sessions. */
export function quarantined(supervisor: Supervisor): string[] {
  return supervisor.listSessions().flatMap(({ name, state }) => (state === "quarantined" ? [String(name)] : []));
}

async function ask(name: Name, number: number): Promise<void> {
  const prompt = `This is number ${number}.`;
  const { text } = await query(name, prompt);
  if (text !== `You said: ${prompt}`) throw new Error(`the answer to "${prompt}" was "${text}"`);
}

/** Leaves the loop in the middle. The turn continues. */
async function stopReading(name: Name): Promise<void> {
  const turn = stream(name, "Stream 20 pieces.");
  for await (const { number } of turn.messages()) if (number === 10) break;
  await turn.result();
}

async function interrupt(name: Name): Promise<void> {
  const turn = stream(name, "Hang.");
  for await (const _ of turn) await turn.interrupt();
  throw new Error("the turn ended without having been interrupted");
}

async function timeOut(name: Name): Promise<void> {
  await query(name, "Hang.", { timeout: 500 });
  throw new Error("the turn ended before its deadline");
}

async function kill(name: Name): Promise<void> {
  await query(name, "Die.");
  throw new Error("the process answered after it died");
}
