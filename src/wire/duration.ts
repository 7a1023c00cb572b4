import { z } from "zod";

/** Milliseconds, or a number with a unit such as `"500ms"`, `"30s"`, `"10m"`, `"2h"`, `"1d"`. */
export type WireDuration = number | string;

export const wireDurationSchema: z.ZodType<WireDuration> = z.union([z.number(), z.string()]).meta({
  id: "Duration",
  description: 'Milliseconds, or a number with a unit: `"500ms"`, `"30s"`, `"10m"`, `"2h"`, `"1d"`.',
});
