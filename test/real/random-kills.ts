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

/** What is to be told where processes are killed and stopped. */
const EXPECTED = /MCP server/;

/** How long a sign is waited for that does not come, and each step of the last life. */
const SIGN_MS = 10_000;
const LAST_MS = 60_000;

/** What became of one life of the application. */
export interface LivedLife {
  readonly moment: KillMoment;
  /** Whether the sign came; if not, it was killed when it had nothing left to do. */
  readonly signed: boolean;
  /** Whether it had said that all was up. */
  readonly ready: boolean;
  readonly accepted: number;
  readonly ended: number;
}

/** All that is known after the last life. */
export interface KillRecord {
  readonly lived: readonly LivedLife[];
  readonly turns: readonly AskedTurn[];
  /** What should not have been told: failures, warnings, turns that were lost, sessions that did not start. */
  readonly complaints: readonly string[];
  readonly model: KeyedModel;
  /** The keys that commands have appended. */
  readonly appended: readonly string[];
  readonly journal: JournalContents;
  /** What the application said at its end that its sessions have spent. */
  readonly spent: { readonly costUsd: number; readonly inputTokens: number } | undefined;
  /** How often what was disturbed, if anything was. */
  readonly disturbed: Readonly<Record<string, number>>;
  /** Processes that were there after the end. */
  readonly left: readonly number[];
}

/**
 * Starts an application on one journal again and again, kills it each time at a random moment, and lets it finish in its last
 * life, in which every turn is asked for once more by its key.
 *
 * @param limitMs after so long the lives that are left are not lived
 * @param random if there is one, all that the application starts is killed and stopped meanwhile as well, and the application is stopped
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
    await run.calm();
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
  readonly #lived: LivedLife[] = [];
  readonly #complaints: string[] = [];
  #spent: KillRecord["spent"];
  /** The application that lives, and the one after it, which has loaded its code meanwhile. */
  #application: JournalApplication | undefined;
  #next: JournalApplication;
  #signals = new Signals<Sign>();
  #told = { ready: false, accepted: 0, ended: 0 };

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

  /** One life, to its violent end. */
  async live({ early, late, moment }: Life): Promise<void> {
    const application = this.#begin();
    const signals = this.#signals;
    const watcher = watch(this.#file, () => signals.reach("appended"));
    this.#turns.askAgain(application);
    this.#turns.ask(application, early);
    void signals.reached("ready", 1).then(() => {
      this.#turns.ask(application, late);
      this.#lookWhetherDone();
    });
    const sign = signals.reached(moment.sign, moment.n);
    const signed = await comes(sign, SIGN_MS, [signals.reached("done", 1), application.gone]);
    if (moment.stopping) {
      this.#turns.stopping();
      application.order({ do: "stop" });
    }
    // The moment itself is chance; nothing is waited for here.
    await delay(moment.ms);
    if (application.ended && !moment.stopping) this.#complain("the application ended by itself");
    await application.kill();
    watcher.close();
    this.#lived.push({ moment, signed, ...this.#told });
  }

  /** From here on nothing is disturbed any more. */
  async calm(): Promise<void> {
    await this.#disturbance?.end();
  }

  /** The last life, which ends in order. */
  async finish(): Promise<KillRecord> {
    const application = this.#begin();
    const { enqueued, acknowledged } = this.#turns;
    const told = (sign: "accepted" | "ended", n: number): Promise<boolean> =>
      comes(this.#signals.reached(sign, n), LAST_MS, [application.gone]);
    for (const turn of acknowledged) this.#turns.watch(application, turn);
    await told("ended", acknowledged.length);
    for (const [index, turn] of enqueued.entries()) {
      this.#turns.order(application, turn);
      if (!(await told("accepted", index + 1))) break;
    }
    for (const session of SESSIONS) {
      // Behind all others, and so that the model is sent all that was said before.
      application.order({ do: "query", session, key: "last", prompt: LAST_PROMPT });
    }
    await told("ended", acknowledged.length + enqueued.length + SESSIONS.length);
    application.order({ do: "drain" });
    if (!(await comes(application.gone, LAST_MS))) await application.kill();
    return {
      lived: this.#lived,
      turns: [...this.#turns],
      complaints: this.#complaints,
      model: this.#model,
      appended: readFileSync(this.#file, "utf8").split("\n").filter(Boolean),
      journal: readJournal(this.#journal),
      spent: this.#spent,
      disturbed: Object.fromEntries(this.#disturbance?.done ?? []),
      left: this.#processes,
    };
  }

  /** Ends what is there. */
  async end(): Promise<void> {
    await this.calm();
    await Promise.all([this.#application?.kill(), this.#next.kill()]);
  }

  /** All that applications have started; MCP servers get few variables. */
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
    this.#told = { ready: false, accepted: 0, ended: 0 };
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
        this.#told.ready = true;
        for (const message of report.notStarted) this.#complain(`not started: ${message}`);
        this.#signals.reach("ready");
        break;
      case "accepted":
        this.#told.accepted += 1;
        this.#turns.accepted(report);
        this.#signals.reach("accepted");
        break;
      case "ended":
        this.#told.ended += 1;
        this.#turns.ended(report);
        this.#signals.reach("ended");
        this.#lookWhetherDone();
        break;
      case "lost":
        this.#complain(`turn ${report.id} of ${report.key} is not there`);
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

  /** Where nothing is left to be done, other signs will not come any more. */
  #lookWhetherDone(): void {
    if (this.#told.ready && this.#turns.done) this.#signals.reach("done");
  }

  #complain(what: string): void {
    this.#complaints.push(`life ${this.#lived.length}: ${what}`);
  }
}

/** Whether something comes, and not too late or after something that makes it pointless to wait. */
async function comes(
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
