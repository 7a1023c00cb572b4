import { z } from "zod";

/** A content block of a prompt, as in the Messages API: a text, an image or a document. */
export interface PromptBlock {
  readonly type: "text" | "image" | "document";
  readonly [field: string]: unknown;
}

/** A command or skill of Claude Code. Needs the scope `operate`. */
export interface PromptCommand {
  /** Without the slash. */
  readonly command: string;
  readonly arguments?: string | undefined;
}

/** A prompt: text, content blocks, or a command. */
export type WirePrompt = string | readonly PromptBlock[] | PromptCommand;

const blockSchema = z
  .looseObject({ type: z.enum(["text", "image", "document"]) })
  .meta({ id: "PromptBlock", description: "A content block as in the Messages API: a text, an image or a document." });

const commandSchema = z
  .strictObject({ command: z.string().describe("Without the slash."), arguments: z.string().optional() })
  .meta({ id: "PromptCommand", description: "A command or skill of Claude Code. Needs the scope `operate`." });

export const promptSchema: z.ZodType<WirePrompt> = z
  .union([z.string(), z.array(blockSchema).readonly(), commandSchema], {
    error: "expected a text, a list of content blocks, or a command",
  })
  .meta({ id: "Prompt", description: "A text, content blocks, or a command of Claude Code." });
