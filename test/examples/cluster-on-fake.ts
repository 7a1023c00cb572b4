import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { join } from "node:path";

/*
 * A preload for the program of a node. It resolves the package to its sources, and replaces Claude by a fake. The
 * fake's conversations are in a directory that all nodes share, as the real ones are in the database.
 */

const SOURCES: Readonly<Record<string, string>> = {
  castellan: "../../src/index.ts",
  "castellan/cluster": "../../src/connect.ts",
};

registerHooks({
  resolve: (specifier, context, next) => {
    const source = SOURCES[specifier];
    return next(source === undefined ? specifier : new URL(source, import.meta.url).href, context);
  },
});

// After the hooks, since these modules rely on them.
const { installDefaults } = await import("../../src/application/options/process-defaults.ts");
const { fakeClaude } = await import("../../src/testing/index.ts");

const directory = process.env["FAKE_CONVERSATIONS"] ?? "";
/** The conversations that this node's fake has started. */
const known = new Set<string>();

const fake = fakeClaude(async (turn) => {
  const { sessionId } = turn.process;
  known.add(sessionId);
  const said = join(directory, sessionId);
  const before = existsSync(said) ? readFileSync(said, "utf8").trimEnd().split("\n") : [];
  appendFileSync(said, `${turn.prompt}\n`);
  await turn.text(`${turn.prompt} (after ${JSON.stringify(before)})`);
});

installDefaults({
  spawnClaudeCodeProcess: (options) => {
    // A conversation started on another node is new to this node's fake.
    const args = options.args.map((arg) => {
      const [, id = ""] = /^--resume=(.+)$/.exec(arg) ?? [];
      return id !== "" && !known.has(id) && existsSync(join(directory, id)) ? `--session-id=${id}` : arg;
    });
    return fake.spawn({ ...options, args });
  },
});
