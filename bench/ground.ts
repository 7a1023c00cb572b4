import { delimiter, dirname } from "node:path";
import { fileURLToPath } from "node:url";
import type { Options } from "@anthropic-ai/claude-agent-sdk";
import { fakeClaude, mockApi } from "../src/testing/index.ts";
import { pieces, piecesAsked } from "./pieces.ts";

/** What the processes of both sides are. */
export interface Ground {
  readonly name: string;
  /** By what both sides start them. */
  readonly options: Pick<Options, "spawnClaudeCodeProcess" | "pathToClaudeCodeExecutable" | "env" | "cwd">;
  /** @throws AggregateError if something went wrong in it, so that what was measured is worth nothing */
  close(): Promise<void>;
}

/** `castellan/testing`: a fake in this very process. What it costs itself is in the figures of both sides. */
export function fakeInProcess(): Ground {
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

/** The file of the fake that is a process of its own. */
export const FAKE_PROCESS: string = fileURLToPath(new URL("./fake-process.ts", import.meta.url));

/** This Node first, for what is started by the name of `node`. */
const NODE_PATH: Readonly<Record<string, string>> = {
  PATH: `${dirname(process.execPath)}${delimiter}${process.env["PATH"] ?? ""}`,
};

/** A fake that is a process of its own, with pipes to it, as Claude Code is. It works while the host does. */
export function fakeProcess(): Ground {
  return {
    name: "fake process",
    options: { pathToClaudeCodeExecutable: FAKE_PROCESS, env: NODE_PATH },
    close: async () => {},
  };
}

/** The real Claude Code, on a model API in this process that answers at once. */
export async function realClaude(): Promise<Ground> {
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
