import { z } from "zod";

/** An API key, or the name of the variable that holds it when a process starts. */
export type ApiKey = string | { readonly env: string };

/** Castellan's own options that shape a process. */
export interface ProcessOptions {
  /**
   * The key for Anthropic's API, or the name of the environment variable that holds it, which is read whenever a
   * process starts. It overrides `env` and keeps the host's own credentials out of the process: other keys and tokens,
   * custom headers, profiles, and cloud credentials. Default: what Claude Code finds by itself, such as
   * `ANTHROPIC_API_KEY`.
   * @example { env: "REVIEWER_KEY" }
   */
  apiKey?: ApiKey;
  /**
   * Which variables of the host's environment the process inherits besides paths, locale, proxies, certificates and
   * Claude Code's own configuration (credentials, addresses, models, limits, disabled features): `true` for all, or a
   * list of names and prefixes such as `"AWS_*"`. A session with an `apiKey` inherits a credential of the host only if
   * its full name is listed. Default: none.
   */
  inheritEnv?: boolean | readonly string[];
  /**
   * Whether Claude keeps auto-memory, in files that all sessions in the same directory or repository share. Agents with
   * `memory` need it, too. Default: `settings.autoMemoryEnabled` if `settings` is an object, otherwise `false`.
   */
  autoMemory?: boolean;
  /**
   * The MCP servers that the session cannot work without: their names, or `true` for all its servers. A start waits
   * until they are connected, and fails if one of them cannot be started, exits, or is silent for as long as Claude
   * Code waits (30 s). That counts as a failed start; a missing command quarantines the session at once. A server that
   * fails later is a fault, see `status().faults`. Default `false`: problems with servers are only reported.
   */
  requireMcpServers?: boolean | readonly string[];
  /**
   * The POSIX niceness of the process and everything it starts, from 0 (the application's own) to 19. Keeps the
   * application responsive while agents compile and test. Ignored for processes that the application spawns itself
   * (`spawnClaudeCodeProcess`). Default 0.
   */
  niceness?: number;
}

/** These options after parsing. */
export interface ProcessSettings {
  readonly apiKey: ApiKey | undefined;
  readonly inheritEnv: boolean | readonly string[] | undefined;
  readonly autoMemory: boolean | undefined;
  readonly requireMcpServers: boolean | readonly string[];
  readonly niceness: number;
}

/** Rejects a key given in place of a variable's name, without repeating it in messages. */
const variableSchema = z.string().regex(/^[A-Za-z_][\w()]*$/, "expected the name of a variable of the environment");

/**
 * The schema of each option, and a value that differs from its default. An option added here reaches the process,
 * spares, forks and `inspect`.
 */
export const PROCESS_OPTIONS: {
  readonly [Name in keyof ProcessOptions]-?: {
    readonly schema: z.ZodType<ProcessSettings[Name]>;
    readonly example: NonNullable<ProcessOptions[Name]>;
  };
} = {
  apiKey: {
    schema: z.union([z.string().min(1), z.strictObject({ env: variableSchema })]).optional(),
    example: { env: "REVIEWER_KEY" },
  },
  inheritEnv: { schema: z.union([z.boolean(), z.array(z.string().min(1))]).optional(), example: ["AWS_*"] },
  autoMemory: { schema: z.boolean().optional(), example: true },
  requireMcpServers: { schema: z.union([z.boolean(), z.array(z.string().min(1))]).default(false), example: true },
  niceness: { schema: z.int().min(0).max(19).default(0), example: 10 },
};

/** The names of all these options. */
export const PROCESS_OPTION_NAMES: readonly (keyof ProcessSettings)[] = Object.keys(
  PROCESS_OPTIONS,
) as (keyof ProcessSettings)[];
