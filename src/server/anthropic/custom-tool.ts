import { z } from "zod";
import type { Json } from "../../journal/model/session-entry.ts";

/** A tool that clients answer. */
export interface CustomTool {
  readonly type: "custom";
  readonly name: string;
  readonly description: string;
  /** A JSON schema of an object. */
  readonly input_schema: Readonly<Record<string, Json>>;
}

/** Parses a custom tool. */
export const customToolSchema: z.ZodType<CustomTool> = z.strictObject({
  type: z.literal("custom"),
  name: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, "expected up to 64 letters, digits, `_` and `-`"),
  description: z.string().min(1).max(4_096),
  input_schema: z.custom<Readonly<Record<string, Json>>>(
    (value) => typeof value === "object" && value !== null && "type" in value && value.type === "object",
    'expected a JSON schema with `type: "object"`',
  ),
});
