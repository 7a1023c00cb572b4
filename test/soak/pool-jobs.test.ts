import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, test } from "vitest";
import { type MessagesApi, type MessagesRequest, messagesApi } from "../../src/testing/index.ts";

const HOST = new URL("./summarising-host.ts", import.meta.url).pathname;
const DOCUMENTS = Array.from({ length: 200 }, (_, n) => `document ${n}`);

interface Ended {
  readonly document: string;
  readonly id: string;
  readonly text?: string;
  readonly code?: string;
}

/** An application that summarises documents, the model that it asks, and the prompts that the model got. */
class Summaries implements AsyncDisposable {
  readonly api: MessagesApi;
  readonly #folder: string = mkdtempSync(join(tmpdir(), "castellan-jobs-"));
  readonly #given: object;

  private constructor(api: MessagesApi, given: object) {
    this.api = api;
    this.#given = { sqlite: join(this.#folder, "journal.db"), cwd: api.cwd, env: api.env, ...given };
  }

  static async of(documents: readonly string[], options: object = {}): Promise<Summaries> {
    const api = await messagesApi((request) => ({ text: `summary of ${documentIn(request) ?? "nothing"}` }));
    return new Summaries(api, { documents, ...options });
  }

  /** Returns how often the model was asked about a document. */
  asked(document: string): number {
    return this.api.requests.filter((request) => documentIn(request) === document).length;
  }

  /** Runs the application to its end. Returns how the jobs ended. `onEnd` can kill the application. */
  async run(onEnd: (ended: readonly Ended[], kill: () => void) => void = () => {}): Promise<Ended[]> {
    const child = spawn(process.execPath, [HOST, JSON.stringify(this.#given)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const ended: Ended[] = [];
    const lines = createInterface(child.stdout);
    lines.on("line", (line) => {
      ended.push(JSON.parse(line) as Ended);
      onEnd(ended, () => child.kill("SIGKILL"));
    });
    await Promise.all([once(child, "exit"), once(lines, "close")]);
    return ended;
  }

  /** Runs the application until this many jobs have ended, and kills it. */
  async runUntil(jobs: number): Promise<Ended[]> {
    return await this.run((ended, kill) => {
      if (ended.length >= jobs) kill();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.api.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Returns the document of a request's last message: the conversations of the members have earlier ones. */
function documentIn({ body }: MessagesRequest): string | undefined {
  return [...JSON.stringify(body.messages).matchAll(/Summarise (document \d+)\./g)].at(-1)?.[1];
}

test("pool.enqueue(): an application that is killed with SIGKILL half way answers each document once", {
  timeout: 300_000,
}, async () => {
  await using summaries = await Summaries.of(DOCUMENTS);
  const { api } = summaries;
  const before = await summaries.runUntil(DOCUMENTS.length / 2);
  const askedBefore = new Map(before.map(({ document }) => [document, summaries.asked(document)]));
  const after = await summaries.run();
  expect(api.errors).toEqual([]);
  expect(before.length).toBeLessThan(DOCUMENTS.length);
  expect(after.map(({ document }) => document).toSorted()).toEqual(DOCUMENTS.toSorted());
  const cut = after.filter(({ code }) => code !== undefined);
  // At most the three turns that ran may have begun to answer.
  expect(cut.map(({ code }) => code)).toEqual(cut.map(() => "TURN_INTERRUPTED"));
  expect(cut.length).toBeLessThanOrEqual(3);
  for (const { document, text, id } of after) {
    if (text !== undefined) expect(text).toBe(`summary of ${document}`);
    const first = before.find((one) => one.document === document);
    if (first === undefined) continue;
    // The same turn, and nothing was asked again.
    expect([id, text]).toEqual([first.id, first.text]);
    expect(summaries.asked(document)).toBe(askedBefore.get(document));
  }
  const doubled = DOCUMENTS.filter((document) => summaries.asked(document) > 1);
  expect(doubled.length, "documents that were in a process at the kill").toBeLessThanOrEqual(3);
});

test('pool.enqueue(): with `onInterruptedTurn: "fail"`, SIGKILLs of the application let no document be asked twice', {
  timeout: 300_000,
}, async () => {
  const documents = DOCUMENTS.slice(0, 60);
  await using summaries = await Summaries.of(documents, { onInterruptedTurn: "fail" });
  await summaries.runUntil(15);
  // The second application first reports the jobs that had ended before.
  await summaries.runUntil(40);
  const after = await summaries.run();
  expect(summaries.api.errors).toEqual([]);
  expect(after.map(({ document }) => document).toSorted()).toEqual(documents.toSorted());
  expect(documents.filter((document) => summaries.asked(document) > 1)).toEqual([]);
  const cut = after.filter(({ code }) => code !== undefined);
  expect(cut.map(({ code }) => code)).toEqual(cut.map(() => "TURN_INTERRUPTED"));
  // Each kill cuts at most the three turns that run.
  expect(cut.length).toBeLessThanOrEqual(6);
  for (const { document, text } of after) {
    if (text === undefined) continue;
    expect(text).toBe(`summary of ${document}`);
    expect(summaries.asked(document)).toBe(1);
  }
});
