import { randomUUID } from "node:crypto";
import { expect } from "vitest";
import type { ChildOptions } from "../../src/application/options/child-options.ts";
import type { SupervisorOptions } from "../../src/application/options/supervisor-options.ts";
import { Supervisor } from "../../src/application/supervisor.ts";
import type { MemoryReader } from "../../src/claude/memory.ts";
import { type Clock, systemClock } from "../../src/clock.ts";
import { CastellanError, type ErrorCode } from "../../src/errors.ts";
import type { SessionOptions } from "../../src/session/options/options.ts";
import type { Session } from "../../src/session/session.ts";
import { type FakeClaude, type FakeClaudeOptions, type FakeScript, fakeClaude } from "../../src/testing/index.ts";
import { unreadable } from "./checked-events.ts";

/** Returns a name that no other test uses, since the registry is process-wide. */
export function unique(word = "session"): string {
  return `${word}-${randomUUID().slice(0, 8)}`;
}

export interface Setting {
  readonly script?: FakeScript;
  readonly fake?: FakeClaudeOptions;
  /** Default: one session with a unique name and the options in `session`. */
  readonly children?: readonly ChildOptions[];
  readonly session?: Omit<SessionOptions, "name">;
  readonly options?: SupervisorOptions;
  readonly clock?: Clock & { advance?(ms: number): Promise<void> };
  readonly readMemory?: MemoryReader;
}

/** A supervisor on a fake Claude. Disposal checks that no process and no unhandled rejection is left. */
export class Scene implements AsyncDisposable {
  readonly fake: FakeClaude;
  readonly supervisor: Supervisor;
  /** Lines that the supervisor has logged. */
  readonly log: readonly string[];
  /** The name of the first session. */
  readonly name: string;
  readonly #clock: Setting["clock"];
  readonly #watch: RejectionWatch;

  private constructor(
    parts: Pick<Scene, "fake" | "supervisor" | "log" | "name">,
    setting: Setting,
    watch: RejectionWatch,
  ) {
    this.fake = parts.fake;
    this.supervisor = parts.supervisor;
    this.log = parts.log;
    this.name = parts.name;
    this.#clock = setting.clock;
    this.#watch = watch;
  }

  static async open(setting: Setting = {}): Promise<Scene> {
    const watch = new RejectionWatch();
    const fake = fakeClaude(setting.script, setting.fake);
    const children = setting.children ?? [{ name: unique(), ...setting.session }];
    const log: string[] = [];
    const write = (line: string): void => void log.push(line);
    const { defaults, ...options } = setting.options ?? {};
    const supervisor = await Supervisor.startWith(
      children,
      {
        logger: { info: write, warn: write },
        ...options,
        defaults: { spawnClaudeCodeProcess: fake.spawn, ...defaults },
      },
      {
        clock: setting.clock ?? systemClock,
        newId: randomUUID,
        random: () => 0.5,
        ...(setting.readMemory === undefined ? {} : { readMemory: setting.readMemory }),
      },
    ).catch(async (error: unknown) => {
      await watch.end();
      expect(fake.running, "processes after a failed start").toEqual([]);
      throw error;
    });
    const [first] = children;
    const name = first !== undefined && "name" in first ? first.name : undefined;
    return new Scene({ fake, supervisor, log, name: typeof name === "string" ? name : "" }, setting, watch);
  }

  /** A handle of the first session. */
  get session(): Session {
    return this.supervisor.session(this.name);
  }

  /** Returns what the model remembers of a session's conversation, as `user: …` and `assistant: …`. */
  transcript(session: Session = this.session): string[] {
    return this.fake.transcript(session.status().conversationId).map(({ role, text }) => `${role}: ${text}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await within(this.#clock, this.supervisor.stop());
    await this.#watch.end();
    expect(this.fake.running, "processes after the supervisor's stop").toEqual([]);
    expect(this.fake.errors, "errors of the fake's script").toEqual([]);
  }
}

/** Collects unhandled rejections until `end()`, which fails if there are any. */
export class RejectionWatch {
  readonly #seen: unknown[] = [];
  readonly #note = (reason: unknown): void => void this.#seen.push(reason);

  constructor() {
    process.on("unhandledRejection", this.#note);
    process.on("uncaughtExceptionMonitor", this.#note);
  }

  async end(): Promise<void> {
    // Node reports unhandled rejections after the microtasks of an event loop turn.
    await ticks(2);
    process.off("unhandledRejection", this.#note);
    process.off("uncaughtExceptionMonitor", this.#note);
    expect(this.#seen, "unhandled rejections").toEqual([]);
    expect(unreadable, "recorded events that cannot be read again").toEqual([]);
  }
}

/** Lets the event loop turn `n` times. */
export async function ticks(n: number): Promise<void> {
  for (let i = 0; i < n; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** Turns the event loop until `condition` holds, for state that has no event. The test's timeout bounds it. */
export async function eventually(condition: () => boolean): Promise<void> {
  while (!condition()) await ticks(1);
}

/** Advances a simulated clock until `promise` settles. */
export async function within<Value>(clock: Setting["clock"], promise: Promise<Value>): Promise<Value> {
  let settled = false;
  const done = (): void => {
    settled = true;
  };
  promise.then(done, done);
  while (!settled) {
    await ticks(5);
    if (!settled) await clock?.advance?.(100);
  }
  return await promise;
}

/** Returns the error with which `promise` rejects. Fails the test unless it is a CastellanError with this code. */
export async function failure<Code extends ErrorCode>(
  promise: Promise<unknown>,
  code: Code,
): Promise<CastellanError<Code>> {
  const error: unknown = await promise.then(
    (value) => new Error(`it resolved to ${JSON.stringify(value)}`),
    (reason: unknown) => reason,
  );
  if (CastellanError.is(error, code)) return error;
  throw new Error(`expected ${code}, got ${String(error)}`, { cause: error });
}

/** As {@link failure}, for a function that throws. */
export async function thrown<Code extends ErrorCode>(work: () => unknown, code: Code): Promise<CastellanError<Code>> {
  return await failure((async () => work())(), code);
}

export async function collect<Value>(values: AsyncIterable<Value>): Promise<Value[]> {
  const all: Value[] = [];
  for await (const value of values) all.push(value);
  return all;
}
