import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { join } from "node:path";

/*
 * Imported before the program of a node: the package is its sources, and Claude a fake one, whose conversations are in a
 * directory that all nodes share, as those of the real one are in the database.
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

// After the hooks, which what these import relies on.
const { installDefaults } = await import("../../src/application/options/process-defaults.ts");
const { fakeClaude } = await import("../../src/testing/index.ts");

const directory = process.env["FAKE_CONVERSATIONS"] ?? "";
/** Conversations that the fake of this node has. */
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
    // To the fake of this node a conversation that another one has begun is a new one.
    const args = options.args.map((arg) => {
      const [, id = ""] = /^--resume=(.+)$/.exec(arg) ?? [];
      return id !== "" && !known.has(id) && existsSync(join(directory, id)) ? `--session-id=${id}` : arg;
    });
    return fake.spawn({ ...options, args });
  },
});
