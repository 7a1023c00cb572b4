import { z } from "zod";

/** An API key, or the name of the variable that holds it when a process is started. */
export type ApiKey = string | { readonly env: string };

/** The options of Castellan's own that shape a process. */
export interface ProcessOptions {
  /**
   * The key for Anthropic's API, or the name of the environment variable that holds it, which is read whenever a process
   * is started. It goes over `env`, and keeps the host's own credentials out of the process: other keys and tokens, custom headers,
   * profiles, and those of clouds. Default: what Claude Code finds by itself, such as `ANTHROPIC_API_KEY`.
   * @example { env: "REVIEWER_KEY" }
   */
  apiKey?: ApiKey;
  /**
   * What the process gets of the host's environment besides paths, locale, proxies, certificates and what Claude Code is configured by
   * (credentials, addresses, models, limits, what is switched off): `true` for all, or a list of names and of beginnings such as
   * `"AWS_*"`. A session with an `apiKey` gets a credential of the host only if it is named here in full. Default: nothing.
   */
  inheritEnv?: boolean | readonly string[];
  /**
   * Whether Claude remembers things by itself, in files that all sessions of the same directory, or of the same repository, read and
   * write. Agents with `memory` need it too. Default: what `settings.autoMemoryEnabled` says if `settings` is an object, otherwise
   * `false`.
   */
  autoMemory?: boolean;
  /**
   * The MCP servers without which the session is of no use, by their names, or `true` for all that it has. A start waits until they are
   * connected, and fails if one of them cannot be started, ends at once, or is silent for as long as Claude Code waits (30 s); that is a
   * failed start like any other, and one whose command is not there quarantines the session at once. What becomes of a server later is a
   * fault, see `status().faults`. Default `false`: what is wrong with servers is only told.
   */
  requireMcpServers?: boolean | readonly string[];
  /**
   * How far the process, and all that it starts, stands back when processors are scarce: the niceness of POSIX, from 0, which is as
   * the application, to 19. Keeps an application answering while agents compile and test. A process of the application's own
   * (`spawnClaudeCodeProcess`) is left as it is. Default 0.
   */
  niceness?: number;
}

/** The same, read and settled. */
export interface ProcessSettings {
  readonly apiKey: ApiKey | undefined;
  readonly inheritEnv: boolean | readonly string[] | undefined;
  readonly autoMemory: boolean | undefined;
  readonly requireMcpServers: boolean | readonly string[];
  readonly niceness: number;
}

/** A key that stands where the name of its variable should is not taken for one, and not repeated in messages. */
const variableSchema = z.string().regex(/^[A-Za-z_][\w()]*$/, "expected the name of a variable of the environment");

/** How each is read, and a value that differs from its default. One that is added here reaches the process, spares, forks and `inspect`. */
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

/** The names of all of them. */
export const PROCESS_OPTION_NAMES: readonly (keyof ProcessSettings)[] = Object.keys(
  PROCESS_OPTIONS,
) as (keyof ProcessSettings)[];
