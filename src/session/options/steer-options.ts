import { z } from "zod";
import { askerSchema } from "./asker.ts";
import { validate } from "./validation.ts";

/** Options of a message to a turn. */
export interface SteerOptions {
  /** Who gives the message, in the application's own words, up to 256 characters. The turn's events repeat it. */
  readonly by?: string;
  /**
   * What to do with a message to a turn that takes none, because it has ended or is being stopped: `"reject"`, or
   * `"enqueue"`, as a turn of its own. Default `"reject"`.
   */
  readonly afterEnd?: "reject" | "enqueue";
}

const schema = z.strictObject({
  by: askerSchema.optional(),
  afterEnd: z.enum(["reject", "enqueue"]).optional(),
});

const textSchema = z.string().refine((text) => text.trim() !== "", { error: "expected a text that is not empty" });

/** Checks a message to a turn, and its options. @throws CastellanError `INVALID_OPTIONS` */
export function checkSteer(
  text: string,
  options: SteerOptions,
  who: string,
): { readonly by?: string | undefined; readonly afterEnd?: SteerOptions["afterEnd"] | undefined } {
  const what = `message to a turn of ${who}`;
  validate(textSchema, text, what, "text");
  return validate(schema, options, what);
}
