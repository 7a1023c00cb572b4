import { z } from "zod";
import type { EventJson } from "../../session/record/session-event-types.ts";

/** The name of the MCP server whose tools clients answer. */
export const CLIENT_TOOLS = "client";

const PREFIX = `mcp__${CLIENT_TOOLS}__`;

/** Returns the name of a tool that clients answer, or undefined for any other tool. */
export function customToolName(tool: string): string | undefined {
  return tool.startsWith(PREFIX) ? tool.slice(PREFIX.length) : undefined;
}

/** The result that a client gave, in the input of the tool. */
const RESULT = "castellan:result";

const resultSchema = z.object({ content: z.custom<EventJson>((value) => value !== undefined), is_error: z.boolean() });

/** A client's result of a tool call. */
export interface ClientResult {
  readonly content: EventJson;
  readonly is_error: boolean;
}

/** Returns the result in the input with which a permission request was approved, if a client gave one. */
export function resultIn(input: EventJson | undefined): ClientResult | undefined {
  return z.object({ [RESULT]: resultSchema }).safeParse(input).data?.[RESULT];
}

/** Returns the input that carries a result to the tool. */
export function inputWith(result: ClientResult): Record<string, unknown> {
  return { [RESULT]: result };
}
