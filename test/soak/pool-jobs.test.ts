import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, test } from "vitest";
import { type MessagesRequest, messagesApi } from "../../src/testing/index.ts";

const HOST = new URL("./summarising-host.ts", import.meta.url).pathname;
const DOCUMENTS = Array.from({ length: 200 }, (_, n) => `document ${n}`);

interface Ended {
  readonly document: string;
  readonly id: string;
  readonly text?: string;
  readonly code?: string;
}

test("pool.enqueue(): an application that is killed with SIGKILL half way answers each document once", {
  timeout: 300_000,
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), "castellan-jobs-"));
  /** Returns the document of a request's last message: the conversations of the members have earlier ones. */
  const documentIn = ({ body }: MessagesRequest): string | undefined =>
    [...JSON.stringify(body.messages).matchAll(/Summarise (document \d+)\./g)].at(-1)?.[1];
  await using api = await messagesApi((request) => ({ text: `summary of ${documentIn(request) ?? "nothing"}` }));
  const given = { sqlite: join(folder, "journal.db"), cwd: api.cwd, env: api.env, documents: DOCUMENTS };
  const asked = (document: string): number => api.requests.filter((request) => documentIn(request) === document).length;
  const run = async (onEnd: (ended: readonly Ended[], kill: () => void) => void): Promise<Ended[]> => {
    const child = spawn(process.execPath, [HOST, JSON.stringify(given)], { stdio: ["ignore", "pipe", "inherit"] });
    const ended: Ended[] = [];
    const lines = createInterface(child.stdout);
    lines.on("line", (line) => {
      ended.push(JSON.parse(line) as Ended);
      onEnd(ended, () => child.kill("SIGKILL"));
    });
    await Promise.all([once(child, "exit"), once(lines, "close")]);
    return ended;
  };
  const before = await run((ended, kill) => {
    if (ended.length >= DOCUMENTS.length / 2) kill();
  });
  const askedBefore = new Map(before.map(({ document }) => [document, asked(document)]));
  const after = await run(() => {});
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
    expect(asked(document)).toBe(askedBefore.get(document));
  }
  const doubled = DOCUMENTS.filter((document) => asked(document) > 1);
  expect(doubled.length, "documents that were in a process at the kill").toBeLessThanOrEqual(3);
  rmSync(folder, { recursive: true, force: true });
});
