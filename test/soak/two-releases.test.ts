import { appendFile, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { HandoverProcess } from "../application/handover-process.ts";
import { freePort } from "../free-port.ts";
import { PostgresServer } from "../journal/postgres-server.ts";
import { EARLIER_RELEASE, PackedReleases, type Patch } from "./packed-release.ts";

/** A release of the future with another migration, after which the tables are, or are not, of use for the releases before. */
const migrating = (additive: boolean): readonly Patch[] => [
  {
    from: /(name: "journal",\s+steps: \[[\s\S]*?)(\n\t\])/,
    to: `$1, { sql: "alter table turns add column later text", additive: ${additive} }$2`,
  },
  { from: /(const MIGRATIONS = \[[\s\S]*?)(\n\];)/, to: '$1, "ALTER TABLE turns ADD COLUMN later TEXT"$2' },
];

let releases: PackedReleases;
let server: PostgresServer;
let earlier: string;
let now: string;
let later: string;
let breaking: string;

beforeAll(async () => {
  [releases, server] = await Promise.all([PackedReleases.in(), PostgresServer.start()]);
  earlier = await releases.committed("earlier", EARLIER_RELEASE);
  now = await releases.current("now");
  later = await releases.changed("later", now, ...migrating(true));
  breaking = await releases.changed("breaking", now, ...migrating(false));
}, 240_000);

afterAll(async () => {
  await releases?.[Symbol.asyncDispose]();
  await server?.remove();
});

/** The prompts that reached Claude, and how turns ended. */
class Ledger {
  readonly begun: string;
  readonly #answered = new Map<string, string>();
  #n = 0;

  private constructor(folder: string) {
    this.begun = join(folder, "begun");
  }

  static async make(): Promise<Ledger> {
    const folder = await mkdtemp(join(tmpdir(), "castellan-ledger-"));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const ledger = new Ledger(folder);
    await appendFile(ledger.begun, "");
    return ledger;
  }

  /** The next prompt, which is its own key. */
  next(): string {
    this.#n += 1;
    return `turn ${this.#n}`;
  }

  answered(prompt: string, text: unknown): void {
    expect(typeof text === "string" ? text : JSON.stringify(text)).toMatch(new RegExp(`^${prompt} by \\w+$`));
    this.#answered.set(prompt, String(text).replace(/.* by /, ""));
  }

  /** The number of answers by each release. */
  get byRelease(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const release of this.#answered.values()) counts[release] = (counts[release] ?? 0) + 1;
    return counts;
  }

  /** Expects each prompt to have reached Claude once, and to be answered, except those that were cut. */
  async balance(...cut: readonly string[]): Promise<void> {
    const all = (await readFile(this.begun, "utf8")).trim().split("\n");
    const begun = all.filter((prompt) => !cut.includes(prompt));
    const lost = [...this.#answered.keys()].filter((prompt) => !begun.includes(prompt)).length;
    const doubled = begun.length - new Set(begun).size;
    console.log(
      `${expect.getState().currentTestName}: ${JSON.stringify({ turns: begun.length, lost, doubled, ...this.byRelease })}`,
    );
    expect({ lost, doubled, answered: this.#answered.size }).toEqual({ lost: 0, doubled: 0, answered: begun.length });
  }
}

describe("nodes of two releases in one cluster", () => {
  const SPANS = { beat: "500ms", staleAfter: "10s", margin: "2s", patience: "60s" };

  class Nodes {
    readonly schema: string = server.fresh().schema;
    readonly #ledger: Ledger;
    #running: HandoverProcess[] = [];
    #load: Promise<void>[] = [];
    #loads = true;
    #started = 0;

    constructor(ledger: Ledger) {
      this.#ledger = ledger;
    }

    async join(release: string, script: string): Promise<HandoverProcess> {
      const node = await this.start(release, script);
      await node.said({ ready: release });
      this.#running = [...this.#running, node];
      return node;
    }

    async start(release: string, script: string): Promise<HandoverProcess> {
      const cluster = {
        postgres: server.url(),
        schema: this.schema,
        secret: "a secret of at least thirty-two characters",
        advertise: `http://127.0.0.1:${await freePort()}`,
        name: `${release}-${++this.#started}`,
        ...SPANS,
      };
      const node = new HandoverProcess(release, "memory" as unknown as object, script, {
        cluster,
        begun: this.#ledger.begun,
      });
      onTestFinished(() => node[Symbol.asyncDispose]());
      return node;
    }

    async leave(node: HandoverProcess): Promise<void> {
      this.#running = this.#running.filter((one) => one !== node);
      await node.does("drain");
      await node.ended;
    }

    /** Each caller has a session, and asks any node for it. */
    load(callers: number): void {
      this.#load = Array.from({ length: callers }, async (_, caller) => {
        while (this.#loads) {
          const prompt = this.#ledger.next();
          this.#ledger.answered(prompt, await this.#ask(caller, prompt));
        }
      });
    }

    /** A caller whose node leaves asks another one for the same turn. */
    async #ask(caller: number, prompt: string): Promise<unknown> {
      for (;;) {
        const node = this.#running[caller % this.#running.length];
        const answer = await Promise.race([node?.does("query", ["user", caller], prompt), node?.ended]);
        if (node === undefined || this.#running.includes(node) || typeof answer === "string") return answer;
      }
    }

    async answersOf(release: string, more = 6): Promise<void> {
      const before = this.#ledger.byRelease[release] ?? 0;
      await expect
        .poll(() => this.#ledger.byRelease[release] ?? 0, { timeout: 60_000 })
        .toBeGreaterThanOrEqual(before + more);
    }

    async stop(): Promise<void> {
      this.#loads = false;
      await Promise.all(this.#load);
    }
  }

  test("a rolling update, and back, with a migration in between: loses and doubles nothing", async () => {
    const ledger = await Ledger.make();
    const nodes = new Nodes(ledger);
    let [one, two] = [await nodes.join("earlier", earlier), await nodes.join("earlier", earlier)];
    nodes.load(4);
    await nodes.answersOf("earlier");
    for (const [release, script] of [
      ["now", now],
      ["later", later],
      ["earlier", earlier],
    ] as const) {
      const first = await nodes.join(release, script);
      await nodes.leave(one);
      await nodes.answersOf(release);
      const second = await nodes.join(release, script);
      await nodes.leave(two);
      await nodes.answersOf(release);
      [one, two] = [first, second];
    }
    await nodes.stop();
    await ledger.balance();
    const [version] = await server.sql(`select made from ${nodes.schema}.castellan_version where name = 'journal'`);
    expect(version).toEqual({ made: expect.any(Number) });
  }, 180_000);

  test("a release whose tables the others cannot use: the others say so at their start", async () => {
    const ledger = await Ledger.make();
    const nodes = new Nodes(ledger);
    await nodes.join("breaking", breaking);
    for (const [release, script] of [
      ["earlier", earlier],
      ["now", now],
    ] as const) {
      const node = await nodes.start(release, script);
      expect(await node.said({ failed: "DATABASE_UNAVAILABLE" })).toMatchObject({
        details: { reason: "foreign" },
        message: expect.stringContaining("newer release"),
      });
    }
  });
});

describe("two releases with one SQLite file", { timeout: 120_000 }, () => {
  async function place(): Promise<{ readonly sqlite: string; readonly waitForOwner: string }> {
    const folder = await mkdtemp(join(tmpdir(), "castellan-releases-"));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    return { sqlite: join(folder, "castellan.db"), waitForOwner: "30s" };
  }

  const start = (release: string, script: string, journal: object, { begun }: Ledger): HandoverProcess => {
    const process = new HandoverProcess(release, journal, script, { begun });
    onTestFinished(() => process[Symbol.asyncDispose]());
    return process;
  };

  test.each([
    ["earlier", "now"],
    ["now", "earlier"],
  ])(
    "%s is killed while %s waits for it: settles the turn that ran, and runs each turn behind it once",
    async (from, to) => {
      const scripts = { earlier, now } as Readonly<Record<string, string>>;
      const [ledger, journal] = [await Ledger.make(), await place()];
      const first = start(from, scripts[from] ?? "", journal, ledger);
      await first.said({ ready: from });
      const running = await first.does("enqueue", ["user", 0], "long turn");
      await first.said({ began: "long turn" });
      const waiting: (readonly [prompt: string, id: unknown])[] = [];
      for (let n = 0; n < 5; n++) {
        const prompt = ledger.next();
        waiting.push([prompt, await first.does("enqueue", ["user", 0], prompt)]);
      }
      const second = start(to, scripts[to] ?? "", journal, ledger);
      const other = ledger.next();
      ledger.answered(other, await first.does("query", ["user", 1], other));
      first.kill("SIGKILL");
      await second.said({ ready: to });
      for (const [prompt, id] of waiting) {
        ledger.answered(prompt, await second.does("wait", ["user", 0], String(id)));
      }
      expect(await second.does("wait", ["user", 0], String(running))).toMatchObject({ error: "TURN_INTERRUPTED" });
      const last = ledger.next();
      ledger.answered(last, await second.does("query", ["user", 1], last));
      expect(ledger.byRelease).toEqual({ [from]: 1, [to]: 6 });
      await ledger.balance("long turn");
    },
  );

  test("a release hands over to a later one, which migrates the file, while turns run: nothing is refused, lost or doubled", async () => {
    const [ledger, journal] = [await Ledger.make(), await place()];
    const first = start("now", now, journal, ledger);
    await first.said({ ready: "now" });
    const long = first.does("query", ["user", "long"], "long turn");
    await first.said({ began: "long turn" });
    let loads = true;
    const load = [0, 1, 2].map(async (user) => {
      while (loads) {
        const prompt = ledger.next();
        ledger.answered(prompt, await first.does("query", ["user", user], prompt));
      }
    });
    await expect.poll(() => ledger.byRelease["now"] ?? 0, { timeout: 30_000 }).toBeGreaterThan(10);
    const second = start("later", later, journal, ledger);
    await second.said({ ready: "later" });
    await expect.poll(() => ledger.byRelease["later"] ?? 0, { timeout: 30_000 }).toBeGreaterThan(10);
    await first.does("go");
    ledger.answered("long turn", await long);
    expect(ledger.byRelease["now"]).toBeGreaterThan(10);
    loads = false;
    await Promise.all(load);
    expect([await first.does("warnings"), await second.does("warnings")]).toEqual([[], []]);
    await first.does("drain");
    await second.does("drain");
    await second.ended;
    await ledger.balance();
    const third = start("now", now, { ...journal, waitForOwner: "1s" }, ledger);
    expect(await third.said({ failed: "JOURNAL_UNAVAILABLE" })).toMatchObject({ details: { reason: "foreign" } });
  });

  test("a later release dies after it has migrated the file: the one before says that it cannot go back", async () => {
    const [ledger, journal] = [await Ledger.make(), await place()];
    const first = start("now", now, journal, ledger);
    await first.said({ ready: "now" });
    const long = first.does("query", ["user", "long"], "long turn");
    await first.said({ began: "long turn" });
    const second = start("later", later, journal, ledger);
    await second.said({ ready: "later" });
    const prompt = ledger.next();
    ledger.answered(prompt, await first.does("query", ["user", 1], prompt));
    second.kill("SIGKILL");
    await second.ended;
    const { closed } = await first.said({ closed: "journal_lost" });
    expect(closed).toBe("journal_lost");
    expect(await long).toMatchObject({
      error: "NOT_OWNER",
      message: expect.stringContaining("newer release has migrated"),
    });
    // The next process of the later release has everything that was accepted.
    const third = start("later", later, journal, ledger);
    await third.said({ ready: "later" });
    expect(await third.does("query", ["user", 1], prompt)).toBe(`${prompt} by later`);
    await ledger.balance("long turn");
  });
});
