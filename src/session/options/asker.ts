import { z } from "zod";

/** Parses who asks for a turn, or gives a message to it. */
export const askerSchema: z.ZodType<string> = z.string().min(1).max(256);
