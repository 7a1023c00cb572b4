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

/** A name that no other test uses; the registry is one for the whole process. */
export function unique(word = "session"): string {
  return `${word}-${randomUUID().slice(0, 8)}`;
}

export interface Setting {
  readonly script?: FakeScript;
  readonly fake?: FakeClaudeOptions;
  /** Default: one session with a unique name. Options given as `session` are put on top of that one. */
  readonly children?: readonly ChildOptions[];
  readonly session?: Omit<SessionOptions, "name">;
  readonly options?: SupervisorOptions;
  readonly clock?: Clock & { advance?(ms: number): Promise<void> };
  readonly readMemory?: MemoryReader;
}

/** A supervisor on a fake Claude. Its end checks that nothing was left behind: no process, no error nobody saw. */
export class Scene implements AsyncDisposable {
  readonly fake: FakeClaude;
  readonly supervisor: Supervisor;
  /** What the supervisor logged. */
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
      expect(fake.running, "processes that outlived a start that failed").toEqual([]);
      throw error;
    });
    const [first] = children;
    const name = first !== undefined && "name" in first ? first.name : undefined;
    return new Scene({ fake, supervisor, log, name: typeof name === "string" ? name : "" }, setting, watch);
  }

  /** The handle of the first session. */
  get session(): Session {
    return this.supervisor.session(this.name);
  }

  /** What the model remembers of the first session's conversation: `user: …`, `assistant: …`. */
  transcript(session: Session = this.session): string[] {
    return this.fake.transcript(session.status().conversationId).map(({ role, text }) => `${role}: ${text}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await within(this.#clock, this.supervisor.stop());
    await this.#watch.end();
    expect(this.fake.running, "processes that outlived their supervisor").toEqual([]);
    expect(this.fake.errors, "errors of the fake's script").toEqual([]);
  }
}

/** Collects rejections that nobody handled, from its making to its end, and fails if there were any. */
export class RejectionWatch {
  readonly #seen: unknown[] = [];
  readonly #note = (reason: unknown): void => void this.#seen.push(reason);

  constructor() {
    process.on("unhandledRejection", this.#note);
    process.on("uncaughtExceptionMonitor", this.#note);
  }

  async end(): Promise<void> {
    // Node reports them once the microtasks of a turn of its loop are done.
    await ticks(2);
    process.off("unhandledRejection", this.#note);
    process.off("uncaughtExceptionMonitor", this.#note);
    expect(this.#seen, "rejections that nobody handled").toEqual([]);
  }
}

/** Lets the event loop turn `n` times. */
export async function ticks(n: number): Promise<void> {
  for (let i = 0; i < n; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** Turns the event loop until `condition` holds. For what has no event of its own; the test's time limit bounds it. */
export async function eventually(condition: () => boolean): Promise<void> {
  while (!condition()) await ticks(1);
}

/** Moves a simulated clock on until `promise` has settled. */
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

/** The error that `promise` rejects with; anything but an error of Castellan with this code fails the test. */
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

/** As {@link failure}, for what throws at once. */
export async function thrown<Code extends ErrorCode>(work: () => unknown, code: Code): Promise<CastellanError<Code>> {
  return await failure((async () => work())(), code);
}

export async function collect<Value>(values: AsyncIterable<Value>): Promise<Value[]> {
  const all: Value[] = [];
  for await (const value of values) all.push(value);
  return all;
}
