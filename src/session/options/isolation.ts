import type { Options as SdkOptions, Settings } from "@anthropic-ai/claude-agent-sdk";
import { z } from "zod";
import { REFUSED_VARIABLES } from "../../claude/inherited-variables.ts";

/** Whether a session has a working directory of its own, and below which root. */
export type Isolate = boolean | { root: string };

/** Reads an {@link Isolate}. */
export const isolateSchema: z.ZodType<Isolate> = z.union([z.boolean(), z.strictObject({ root: z.string().min(1) })]);

interface Problem {
  readonly field: string;
  readonly message: string;
}

/** The options that isolate a session and can contradict each other. */
export interface Isolation {
  /** The SDK's options, defaults included. */
  readonly sdk: SdkOptions;
  /** The working directory from the session's own options, not from defaults. */
  readonly cwd: unknown;
  readonly isolate: Isolate;
  readonly autoMemory: boolean | undefined;
  readonly inheritEnv: boolean | readonly string[] | undefined;
}

/** Whether Claude's auto-memory is on. Off unless the option or Claude Code's own setting turns it on. */
export function hasAutoMemory({ sdk, autoMemory }: Pick<Isolation, "sdk" | "autoMemory">): boolean {
  return autoMemory ?? inlineSettings(sdk)?.autoMemoryEnabled ?? false;
}

/** Returns the contradictions among the options. */
export function isolationProblems(isolation: Isolation): Problem[] {
  return [...directoryProblems(isolation), ...memoryProblems(isolation), ...variableProblems(isolation)];
}

function directoryProblems({ sdk, cwd, isolate }: Isolation): Problem[] {
  if (isolate === false) return [];
  const problems: Problem[] = [];
  if (cwd !== undefined) {
    const message =
      "cannot be combined with `isolate`, which gives the session a directory of its own; set `isolate: false`, or choose the location with `isolate: { root }`";
    problems.push({ field: "cwd", message });
  }
  if (typeof sdk.settings === "string") {
    problems.push({ field: "settings", message: "must be an object when `isolate` is set, which adds settings to it" });
  }
  return problems;
}

function memoryProblems(isolation: Isolation): Problem[] {
  const { sdk, autoMemory } = isolation;
  if (autoMemory === true && inlineSettings(sdk)?.autoMemoryEnabled === false) {
    return [{ field: "autoMemory", message: "contradicts `settings.autoMemoryEnabled`; leave one of them out" }];
  }
  if (hasAutoMemory(isolation)) return [];
  const agents = Object.entries(sdk.agents ?? {}).filter(([, { memory }]) => memory !== undefined);
  return agents.map(([name]) => ({
    field: `agents.${name}.memory`,
    message: "requires `autoMemory: true`; without it Claude has no memory",
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

/** Returns the settings if they are given as an object rather than as a file. */
function inlineSettings({ settings }: SdkOptions): Settings | undefined {
  return typeof settings === "object" ? settings : undefined;
}
