import type { Options as SdkOptions, Settings } from "@anthropic-ai/claude-agent-sdk";
import { z } from "zod";
import { REFUSED_VARIABLES } from "../../claude/inherited-variables.ts";

/** Whether a session has a working directory of its own, and where. */
export type Isolate = boolean | { root: string };

/** An {@link Isolate}. */
export const isolateSchema: z.ZodType<Isolate> = z.union([z.boolean(), z.strictObject({ root: z.string().min(1) })]);

interface Problem {
  readonly field: string;
  readonly message: string;
}

/** What the options say about what is kept apart, as far as it concerns each other. */
export interface Isolation {
  /** The SDK's options, defaults among them. */
  readonly sdk: SdkOptions;
  /** The working directory that the session itself names, not a default. */
  readonly cwd: unknown;
  readonly isolate: Isolate;
  readonly autoMemory: boolean | undefined;
  readonly inheritEnv: boolean | readonly string[] | undefined;
}

/** Whether Claude remembers things by itself: only where that is asked for, by the option or by Claude Code's own setting. */
export function remembers({ sdk, autoMemory }: Pick<Isolation, "sdk" | "autoMemory">): boolean {
  return autoMemory ?? inlineSettings(sdk)?.autoMemoryEnabled ?? false;
}

/** What contradicts itself. */
export function isolationProblems(isolation: Isolation): Problem[] {
  return [...directoryProblems(isolation), ...memoryProblems(isolation), ...variableProblems(isolation)];
}

function directoryProblems({ sdk, cwd, isolate }: Isolation): Problem[] {
  if (isolate === false) return [];
  const problems: Problem[] = [];
  if (cwd !== undefined) {
    const message =
      "cannot be combined with `isolate`, which gives the session a directory of its own; set `isolate: false`, or say by `isolate: { root }` where that is to be";
    problems.push({ field: "cwd", message });
  }
  if (typeof sdk.settings === "string") {
    problems.push({ field: "settings", message: "has to be an object together with `isolate`, which adds to it" });
  }
  return problems;
}

function memoryProblems(isolation: Isolation): Problem[] {
  const { sdk, autoMemory } = isolation;
  if (autoMemory === true && inlineSettings(sdk)?.autoMemoryEnabled === false) {
    return [{ field: "autoMemory", message: "contradicts `settings.autoMemoryEnabled`; leave one of them out" }];
  }
  if (remembers(isolation)) return [];
  const agents = Object.entries(sdk.agents ?? {}).filter(([, { memory }]) => memory !== undefined);
  return agents.map(([name]) => ({
    field: `agents.${name}.memory`,
    message: "needs `autoMemory: true`, without which Claude remembers nothing by itself",
  }));
}

function variableProblems({ sdk, inheritEnv }: Isolation): Problem[] {
  return Object.entries(REFUSED_VARIABLES).flatMap(([name, reason]) => {
    const message = `cannot be set for a session: ${reason}`;
    const named = Array.isArray(inheritEnv) && inheritEnv.includes(name);
    return [
      ...(sdk.env?.[name] === undefined ? [] : [{ field: `env.${name}`, message }]),
      ...(named ? [{ field: `inheritEnv.${name}`, message }] : []),
    ];
  });
}

/** The settings, if they are known here. */
function inlineSettings({ settings }: SdkOptions): Settings | undefined {
  return typeof settings === "object" ? settings : undefined;
}
