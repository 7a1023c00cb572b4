import { readFileSync, watch, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type MockApi, mockApi } from "../../src/testing/index.ts";
import { type AskedTurn, AskedTurns, SESSIONS } from "./asked-turns.ts";
import { Disturbance } from "./disturbance.ts";
import { JournalApplication } from "./journal-application.ts";
import { type JournalContents, readJournal } from "./journal-contents.ts";
import type { Report } from "./journal-host.ts";
import { KeyedModel, LAST_PROMPT } from "./keyed-model.ts";
import type { KillMoment, Life, Sign } from "./kill-moment.ts";
import { processesWith } from "./processes.ts";
import { Signals } from "./signals.ts";

const MCP_SERVER = fileURLToPath(new URL("./mcp-server.ts", import.meta.url));

/** The warnings that are expected while processes are killed and stopped. */
const EXPECTED = /MCP server/;

/** How long to wait for a sign, and for each step of the last run, in milliseconds. */
const SIGN_MS = 10_000;
const LAST_MS = 60_000;

/** The outcome of one run of the application. */
export interface LifeOutcome {
  readonly moment: KillMoment;
  /** Whether the sign came. If not, the application was killed once it was idle. */
  readonly signed: boolean;
  /** Whether it had reported to be ready. */
  readonly ready: boolean;
  readonly accepted: number;
  readonly ended: number;
}

/** Everything known after the last run. */
export interface KillRecord {
  readonly lives: readonly LifeOutcome[];
  readonly turns: readonly AskedTurn[];
  /** Reports that must not come: failures, warnings, lost turns, sessions that did not start. */
  readonly complaints: readonly string[];
  readonly model: KeyedModel;
  /** The keys that commands appended. */
  readonly appended: readonly string[];
  readonly journal: JournalContents;
  /** The total that the application reported at its end. */
  readonly spent: { readonly costUsd: number; readonly inputTokens: number } | undefined;
  /** How often each disturbance happened, if there were any. */
  readonly disturbances: Readonly<Record<string, number>>;
  /** Processes that outlived the last run. */
  readonly left: readonly number[];
}

/**
 * Starts an application on one journal repeatedly and kills it each time at a random moment. The last run ends in order, and
 * every turn is asked for once more by its key.
 *
 * @param limitMs the time after which the remaining runs are skipped
 * @param random if given, descendants of the application are killed and stopped too, and the application itself is
 * stopped
 */
export async function killAtRandom(lives: Iterable<Life>, limitMs: number, random?: () => number): Promise<KillRecord> {
  await using api = await mockApi();
  const since = performance.now();
  const run = new RandomKills(api, random);
  try {
    for (const life of lives) {
      if (performance.now() - since >= limitMs) break;
      await run.live(life);
    }
    await run.endDisturbances();
    return await run.finish();
  } finally {
    await run.end();
  }
}

class RandomKills {
  readonly #api: MockApi;
  readonly #disturbance: Disturbance | undefined;
  readonly #journal: string;
  readonly #file: string;
  readonly #model: KeyedModel;
  readonly #turns = new AskedTurns();
  readonly #lives: LifeOutcome[] = [];
  readonly #complaints: string[] = [];
  #spent: KillRecord["spent"];
  /** The current application, and the next one, which loads its code in advance. */
  #application: JournalApplication | undefined;
  #next: JournalApplication;
  #signals = new Signals<Sign>();
  #reported = { ready: false, accepted: 0, ended: 0 };

  constructor(api: MockApi, random: (() => number) | undefined) {
    this.#api = api;
    this.#disturbance =
      random &&
      new Disturbance(
        () => this.#processes,
        () => this.#application?.pid,
        random,
      );
    this.#journal = join(api.cwd, "journal", "castellan.db");
    this.#file = join(api.cwd, "appended.txt");
    writeFileSync(this.#file, "");
    this.#model = new KeyedModel(this.#file, (sign) => this.#signals.reach(sign));
    this.#next = this.#load();
  }

  /** Runs the application until it is killed. */
  async live({ early, late, moment }: Life): Promise<void> {
    const application = this.#begin();
    const signals = this.#signals;
    const watcher = watch(this.#file, () => signals.reach("appended"));
    this.#turns.askAgain(application);
    this.#turns.ask(application, early);
    void signals.reached("ready", 1).then(() => {
      this.#turns.ask(application, late);
      this.#checkDone();
    });
    const sign = signals.reached(moment.sign, moment.n);
    const signed = await resolvesFirst(sign, SIGN_MS, [signals.reached("done", 1), application.gone]);
    if (moment.stopping) {
      this.#turns.stopping();
      application.order({ do: "stop" });
    }
    // The moment itself is random. Nothing is awaited here.
    await delay(moment.ms);
    if (application.ended && !moment.stopping) this.#complain("the application ended by itself");
    await application.kill();
    watcher.close();
    this.#lives.push({ moment, signed, ...this.#reported });
  }

  /** Ends the disturbance. */
  async endDisturbances(): Promise<void> {
    await this.#disturbance?.end();
  }

  /** Runs the application for the last time, to an orderly end. */
  async finish(): Promise<KillRecord> {
    const application = this.#begin();
    const { enqueued, acknowledged } = this.#turns;
    const reaches = (sign: "accepted" | "ended", n: number): Promise<boolean> =>
      resolvesFirst(this.#signals.reached(sign, n), LAST_MS, [application.gone]);
    for (const turn of acknowledged) this.#turns.watch(application, turn);
    await reaches("ended", acknowledged.length);
    for (const [index, turn] of enqueued.entries()) {
      this.#turns.order(application, turn);
      if (!(await reaches("accepted", index + 1))) break;
    }
    for (const session of SESSIONS) {
      // After all others, and so that the model gets everything said before.
      application.order({ do: "query", session, key: "last", prompt: LAST_PROMPT });
    }
    await reaches("ended", acknowledged.length + enqueued.length + SESSIONS.length);
    application.order({ do: "drain" });
    if (!(await resolvesFirst(application.gone, LAST_MS))) await application.kill();
    return {
      lives: this.#lives,
      turns: [...this.#turns],
      complaints: this.#complaints,
      model: this.#model,
      appended: readFileSync(this.#file, "utf8").split("\n").filter(Boolean),
      journal: readJournal(this.#journal),
      spent: this.#spent,
      disturbances: Object.fromEntries(this.#disturbance?.done ?? []),
      left: this.#processes,
    };
  }

  /** Kills what is left. */
  async end(): Promise<void> {
    await this.endDisturbances();
    await Promise.all([this.#application?.kill(), this.#next.kill()]);
  }

  /**
   * Every descendant of the applications. MCP servers inherit few variables, but have the directory in their arguments.
   */
  get #processes(): number[] {
    const own = [`CLAUDE_CONFIG_DIR=${this.#api.env["CLAUDE_CONFIG_DIR"]}`, this.#api.cwd].flatMap(processesWith);
    return [...new Set(own)];
  }

  #load(): JournalApplication {
    return new JournalApplication((report) => this.#hear(report));
  }

  #begin(): JournalApplication {
    const application = this.#next;
    this.#application = application;
    this.#next = this.#load();
    this.#signals = new Signals();
    this.#reported = { ready: false, accepted: 0, ended: 0 };
    this.#model.serve(this.#api);
    const { env, cwd } = this.#api;
    const mcpServer = this.#disturbance && [MCP_SERVER, cwd];
    application.order({
      do: "start",
      journal: this.#journal,
      sessions: SESSIONS,
      env,
      cwd,
      ...(mcpServer && { mcpServer }),
    });
    this.#signals.reach("begun");
    return application;
  }

  #hear(report: Report): void {
    switch (report.is) {
      case "ready":
        this.#reported.ready = true;
        for (const message of report.notStarted) this.#complain(`not started: ${message}`);
        this.#signals.reach("ready");
        break;
      case "accepted":
        this.#reported.accepted += 1;
        this.#turns.accepted(report);
        this.#signals.reach("accepted");
        break;
      case "ended":
        this.#reported.ended += 1;
        this.#turns.ended(report);
        this.#signals.reach("ended");
        this.#checkDone();
        break;
      case "lost":
        this.#complain(`turn ${report.id} of ${report.key} is missing`);
        break;
      case "failed":
        if (report.code !== "SUPERVISOR_STOPPED") this.#complain(`${report.what}: ${report.code}: ${report.message}`);
        break;
      case "warning":
        if (this.#disturbance === undefined || !EXPECTED.test(report.message)) this.#complain(report.message);
        break;
      case "stopped":
        this.#spent = report;
    }
  }

  /** When nothing is pending, no other sign will come. */
  #checkDone(): void {
    if (this.#reported.ready && this.#turns.done) this.#signals.reach("done");
  }

  #complain(what: string): void {
    this.#complaints.push(`life ${this.#lives.length}: ${what}`);
  }
}

/** Returns whether `something` resolves before the limit and before any of `instead`. */
async function resolvesFirst(
  something: Promise<void>,
  limitMs: number,
  instead: readonly Promise<void>[] = [],
): Promise<boolean> {
  const limit = new AbortController();
  const late = delay(limitMs, undefined, { signal: limit.signal }).catch(() => {});
  const came = await Promise.race([
    something.then(() => true),
    ...[...instead, late].map((other) => other.then(() => false)),
  ]);
  limit.abort();
  return came;
}
