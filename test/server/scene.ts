import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ChildOptions } from "../../src/application/options/child-options.ts";
import type { SupervisorOptions } from "../../src/application/options/supervisor-options.ts";
import type { Supervisor } from "../../src/application/supervisor.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import { TokenStore } from "../../src/server/access/token-store.ts";
import { type FakeClaude, fakeClaude } from "../../src/testing/index.ts";
import { run } from "../session-on-fake/application.ts";

/** A supervisor on a fake, an empty folder, and what a server logs. */
export class ServerScene implements AsyncDisposable {
  readonly fake: FakeClaude;
  readonly supervisor: Supervisor;
  readonly folder: string;
  readonly tokens: TokenStore;
  readonly lines: string[] = [];
  readonly logger = {
    info: (line: string): void => void this.lines.push(line),
    warn: (line: string): void => void this.lines.push(`warning: ${line}`),
  };

  private constructor(fake: FakeClaude, supervisor: Supervisor, folder: string) {
    this.fake = fake;
    this.supervisor = supervisor;
    this.folder = folder;
    this.tokens = new TokenStore(join(folder, "tokens.jsonl"));
  }

  static async start(
    children: readonly ChildOptions[] = [{ name: "assistant" }],
    options: SupervisorOptions = {},
    fake: FakeClaude = fakeClaude(),
  ): Promise<ServerScene> {
    const folder = await mkdtemp(join(tmpdir(), "castellan-server-"));
    const supervisor = await run({ fake, journal: memoryJournal() }, children, options);
    return new ServerScene(fake, supervisor, folder);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.supervisor.stop();
    await rm(this.folder, { recursive: true });
  }
}
