import { z } from "zod";
import type { SessionName } from "../names.ts";
import { localNameInTextSchema, nameInPathSchema, type WireName } from "./name.ts";

/** The path parameters of operations. */

export const sessionParams: z.ZodType<{ readonly name: WireName }> = z.object({ name: nameInPathSchema });

export const turnParams: z.ZodType<{ readonly name: WireName; readonly turn: string }> = z.object({
  name: nameInPathSchema,
  turn: z.string().describe("The turn's id."),
});

export const approvalParams: z.ZodType<{ readonly name: WireName; readonly approval: string }> = z.object({
  name: nameInPathSchema,
  approval: z.string().describe("The approval's id."),
});

export const scheduleParams: z.ZodType<{ readonly name: WireName; readonly schedule: string }> = z.object({
  name: nameInPathSchema,
  schedule: z.string().describe("The schedule's id."),
});

export const mcpServerParams: z.ZodType<{ readonly name: WireName; readonly server: string }> = z.object({
  name: nameInPathSchema,
  server: z.string().describe("The MCP server's name."),
});

export const contentParams: z.ZodType<{ readonly name: WireName; readonly hash: string }> = z.object({
  name: nameInPathSchema,
  hash: z
    .string()
    .regex(/^[0-9a-f]{64}$/, "expected a SHA-256 in hexadecimal")
    .describe("`$content` of a reference in an event."),
});

export const poolParams: z.ZodType<{ readonly pool: string }> = z.object({
  pool: z.string().describe("The pool's name."),
});

export const poolTurnParams: z.ZodType<{ readonly pool: string; readonly turn: string }> = z.object({
  pool: z.string().describe("The pool's name."),
  turn: z.string().describe("The turn's id."),
});

export const childParams: z.ZodType<{ readonly child: SessionName }> = z.object({ child: localNameInTextSchema });
