import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SessionDefaults } from "../session/options/options.ts";
import { mockApi } from "../testing/index.ts";

/** The model that the demo talks to, and what its sessions need to reach it. */
export interface DemoModel extends AsyncDisposable {
  readonly description: string;
  /** A file for the journal, which goes with the rest. */
  readonly journal: string;
  readonly defaults: SessionDefaults;
}

/** A mock of the model's API on this machine. Only the answers are made up; Claude Code and all else is real. */
export async function mockModel(): Promise<DemoModel> {
  const api = await mockApi();
  api.reply("Review", "Looks fine, but `total` is never reset between calls.");
  api.reply("poem", {
    text: "A keep of names on a quiet hill,\nwhere every voice is guarded still;\none falls, and ere the bell has tolled\nit stands, and knows what it was told.",
    tokensPerSecond: 60,
  });
  // Taken from the messages that Claude Code sends along, so it holds only if the conversation is still there.
  api.reply("ask you for first", ({ messages }) => {
    const first = messages.find(({ role }) => role === "user");
    return `You first asked me: ${first?.text}`;
  });
  return {
    description: `a mock of the Messages API at ${api.url}; no key needed`,
    journal: join(api.cwd, "castellan.db"),
    defaults: { env: api.env, cwd: api.cwd },
    [Symbol.asyncDispose]: () => api.stop(),
  };
}

/** Anthropic's API, in a working directory of the demo's own. */
export async function realModel(): Promise<DemoModel> {
  const cwd = await mkdtemp(join(tmpdir(), "castellan-demo-"));
  return {
    description: "Anthropic's API, with your ANTHROPIC_API_KEY",
    journal: join(cwd, "castellan.db"),
    defaults: { cwd, apiKey: { env: "ANTHROPIC_API_KEY" }, tools: [] },
    [Symbol.asyncDispose]: () => rm(cwd, { recursive: true, force: true }),
  };
}
