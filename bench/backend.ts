import { delimiter, dirname } from "node:path";
import { fileURLToPath } from "node:url";
import type { Options } from "@anthropic-ai/claude-agent-sdk";
import { fakeClaude, mockApi } from "../src/testing/index.ts";
import { pieces, piecesAsked } from "./pieces.ts";

/** The kind of processes that both sides use. */
export interface Backend {
  readonly name: string;
  /** The SDK options that start the processes. */
  readonly options: Pick<Options, "spawnClaudeCodeProcess" | "pathToClaudeCodeExecutable" | "env" | "cwd">;
  /** @throws AggregateError if the backend failed, which invalidates the measurement */
  close(): Promise<void>;
}

/** A fake in this process, from `castellan/testing`. Its own cost is in the figures of both sides. */
export function fakeInProcess(): Backend {
  const fake = fakeClaude(async (turn) => {
    for (const chunk of pieces(piecesAsked(turn.prompt), turn.process.sessionId)) await turn.raw(Buffer.from(chunk));
    await turn.text("It is done.", { partials: false });
  });
  return {
    name: "fake in the process",
    options: { spawnClaudeCodeProcess: fake.spawn },
    close: async () => {
      if (fake.errors.length > 0) throw new AggregateError(fake.errors, "the fake's script failed");
    },
  };
}

/** The path of the fake process. */
export const FAKE_PROCESS: string = fileURLToPath(new URL("./fake-process.ts", import.meta.url));

/** A PATH with this Node.js first, for processes started as `node`. */
const NODE_PATH: Readonly<Record<string, string>> = {
  PATH: `${dirname(process.execPath)}${delimiter}${process.env["PATH"] ?? ""}`,
};

/** A fake in a separate process, connected by pipes like Claude Code. It runs in parallel with the host. */
export function fakeProcess(): Backend {
  return {
    name: "fake process",
    options: { pathToClaudeCodeExecutable: FAKE_PROCESS, env: NODE_PATH },
    close: async () => {},
  };
}

/** The real Claude Code, on a model API in this process that answers at once. */
export async function realClaude(): Promise<Backend> {
  const api = await mockApi();
  return {
    name: "real claude",
    options: { env: api.env, cwd: api.cwd },
    close: async () => {
      await api.stop();
      if (api.errors.length > 0) throw new AggregateError(api.errors, "the mock API failed");
    },
  };
}
