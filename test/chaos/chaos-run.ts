import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { CastellanError, type ErrorCode } from "../../src/errors.ts";
import { on } from "../../src/events.ts";
import { type Session, Supervisor, template } from "../../src/index.ts";
import { nameKey, type SessionName } from "../../src/names.ts";
import { type JournalContents, readJournal } from "../real/journal-contents.ts";
import { unique } from "../session-on-fake/scene.ts";
import type { ApiFailure } from "./api-failures.ts";
import type { ChaosTarget } from "./chaos-target.ts";
import { ChaosTrace } from "./chaos-trace.ts";
import { mayMount, type SmallDisk } from "./small-disk.ts";

export interface ChaosSetting {
  readonly target: ChaosTarget;
  /** From 0 to below 1. */
  readonly random: () => number;
  readonly durationMs: number;
  readonly names: number;
  readonly maxProcesses: number;
  readonly callers: number;
  /** The mean time between two disturbances. */
  readonly everyMs: number;
}

/** A turn as its caller knows it. */
export interface ChaosTurn {
  readonly key: string;
  readonly session: SessionName;
  readonly prompt: string;
  /** The ends that callers received. Several if the turn was asked for again by its idempotency key. */
  readonly outcomes: (
    | { readonly id: string; readonly text: string }
    | { readonly id?: string; readonly code: ErrorCode; readonly conversation?: unknown }
  )[];
}

export interface ChaosRecord {
  readonly target: ChaosTarget;
  readonly turns: readonly ChaosTurn[];
  readonly journal: JournalContents;
  /** How often each disturbance happened. */
  readonly disturbances: ReadonlyMap<string, number>;
  readonly complaints: readonly string[];
  /** For each turn that Claude Code began, the ends that were announced. */
  readonly unprompted: ReadonlyMap<string, readonly string[]>;
  readonly left: readonly number[];
  /** Returns the trace of a turn's session around the entries that contain the given words. */
  readonly around: (turn: ChaosTurn, words: string) => string;
}

/** Errors of the API: overload, an error of its own, a refused prompt, a refused conversation. */
const API_FAILURES: readonly ApiFailure[] = [
  { status: 529, message: "Overloaded" },
  { status: 500, message: "chaos" },
  { status: 400, message: "chaos" },
  { status: 400, message: "messages.3: `tool_use` ids were found without `tool_result` blocks immediately after" },
];

/** The disturbances of processes, sessions, disks and the API. Each is as frequent as it is listed. */
const DISTURBANCES = [
  "kill",
  "kill",
  "term",
  "freeze",
  "api",
  "server",
  "interrupt",
  "restart",
  "hibernate",
  "clear",
  ...(mayMount ? (["fill"] as const) : []),
] as const;
type DisturbanceKind = (typeof DISTURBANCES)[number];

/** The longest time for which a disk is full, longer than a journal write waits. In short runs a share of the run. */
const FULL_MS = 8_000;
const FULL_SHARE = 0.1;

/** How long turns may take to end after the last disturbance. */
const QUIET_MS = 60_000;

/**
 * How long a failure of the API waits for a request, in multiples of `everyMs`. The API fails at most a fifth of the
 * time.
 */
const FAILS_FOR = 2;

/** Queries sessions while processes, sessions, disks and the API are disturbed. */
export async function chaos(setting: ChaosSetting): Promise<ChaosRecord> {
  const { target, random } = setting;
  const sqlite = join(target.disks.journal.folder, "chaos.db");
  const family = unique("chaos");
  const supervisor = await Supervisor.start([template(family)], {
    journal: { sqlite },
    capacity: { maxProcesses: setting.maxProcesses },
    maxRestarts: 1_000_000,
    logger: { info: () => {}, warn: () => {} },
    defaults: { ...target.defaults, stallTimeout: "3s", idleTimeout: "2s" },
  });
  using trace = new ChaosTrace(family);
  using unprompted = new UnpromptedEnds(family);
  const run = new Chaos(setting, supervisor, family, random, trace);
  using _quarantines = run.watchQuarantines();
  const until = performance.now() + setting.durationMs;
  const callers = Array.from({ length: setting.callers }, () => run.ask(until));
  await run.disturb(until);
  run.endDisturbances();
  const ended = await Promise.race([Promise.all(callers).then(() => true), delay(QUIET_MS, false, { ref: false })]);
  if (!ended) run.complaints.push("turns have not ended", ...run.describePending());
  await supervisor.drain({ deadline: "30s" });
  const { turns, disturbances, complaints } = run;
  const { ends } = unprompted;
  return {
    target,
    turns,
    journal: readJournal(sqlite),
    disturbances,
    complaints,
    unprompted: ends,
    left: target.left(),
    around: ({ session }, words) => trace.around(session, words),
  };
}

/** Records the ends of turns that Claude Code began, for the sessions of a family. */
class UnpromptedEnds implements Disposable {
  readonly ends = new Map<string, string[]>();
  readonly #unwatch: readonly (() => void)[];

  constructor(family: string) {
    const mine = (session: SessionName): boolean => Array.isArray(session) && session[0] === family;
    this.#unwatch = [
      on("castellan:turn:begin", ({ session, turnId, origin }) => {
        if (origin !== "caller" && mine(session)) this.ends.set(turnId, []);
      }),
      on("castellan:turn:end", ({ session, turnId, origin, state, reply }) => {
        if (origin !== "caller" && mine(session)) this.ends.get(turnId)?.push(reply?.text ?? state);
      }),
    ];
  }

  [Symbol.dispose](): void {
    for (const unwatch of this.#unwatch) unwatch();
  }
}

class Chaos {
  readonly turns: ChaosTurn[] = [];
  readonly disturbances = new Map<string, number>();
  readonly complaints: string[] = [];
  readonly #setting: ChaosSetting;
  readonly #supervisor: Supervisor;
  readonly #family: string;
  readonly #random: () => number;
  readonly #trace: ChaosTrace;
  readonly #stopped = new Set<number>();
  readonly #full = new Set<SmallDisk>();
  /** The turns that a caller waits for. */
  readonly #awaited = new Set<ChaosTurn>();

  constructor(setting: ChaosSetting, supervisor: Supervisor, family: string, random: () => number, trace: ChaosTrace) {
    this.#setting = setting;
    this.#supervisor = supervisor;
    this.#family = family;
    this.#random = random;
    this.#trace = trace;
  }

  /** Complains, with the session's trace, about each quarantine: a restart mends every fault of this test. */
  watchQuarantines(): Disposable {
    const unwatch = on("castellan:session:quarantine", ({ session }) => {
      if (session[0] !== this.#family) return;
      this.complaints.push(`${JSON.stringify(session)} was quarantined:\n${this.#trace.of(session)}`);
    });
    return { [Symbol.dispose]: unwatch };
  }

  /** One caller, which asks for one turn after the other. */
  async ask(until: number): Promise<void> {
    while (performance.now() < until) {
      const key = `k${this.turns.length}`;
      const prompt = `${this.#pick(["say", "say", "talk", "append", "background"])} ${key}`;
      const session = this.#session();
      const turn: ChaosTurn = { key, session: session.name, prompt, outcomes: [] };
      this.turns.push(turn);
      const way = this.#pick(["query", "query", "keyed", "enqueue", "hurry"] as const);
      this.#awaited.add(turn);
      await (way === "keyed"
        ? Promise.all([this.#asked(session, turn, way), this.#asked(session, turn, way)])
        : this.#asked(session, turn, way));
      this.#awaited.delete(turn);
    }
  }

  /** Disturbs processes, sessions, disks and the API. */
  async disturb(until: number): Promise<void> {
    while (performance.now() < until) {
      // The moment itself is random. Nothing is awaited here.
      await delay(this.#random() * 2 * this.#setting.everyMs);
      const disturbance = this.#pick(DISTURBANCES);
      this.disturbances.set(disturbance, (this.disturbances.get(disturbance) ?? 0) + 1);
      this.#apply(disturbance);
      const { processes } = this.#supervisor.capacity();
      if (processes > this.#setting.maxProcesses) this.complaints.push(`there were ${processes} processes`);
    }
  }

  /** Continues stopped processes and frees full disks. */
  endDisturbances(): void {
    for (const disk of this.#full) disk.free();
    for (const pid of this.#stopped) this.#setting.target.signal(pid, "SIGCONT");
  }

  /** Returns the capacity, and the state of each session with a turn that a caller still waits for. */
  describePending(): string[] {
    const { children, capacity } = this.#supervisor.inspect();
    const awaited = Map.groupBy(this.#awaited, ({ session }) => nameKey(session));
    const each = children.flatMap((child) => {
      const turns = child.kind === "session" ? awaited.get(nameKey(child.status.name)) : undefined;
      if (child.kind !== "session" || turns === undefined) return [];
      const { status, lastExits } = child;
      const prompts = turns.map(({ prompt }) => prompt).join(", ");
      return `${prompts} of ${JSON.stringify({ status, lastExits })}\n${this.#trace.of(status.name)}`;
    });
    return [`at ${Date.now()}, with the capacity ${JSON.stringify(capacity)}`, ...each];
  }

  #apply(disturbance: DisturbanceKind): void {
    const { target } = this.#setting;
    const session = this.#session();
    const { pid } = session.status();
    if (disturbance !== "api" && disturbance !== "server" && disturbance !== "fill")
      this.#trace.note(session.name, disturbance, { pid });
    switch (disturbance) {
      case "kill":
        if (pid !== undefined) target.signal(pid, "SIGKILL");
        break;
      case "term":
        if (pid !== undefined) target.signal(pid, "SIGTERM");
        break;
      case "freeze":
        if (pid !== undefined) void this.#freeze(pid, session);
        break;
      case "api":
        target.failNext(this.#pick(API_FAILURES), FAILS_FOR * this.#setting.everyMs);
        break;
      case "server":
        target.killServer(this.#random);
        break;
      case "fill":
        void this.#fill(this.#pick(Object.values(target.disks)));
        break;
      case "interrupt":
        this.#tolerate(session.interrupt());
        break;
      case "restart":
        this.#tolerate(session.restart());
        break;
      case "hibernate":
        this.#tolerate(session.hibernate());
        break;
      default:
        this.#tolerate(session.clear());
    }
  }

  async #freeze(pid: number, session: Session): Promise<void> {
    this.#stopped.add(pid);
    this.#setting.target.signal(pid, "SIGSTOP");
    await delay(this.#random() * 5_000);
    this.#stopped.delete(pid);
    if (session.status().pid === pid) this.#setting.target.signal(pid, "SIGCONT");
  }

  async #fill(disk: SmallDisk): Promise<void> {
    if (this.#full.has(disk)) return;
    this.#full.add(disk);
    disk.fill();
    const fullMs = this.#random() * Math.min(FULL_MS, FULL_SHARE * this.#setting.durationMs);
    await delay(fullMs);
    disk.free();
    // Leaves time in which turns can end.
    await delay(3 * fullMs);
    this.#full.delete(disk);
  }

  /** Two calls can collide. Each may then reject, but only with a CastellanError. */
  #tolerate(work: Promise<unknown>): void {
    work.catch((error: unknown) => {
      if (!CastellanError.is(error)) this.complaints.push(`a call failed: ${String(error)}`);
    });
  }

  async #asked(session: Session, turn: ChaosTurn, way: "query" | "keyed" | "enqueue" | "hurry"): Promise<void> {
    const { key, prompt, outcomes } = turn;
    try {
      if (way === "enqueue") {
        const id = await session.enqueue(prompt);
        const found = await session.turn(id);
        if (found === undefined) throw new Error(`${key} was accepted and is missing`);
        outcomes.push({ id, text: (await found.result()).text });
        return;
      }
      const options =
        way === "keyed" ? { idempotencyKey: key } : way === "hurry" ? { timeout: 50 + this.#random() * 1_000 } : {};
      const { turnId, text } = await session.query(prompt, options);
      outcomes.push({ id: turnId, text });
    } catch (error) {
      if (CastellanError.is(error)) outcomes.push({ code: error.code, conversation: conversationIn(error.details) });
      else this.complaints.push(`${key}: ${String(error)}`);
    }
  }

  #session(): Session {
    return this.#supervisor.session([this.#family, Math.floor(this.#random() * this.#setting.names)]);
  }

  #pick<Item>(items: readonly Item[]): Item {
    return items[Math.floor(this.#random() * items.length)] as Item;
  }
}

function conversationIn(details: unknown): unknown {
  return typeof details === "object" && details !== null && "conversation" in details
    ? details.conversation
    : undefined;
}
